"""The proof of tenant, checked by the database: functions, the table of keys, and policies that rest on them.

What SQL of a tenant's own transaction can and cannot do with all this is in docs/tenant-proof.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import asyncpg

from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.proof import HOLD, OPEN, ProofKey
from prismicx.domain.errors import SettingsError, TenantProofMismatchError, UnsafeRoleError
from prismicx.domain.identifiers import TenantId

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient

PLAIN_TENANT: Final = "NULLIF(current_setting('app.current_tenant_id', true), '')"
"""The tenant of the transaction, as it says itself; null where none was set, which no row equals."""

PROVEN_TENANT: Final = "prismicx.current_tenant()"
"""The tenant of the transaction, proven; null where none was set, and an error where one was set without proof."""

UNKNOWN_KEY: Final = "PX001"
WRONG_TIME: Final = "PX002"

_KEYS: Final = "prismicx.tenant_keys"
_PROBE: Final = TenantId("prismicx-probe")
_PRINTED: Final = "NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text)"

# For both functions: they run once for each transaction and once for each statement, and PL/pgSQL prepares expressions
# anew in each transaction, so what usually happens is one query of cheap calls. No backslash, and no cast whose
# outcome a setting decides: the caller's settings hold in them.
_OPEN: Final = f"decode('{OPEN.hex()}', 'hex')"
_HOLD: Final = f"decode('{HOLD.hex()}', 'hex')"
_KEY_ID: Final = "split_part(proof, '.', 1)"
_ISSUED: Final = "split_part(proof, '.', 2)"


def _mac(message: str) -> str:
    return f"encode(sha256(k.outer_pad || sha256(k.inner_pad || {message})), 'hex')"


_IS_GENUINE: Final = f"""\
split_part(proof, '.', 3) = {
    _mac(f"{_OPEN} || int4send(pg_backend_pid()) || int8send({_ISSUED}::bigint) || convert_to(tenant, 'UTF8')")
}"""
_HELD: Final = _mac(f"{_HOLD} || timestamptz_send(transaction_timestamp()) || convert_to(tenant, 'UTF8')")

# Whatever runs later in a transaction has a later timestamp. Bytes are cut off faster than characters.
_IS_FIRST: Final = """\
transaction_timestamp() = statement_timestamp() AND starts_with(current_query(), 'BEGIN')
        AND convert_to(ending, 'UTF8')
            = substr(convert_to(current_query(), 'UTF8'), octet_length(current_query()) - octet_length(ending) + 1)"""
_IS_FRESH: Final = f"""\
to_timestamp({_ISSUED}::float8) BETWEEN transaction_timestamp() - interval '300 seconds'
            AND transaction_timestamp() + interval '300 seconds'"""

_SET_TENANT: Final = f"""\
CREATE OR REPLACE FUNCTION prismicx.set_tenant(tenant text, proof text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    ending text := format('; SELECT prismicx.set_tenant(%L, %L)', tenant, proof);
    is_genuine boolean;
BEGIN
    PERFORM set_config('app.current_tenant_id', tenant, true),
            set_config('app.tenant_proof', k.id || '.' || {_HELD}, true)
        FROM {_KEYS} k
        WHERE k.id = {_KEY_ID}
        AND CASE WHEN {_IS_FIRST} THEN {_IS_GENUINE} AND {_IS_FRESH} END;
    IF FOUND THEN
        RETURN;
    ELSIF ({_IS_FIRST}) IS NOT TRUE THEN
        RAISE EXCEPTION 'a tenant is named by the message that begins its transaction, and by nothing else'
            USING ERRCODE = '42501';
    END IF;
    SELECT {_IS_GENUINE} INTO is_genuine FROM {_KEYS} k WHERE k.id = {_KEY_ID};
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the proof of tenant was made with a key that this database does not have'
            USING ERRCODE = '{UNKNOWN_KEY}';
    ELSIF is_genuine IS NOT TRUE THEN
        RAISE EXCEPTION 'the proof of tenant is wrong' USING ERRCODE = '42501';
    END IF;
    RAISE EXCEPTION 'the proof of tenant is more than five minutes old, or of the future'
        USING ERRCODE = '{WRONG_TIME}';
END
$body$"""  # noqa: S608 -- fragments of ours

_CURRENT_TENANT: Final = f"""\
CREATE OR REPLACE FUNCTION prismicx.current_tenant() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    tenant text := current_setting('app.current_tenant_id', true);
BEGIN
    -- Hashed once more, so that the time that a comparison takes tells nothing of what is guessed.
    PERFORM FROM {_KEYS} k
        WHERE k.id = split_part(current_setting('app.tenant_proof', true), '.', 1)
        AND sha256(convert_to(split_part(current_setting('app.tenant_proof', true), '.', 2), 'UTF8'))
            = sha256(convert_to({_HELD}, 'UTF8'));
    IF FOUND THEN
        RETURN tenant;
    ELSIF tenant <> '' THEN
        RAISE EXCEPTION 'the tenant of this transaction is not proven' USING ERRCODE = '42501';
    END IF;
    RETURN NULL;
END
$body$"""

_ADD_KEY: Final = f"INSERT INTO {_KEYS} (id, inner_pad, outer_pad) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING"  # noqa: S608 -- fragments of ours
_KEEP_KEYS: Final = f"DELETE FROM {_KEYS} WHERE id <> ALL ($1)"  # noqa: S608 -- fragments of ours
_IS_PROVEN: Final = "SELECT pg_catalog.to_regprocedure('prismicx.current_tenant()') IS NOT NULL"
_READS_KEYS: Final = (
    f"SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = current_user "  # noqa: S608 -- fragments of ours
    f"AND has_any_column_privilege(oid, '{_KEYS}', 'SELECT, INSERT, UPDATE')"
)


def _rewriting(before: str, after: str) -> str:
    """Return what makes the tenants' own tables rest on another expression: their policies stay as they are else."""
    return f"""\
DO $body$
DECLARE
    policy record;
    search_path_before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', 'pg_catalog', true);
    FOR policy IN
        SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_get_expr(p.polqual, c.oid) AS reading,
            pg_get_expr(p.polwithcheck, c.oid) AS writing
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE p.polname = 'prismicx_tenant' AND starts_with(n.nspname, 'tenant_')
        AND strpos(pg_get_expr(p.polqual, c.oid), $before${before}$before$) > 0
    LOOP
        EXECUTE format('ALTER POLICY prismicx_tenant ON %s USING (%s) WITH CHECK (%s)', policy.name,
            replace(policy.reading, $before${before}$before$, $after${after}$after$),
            replace(policy.writing, $before${before}$before$, $after${after}$after$));
    END LOOP;
    PERFORM set_config('search_path', search_path_before, true);
END
$body$"""  # noqa: S608 -- fragments of ours


def proof_statements(application_role: str) -> Sequence[str]:
    """Return what a database needs to check proofs, beside the keys; each statement is safe to run again.

    Args:
        application_role: as a quoted name; whatever default privileges gave it on the keys is taken back.
    """
    return (
        f"CREATE TABLE IF NOT EXISTS {_KEYS} (id text PRIMARY KEY, inner_pad bytea NOT NULL, outer_pad bytea NOT NULL)",
        f"REVOKE ALL ON {_KEYS} FROM PUBLIC, {application_role}",
        _SET_TENANT,
        _CURRENT_TENANT,
        _rewriting(_PRINTED, PROVEN_TENANT),
    )


REMOVAL_STATEMENTS: Final = (
    _rewriting(PROVEN_TENANT, PLAIN_TENANT),
    "DROP FUNCTION IF EXISTS prismicx.set_tenant(text, text)",
    "DROP FUNCTION IF EXISTS prismicx.current_tenant()",
    f"DROP TABLE IF EXISTS {_KEYS}",
)
"""What takes the proof away again, once no policy of a shared table rests on it."""


def shown_keys(keys: Sequence[ProofKey], *, exactly: bool) -> list[str]:
    """Return what `write_keys` does, for reading: the keys are not in it."""
    shown = [f"{_ADD_KEY} /* $1 is {key.id}; $2 and $3 are secret and not shown */" for key in keys]
    if exactly:
        shown.append(f"{_KEEP_KEYS} /* $1 is {', '.join(key.id for key in keys)} */")
    return shown


async def write_keys(connection: Connection, keys: Sequence[ProofKey], *, exactly: bool) -> None:
    """Give the keys to the database, as parameters, so that no statement holds them; with `exactly`, no others stay."""
    for key in keys:
        await connection.execute(_ADD_KEY, *key.stored)
    if exactly:
        await connection.execute(_KEEP_KEYS, [key.id for key in keys])


async def require_checking(connection: Connection) -> None:
    """Return if the database checks proofs.

    Raises:
        TenantProofMismatchError: it does not.
    """
    if not await connection.fetchval(_IS_PROVEN):
        raise TenantProofMismatchError(
            "this service proves its tenants, but the database does not ask for it: run `prismicx db init` with the "
            "same PRISMICX_TENANT_PROOF_KEYS"
        )


async def require_plain(connection: Connection) -> None:
    """Return if the database believes a tenant's name without proof.

    Raises:
        TenantProofMismatchError: it does not.
    """
    if await connection.fetchval(_IS_PROVEN):
        raise TenantProofMismatchError(
            "the database asks for a proof of tenant, and no key was given: set PRISMICX_TENANT_PROOF_KEYS, or take "
            "the proof away with `prismicx db init --without-tenant-proof`"
        )


async def require_agreement(connection: Connection, client: DatabaseClient) -> None:
    """Return if the database believes this service, which begins a transaction for nobody to find out.

    Raises:
        TenantProofMismatchError: one of the two has no key, they have different ones, or their clocks differ.
        UnsafeRoleError: the role of the connection can read or change the keys.
    """
    if client.proof is None:
        await require_plain(connection)
        return
    await require_checking(connection)
    reader = await connection.fetchval(_READS_KEYS)
    if reader is not None:
        raise UnsafeRoleError(reader, [f"it can read or change {_KEYS}, and so prove to be any tenant"])
    try:
        await connection.execute(client.opening("BEGIN", _PROBE, connection))
    except asyncpg.InsufficientPrivilegeError as error:
        raise TenantProofMismatchError(
            "the database refuses the proof of tenant: a pooler between the two gives another process id than the "
            "server's; connect to the server itself"
        ) from error
    await connection.execute("ROLLBACK")


def refuse_pooler(pooler: str) -> None:
    """Return if nothing stands between the service and the server that would change its process.

    Raises:
        SettingsError: a transaction pooler does.
    """
    if pooler != "none":
        reason = "which a transaction pooler changes from one transaction to the next"
        advice = "connect to the server itself, or do without the proof"
        raise SettingsError([f"a proof of tenant names the server's process, {reason}: {advice}"])
