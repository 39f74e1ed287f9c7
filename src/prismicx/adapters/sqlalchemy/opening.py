"""The parts of the message that begins a transaction: its mode, its limits, the record of an idempotency key."""

from __future__ import annotations

from typing import Final

from prismicx.adapters.deadline import Deadline
from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.tenancy import qualified
from prismicx.domain.applied import AppliedUnit
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation

WRITTEN: Final = "INSERT 0 1"
"""What the server says of a record that was not there before."""

_WITH_TRANSACTION_TIMEOUT: Final = 17  # PostgreSQL's major version
_GRACE: Final = 1.0  # seconds after which the server ends the connection of a service that no longer acts by itself


def begin(*, read_only: bool, isolation: Isolation | None, deadline: Deadline | None, connection: Connection) -> str:
    """Return BEGIN with its options and limits. The limits end with the transaction.

    They are set by a function, not by SET: Citus makes its workers warn of a SET in this message, and what limits the
    coordinator limits its workers.
    """
    statement = "BEGIN" if isolation is None else f"BEGIN ISOLATION LEVEL {isolation.value.upper()}"
    if read_only:
        statement += " READ ONLY"
    if deadline is None:
        return statement
    seconds = max(deadline.remaining, 0.001)
    limits = {"statement_timeout": seconds, "idle_in_transaction_session_timeout": seconds + _GRACE}
    if connection.get_server_version().major >= _WITH_TRANSACTION_TIMEOUT:
        limits["transaction_timeout"] = seconds + _GRACE
    calls = ", ".join(f"set_config('{name}', '{round(limit * 1000)}', true)" for name, limit in limits.items())
    return f"{statement}; SELECT {calls}"


def record_statement(placed: PlacedTable, tenant: TenantId, record: AppliedUnit) -> str:
    """Return what writes the record, or nothing where its key is on record: after a unit that is under way has ended.

    Values are literals, because a message of several statements binds none. The key, which is the caller's, goes as
    hexadecimal digits.
    """
    key = f"convert_from(decode('{record.key.encode().hex()}', 'hex'), 'UTF8')"
    return (
        f"INSERT INTO {qualified(placed.schema(None), placed.table.name)} "  # noqa: S608 -- a name of ours, and no text
        f"(tenant_id, version, id, key, unit, recorded_at) VALUES ('{tenant.value}', 1, '{record.id}', {key}, "
        f"'{record.unit}', '{record.recorded_at.isoformat()}') ON CONFLICT DO NOTHING"
    )
