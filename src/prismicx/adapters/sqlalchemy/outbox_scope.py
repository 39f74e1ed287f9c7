"""The outbox's tables on PostgreSQL, who may do what with them, and the relay's login."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.outbox import SqlAlchemyOutbox
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.tenancy import (
    current_tenant,
    nothing_granted,
    protecting_statements,
    quoted,
    require_safe_role,
    role_statement,
)
from prismicx.domain.errors import MappingError, UnsafeRoleError

OUTBOX_POLICY: Final = "prismicx_outbox"
"""What lets the owner, the relay and work over all tenants into the outbox; the application is not named by it."""

OUTBOX_TABLES: Final = ("outbox", "outbox_heads")
"""The tables of the schema `prismicx` that hold rows of tenants, which the application adds to."""


class OutboxScope:
    """The outbox of one database: what prepares the database for it, and the login that delivers.

    Args:
        owner: the client of the login that owns the database; the registry's events are stored by it.
        relay: the client of the relay's login; `None` for the owner's.
        system: the role for work over all tenants, whose units record events too.
    """

    def __init__(self, owner: DatabaseClient, *, relay: DatabaseClient | None, system: str | None) -> None:
        self._owner = owner
        self.relay = relay
        self._system = system

    @property
    def outbox(self) -> SqlAlchemyOutbox:
        """The events of all tenants."""
        return SqlAlchemyOutbox(self.relay or self._owner)

    def setup_statements(self, database: str, *, application: str, proven: bool) -> Iterator[str]:
        """Yield the statements that make the outbox and give each login its rights; safe to run again."""
        yield from _TABLES
        yield nothing_granted((f"prismicx.{name}" for name in (*OUTBOX_TABLES, "outbox_claims")), application)
        if self._relay_role is not None:
            yield role_statement(self._relay_role)
            yield f"GRANT CONNECT ON DATABASE {quoted(database)} TO {quoted(self._relay_role)}"
        roles = [role for role in (self._owner.user, self._relay_role, self._system) if role is not None]
        let_in = ", ".join(quoted(role) for role in dict.fromkeys(roles))
        for table in (f"prismicx.{name}" for name in OUTBOX_TABLES):
            yield from protecting_statements(table, f"tenant_id = {current_tenant(proven=proven)}")
            yield f"DROP POLICY IF EXISTS {OUTBOX_POLICY} ON {table}"
            yield f"CREATE POLICY {OUTBOX_POLICY} ON {table} TO {let_in} USING (true) WITH CHECK (true)"
        for role in (application, *(() if self._system is None else (self._system,))):
            yield f"GRANT SELECT, INSERT ON prismicx.outbox TO {quoted(role)}"
            yield f"GRANT SELECT, INSERT, UPDATE ON prismicx.outbox_heads TO {quoted(role)}"
        if self._relay_role is not None:
            role = quoted(self._relay_role)
            yield f"GRANT SELECT, DELETE, UPDATE (status, attempts, reason) ON prismicx.outbox TO {role}"
            yield f"GRANT SELECT ON prismicx.outbox_heads TO {role}"
            yield f"GRANT SELECT, INSERT, UPDATE ON prismicx.outbox_claims TO {role}"

    async def require_fit(self, connection: Connection) -> None:
        """Return if the application's role, which asks, can store events.

        Raises:
            MappingError: it cannot.
        """
        if not await connection.fetchval(_CAN_STORE):
            raise MappingError(["there is no outbox that the application may add to (`prismicx db init` makes it)"])

    async def start(self, *, application: str) -> None:
        """Connect the relay's own login, if there is one, and check its role.

        Raises:
            DatabaseUnavailableError: the server cannot be reached, or refuses the role.
            UnsafeRoleError: it could walk around policies, or the application's role could become it.
        """
        if self.relay is None:
            return
        await self.relay.initialize()
        async with self.relay.connection() as connection:
            await require_safe_role(connection)
            if await connection.fetchval("SELECT pg_has_role($1::name, current_user, 'MEMBER')", application):
                raise UnsafeRoleError(application, [f"it is {self.relay.user}, the relay's role, or can become it"])

    async def close(self) -> None:
        """Give the relay's connections back. Closing twice does nothing."""
        if self.relay is not None:
            await self.relay.close()

    @property
    def _relay_role(self) -> str | None:
        return None if self.relay is None else self.relay.user


_TENANT: Final = 'tenant_id text COLLATE "C" NOT NULL'

_TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS prismicx.outbox_heads ({_TENANT}, next bigint NOT NULL,
    CONSTRAINT pk_outbox_heads PRIMARY KEY (tenant_id),
    CONSTRAINT ck_outbox_heads_tenant_named CHECK (tenant_id <> ''))""",
    f"""CREATE TABLE IF NOT EXISTS prismicx.outbox ({_TENANT}, position bigint NOT NULL, id uuid NOT NULL,
    name text COLLATE "C" NOT NULL, occurred_at timestamptz NOT NULL, payload json NOT NULL,
    status text COLLATE "C" NOT NULL DEFAULT 'pending', attempts integer NOT NULL DEFAULT 0, reason text,
    CONSTRAINT pk_outbox PRIMARY KEY (tenant_id, position), CONSTRAINT uq_outbox_id UNIQUE (tenant_id, id),
    CONSTRAINT ck_outbox_tenant_named CHECK (tenant_id <> ''))""",
    f"""CREATE TABLE IF NOT EXISTS prismicx.outbox_claims ({_TENANT}, holder text NOT NULL, fence bigint NOT NULL,
    free_at timestamptz NOT NULL, CONSTRAINT pk_outbox_claims PRIMARY KEY (tenant_id))""",
)

_CAN_STORE: Final = """
SELECT COALESCE(has_table_privilege(to_regclass('prismicx.outbox')::oid, 'INSERT')
    AND has_table_privilege(to_regclass('prismicx.outbox_heads')::oid, 'UPDATE'), false)"""
