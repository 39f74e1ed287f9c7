"""Plugin migrations: scripts that run as the role that owns one schema, and can do nothing beyond it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from prismicx.adapters.fencing import Fence
from prismicx.adapters.ledgers import turn_of
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.fences import require_fence
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.probe import in_the_name_of
from prismicx.adapters.sqlalchemy.provisioner import OwnSchema, Provisioner
from prismicx.adapters.sqlalchemy.tenancy import (
    literal,
    protecting_statements,
    qualified,
    quoted,
)
from prismicx.domain.identifiers import PluginType, TenantId, Version, plugin_schema_name
from prismicx.domain.plugins import AppliedMigration, SchemaMigration
from prismicx.domain.ports import PluginSchemas
from prismicx.domain.tenancy import DatabaseConfig

LEDGER: Final = "prismicx_migrations"
"""The table in each plugin schema that says which scripts have been run there."""

_PLACEHOLDER: Final = "${schema}"
_SCRAM_ROUNDS: Final = 4096


class SqlAlchemyPluginSchemas(PluginSchemas):
    """Runs plugin scripts on PostgreSQL.

    A script runs in a session that has logged in as the schema's own role, so there is nothing to go back to by
    RESET ROLE. The role may log in only for the moment of doing so, with a password made for it. The script is run by
    EXECUTE inside a transaction: PostgreSQL itself refuses a COMMIT or BEGIN there, so all of it lasts or nothing.
    The server must let the schema's role log in by password (or trust it) from here.

    The transaction of the scripts itself holds the lock that keeps others from the schema's scripts, and the fence is
    asked for under that lock. So who was overtaken either has committed before the next one looks, or is refused.
    """

    def __init__(self, provisioner: Provisioner, *, lock_timeout: float = 5.0) -> None:
        """Wire it up.

        Args:
            provisioner: makes the schemas.
            lock_timeout: seconds that a script waits for a lock: while it waits, everybody else waits behind it.
        """
        self._provisioner = provisioner
        self._lock_timeout = lock_timeout

    async def at(self, place: DatabaseConfig) -> SqlAlchemyPluginSchemas:
        there = await self._provisioner.at(place)
        return self if there is self._provisioner else type(self)(there, lock_timeout=self._lock_timeout)

    async def migrate(
        self,
        tenant: TenantId,
        plugin_type: PluginType,
        plugin: str,
        migrations: Sequence[SchemaMigration],
        *,
        fence: int,
        back: Sequence[SchemaMigration] = (),
    ) -> None:
        schema, fenced = plugin_schema_name(tenant, plugin_type), Fence(f"plugin/{tenant}/{plugin}", fence)
        provisioner = self._provisioner
        await provisioner.ensure(OwnSchema(tenant, schema, provisioner.plugin_tables(plugin_type)), fenced)
        async with self._as_owner_of(schema) as connection:
            await connection.execute(provisioner.admin.opening("BEGIN", tenant, connection))
            await connection.execute(_LIMITS.format(lock_timeout=round(self._lock_timeout * 1000)))
            await connection.execute(_LOCK, f"prismicx scripts of {schema}")
            async with provisioner.admin.opened(), provisioner.admin.connection() as owner:
                await require_fence(owner, *fenced)
            await _run(connection, schema, plugin, migrations, back=back)
            await _protect(connection, schema, tenant=tenant, provisioner=provisioner)
            with Translation(connection, {}, committing=True):
                await connection.execute("COMMIT")

    async def ledger(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[AppliedMigration]:
        schema = plugin_schema_name(tenant, plugin_type)
        async with in_the_name_of(self._provisioner.client, tenant) as transaction:
            if not await transaction.fetch(_HAS_LEDGER, [schema, LEDGER]):
                return []
            return _entries(await transaction.fetch(_ENTRIES.format(ledger=qualified(schema, LEDGER)), [plugin]))

    @asynccontextmanager
    async def _as_owner_of(self, schema: str) -> AsyncIterator[Connection]:
        """Log in as the schema's role; by the time anything runs, nobody can do so any more."""
        role, password = self._provisioner.role(schema), secrets.token_urlsafe(32)
        admin = self._provisioner.admin
        async with self._provisioner.locked(schema), admin.opened(), admin.connection() as owner:
            verifier = scram_verifier(password)
            until = await owner.fetchval("SELECT (now() + interval '1 minute')::text")
            await owner.execute(
                f"ALTER ROLE {quoted(role)} LOGIN PASSWORD {literal(verifier)} VALID UNTIL {literal(until)}"
            )
            async with AsyncExitStack() as stack:
                try:
                    connection = await admin.connect(user=role, password=password)
                    stack.callback(connection.terminate)
                finally:
                    await owner.execute(f"ALTER ROLE {quoted(role)} NOLOGIN PASSWORD NULL VALID UNTIL 'infinity'")
                closing = stack.pop_all()
        async with closing:
            with Translation(connection, {}):
                yield connection


