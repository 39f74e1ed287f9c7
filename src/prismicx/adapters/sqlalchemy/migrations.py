"""Plugin migrations: scripts that run as the role that owns one schema, and can do nothing beyond it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.provisioning import Provisioner
from prismicx.adapters.sqlalchemy.tenancy import (
    literal,
    protecting_statements,
    qualified,
    quoted,
)
from prismicx.adapters.sqlalchemy.transaction import Transaction
from prismicx.domain.errors import ChecksumMismatchError
from prismicx.domain.identifiers import PluginType, TenantId, plugin_schema_name
from prismicx.domain.plugins import SchemaMigration
from prismicx.domain.ports import PluginSchemas

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
    """

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner

    async def migrate(
        self, tenant: TenantId, plugin_type: PluginType, plugin: str, migrations: Sequence[SchemaMigration]
    ) -> None:
        schema = plugin_schema_name(tenant, plugin_type)
        await self._provisioner.ensure(schema, self._provisioner.plugin_tables(plugin_type))
        async with self._provisioner.locked(schema), self._as_owner_of(schema) as connection:
            await connection.execute(self._provisioner.admin.opening("BEGIN", tenant, connection))
            await connection.execute("SET LOCAL lock_timeout = '30s'")
            await _run(connection, schema, plugin, migrations)
            await _protect(connection, schema, tenant=tenant, provisioner=self._provisioner)
            await connection.execute("COMMIT")

    async def applied(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[str]:
        schema = plugin_schema_name(tenant, plugin_type)
        transaction = Transaction(self._provisioner.client, tenant, read_only=True, keys={})
        await transaction.begin()
        try:
            found = await transaction.fetch(_HAS_LEDGER, [schema, LEDGER])
            if not found:
                return []
            ledger = qualified(schema, LEDGER)
            query = f"SELECT version FROM {ledger} WHERE plugin = $1 ORDER BY position"  # noqa: S608 -- a quoted name
            rows = await transaction.fetch(query, [plugin])
            return [row[0] for row in rows]
        finally:
            await transaction.rollback()

    @asynccontextmanager
    async def _as_owner_of(self, schema: str) -> AsyncIterator[Connection]:
        """Log in as the schema's role; by the time anything runs, nobody can do so any more."""
        role, password = self._provisioner.role(schema), secrets.token_urlsafe(32)
        admin = self._provisioner.admin
        async with admin.connection() as owner:
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


async def _run(connection: Connection, schema: str, plugin: str, migrations: Sequence[SchemaMigration]) -> None:
    ledger = qualified(schema, LEDGER)
    await connection.execute(
        f"CREATE TABLE IF NOT EXISTS {ledger} (plugin text NOT NULL, version text NOT NULL, checksum text NOT NULL, "
        "applied_at timestamptz NOT NULL, position integer NOT NULL, PRIMARY KEY (plugin, version))"
    )
    known = await connection.fetch(f"SELECT version, checksum FROM {ledger} WHERE plugin = $1", plugin)  # noqa: S608 -- a quoted name of ours
    applied: dict[str, str] = dict(known)
    for migration in migrations:
        version = str(migration.version_to)
        if version in applied:
            if applied[version] != migration.checksum:
                raise ChecksumMismatchError(
                    plugin=plugin, version=version, applied=applied[version], given=migration.checksum
                )
            continue
        script = migration.script.replace(_PLACEHOLDER, quoted(schema))
        await connection.execute("SELECT set_config('prismicx.script', $1, true)", script)
        await connection.execute("DO $body$ BEGIN EXECUTE current_setting('prismicx.script'); END $body$")
        await connection.execute(
            f"INSERT INTO {ledger} (plugin, version, checksum, applied_at, position) VALUES ($1, $2, $3, $4, $5)",  # noqa: S608 -- a quoted name of ours
            plugin,
            version,
            migration.checksum,
            datetime.now(UTC),
            len(applied) + 1,
        )
        applied[version] = migration.checksum


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