async def _run(
    connection: Connection,
    schema: str,
    plugin: str,
    migrations: Sequence[SchemaMigration],
    *,
    back: Sequence[SchemaMigration],
) -> None:
    ledger = qualified(schema, LEDGER)
    await connection.execute(_MAKE_LEDGER.format(ledger=ledger))
    known = _entries(await connection.fetch(_ENTRIES.format(ledger=ledger), plugin))
    turn = turn_of(plugin, known, migrations, back=back)
    for migration in turn.back:
        assert migration.down is not None, "a turn goes back by down scripts only"
        await _run_script(connection, schema, migration.down)
        await connection.execute(_FORGET.format(ledger=ledger), plugin, str(migration.version_to))
    position = len(known) - len(turn.back)
    for migration in turn.forward:
        position += 1
        await _run_script(connection, schema, migration.script)
        version, now = str(migration.version_to), datetime.now(UTC)
        await connection.execute(_RECORD.format(ledger=ledger), plugin, version, migration.checksum, now, position)


async def _run_script(connection: Connection, schema: str, script: str) -> None:
    script = script.replace(_PLACEHOLDER, quoted(schema))
    await connection.execute("SELECT set_config('prismicx.script', $1, true)", script)
    await connection.execute("DO $body$ BEGIN EXECUTE current_setting('prismicx.script'); END $body$")


def _entries(rows: Sequence[Any]) -> list[AppliedMigration]:
    return [
        AppliedMigration(version=Version(version), checksum=checksum, applied_at=applied_at)
        for version, checksum, applied_at in rows
    ]


async def _protect(connection: Connection, schema: str, *, tenant: TenantId, provisioner: Provisioner) -> None:
    """Put every table of the schema behind a policy, and let the application use what there is."""
    current_tenant = provisioner.current_tenant
    for name, kind, has_tenant in await connection.fetch(_RELATIONS, schema):
        relation, rights = qualified(schema, name), "SELECT"
        if kind == "table":
            condition = f"tenant_id = {current_tenant}" if has_tenant else f"{current_tenant} = {literal(tenant.value)}"
            for statement in protecting_statements(relation, condition):
                await connection.execute(statement)
            rights = "SELECT" if name == LEDGER else "SELECT, INSERT, UPDATE, DELETE"
        elif kind == "sequence":
            relation, rights = f"SEQUENCE {relation}", "USAGE"
        await connection.execute(f"GRANT {rights} ON {relation} TO {quoted(provisioner.client.user)}")


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL keeps of an ASCII password, so that the password itself is in no statement and no log.

    Source: RFC 5803, in the form of PostgreSQL's `pg_authid.rolpassword`.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    in_base64 = [b64encode(part).decode("ascii") for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{in_base64[0]}${in_base64[1]}:{in_base64[2]}"


# A worker that stands still in the middle of its transaction holds the lock that its successor waits for.
_LIMITS: Final = "SET LOCAL lock_timeout = '{lock_timeout}ms'; SET LOCAL idle_in_transaction_session_timeout = '60s'"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_MAKE_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS {ledger} (plugin text NOT NULL, version text NOT NULL, checksum text NOT NULL,
    applied_at timestamptz NOT NULL, position integer NOT NULL, PRIMARY KEY (plugin, version))"""
_ENTRIES: Final = "SELECT version, checksum, applied_at FROM {ledger} WHERE plugin = $1 ORDER BY position"
_RECORD: Final = "INSERT INTO {ledger} (plugin, version, checksum, applied_at, position) VALUES ($1, $2, $3, $4, $5)"
_FORGET: Final = "DELETE FROM {ledger} WHERE plugin = $1 AND version = $2"

_HAS_LEDGER: Final = """
SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r'"""

_RELATIONS: Final = """
SELECT c.relname::text, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END,
    EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
            AND NOT a.attisdropped AND a.atttypid IN ('text'::regtype, 'varchar'::regtype))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'S')
ORDER BY c.oid"""
