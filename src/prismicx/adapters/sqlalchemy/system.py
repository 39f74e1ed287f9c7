"""Work over all tenants on PostgreSQL: a login of its own, which policies of its own let in."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final, NoReturn

from prismicx.adapters.fields import TENANT_FIELD, entity_from
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.mapping import PlacedTable, Tables
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.repository import SqlAlchemyRepository
from prismicx.adapters.sqlalchemy.statements import Statements
from prismicx.adapters.sqlalchemy.tenancy import qualified, quoted, require_safe_role, role_statement
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.adapters.system import SystemRepository, TrackedSystemUnit
from prismicx.adapters.terms import WRITING
from prismicx.adapters.wiring import Wiring
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import MappingError, UnsafeRoleError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import Reference, Shared
from prismicx.domain.ports import RootT
from prismicx.domain.specification import TENANT
from prismicx.domain.system import SystemAccess

SYSTEM_POLICY: Final = "prismicx_system"
"""What lets the system's role see and change the rows of all tenants; no other role is named by it."""


class TableOfAll(PlacedTable):
    """A shared table as work over all tenants has it: the tenant is one more attribute, and no scope."""

    identity = ("id", TENANT)

    def __init__(self, placed: PlacedTable, tenant: Any) -> None:
        self.mapping, self.table, self.version, self.keys = placed.mapping, placed.table, placed.version, placed.keys
        self.fields = (*placed.fields, TENANT_FIELD)
        self.columns = {**placed.columns, TENANT: tenant}
        self.tenant = None


class TablesOfAll(Tables):
    """The tables that work over all tenants reaches: the shared ones, and the registry's."""

    def __init__(self, tables: Tables) -> None:
        self.keys = tables.keys
        self._placed = {
            placed.mapping.entity: placed if placed.tenant is None else TableOfAll(placed, placed.tenant)
            for placed in tables.placed_as(Shared(), Reference())
        }


class SqlAlchemySystemUnitOfWork(TrackedSystemUnit, SqlAlchemyUnitOfWork):
    """A unit of work over all tenants in one PostgreSQL transaction. It has no SQLAlchemy session."""

    @property
    def session(self) -> NoReturn:
        """Refused: what a team writes itself is for one tenant.

        Raises:
            UnsupportedOperationError: always.
        """
        self.require_open()
        self.refuse("a session")

    def _key(self, placed: PlacedTable, entity: AggregateRoot) -> tuple[Any, ...]:
        return entity.id, str(entity.tenant)


class SqlAlchemySystemRepository(SystemRepository[RootT], SqlAlchemyRepository[RootT]):
    """The aggregates of one kind that all tenants have on PostgreSQL."""

    def _identity(self, row: Any) -> Hashable:
        return self._tenant_of(row[len(self._names) - 1]), row[0]

    def _made(self, values: dict[str, Any], *, version: int) -> RootT:
        return entity_from(self._kind, values, version=version, tenant=self._tenant_of(values.pop(TENANT, None)))

    def _tenant_of(self, name: Any) -> TenantId | None:
        return TenantId(name) if self._spans_tenants else None


class SystemScope:
    """The door to all tenants on PostgreSQL: its client, what prepares the database for it, and its units of work."""

    def __init__(self, client: DatabaseClient, tables: Tables, statements: Statements) -> None:
        self.client = client
        self._tables = tables
        self._tables_of_all = TablesOfAll(tables)
        self._statements = statements

    def setup_statements(self, database: str) -> Iterator[str]:
        """Yield the statements that make the system's role and let it in: to all rows, and to no insert of any.

        The application's policies stay as they are, for what a policy opens it opens to the roles that it names.
        """
        role = quoted(self.client.user)
        yield role_statement(self.client.user)
        yield f"GRANT CONNECT ON DATABASE {quoted(database)} TO {role}"
        yield f"GRANT USAGE ON SCHEMA public TO {role}"
        for placed in self._tables.placed_as(Shared()):
            name = qualified(placed.schema(None), placed.table.name)
            yield f"DROP POLICY IF EXISTS {SYSTEM_POLICY} ON {name}"
            yield f"CREATE POLICY {SYSTEM_POLICY} ON {name} TO {role} USING (true) WITH CHECK (true)"
            yield f"GRANT SELECT, UPDATE, DELETE ON {name} TO {role}"
        for placed in self._tables.placed_as(Reference()):
            yield f"GRANT SELECT ON {qualified(placed.schema(None), placed.table.name)} TO {role}"
        yield f"GRANT INSERT ON {_record(self._tables)} TO {role}"

    async def start(self, *, application: str) -> None:
        """Connect, and check the role.

        Raises:
            DatabaseUnavailableError: the server cannot be reached, or refuses the role.
            UnsafeRoleError: it is the application's, could walk around its policies, or could rewrite the record of
                accesses; or the application's role could become it.
            MappingError: it lacks a right, or a policy that lets it in.
        """
        await self.client.initialize()
        async with self.client.connection() as connection:
            await _require_system_role(connection, self._tables, application=application)

    async def close(self) -> None:
        """Give every connection back. Closing twice does nothing."""
        await self.client.close()

    def unit(self, access: SystemAccess, *, wiring: Wiring, registry: Wiring) -> SqlAlchemySystemUnitOfWork:
        """Return a unit of work over all tenants, not yet entered."""
        record = SqlAlchemyUnitOfWork(
            None,
            terms=WRITING,
            wiring=registry,
            client=self.client,
            tables=self._tables,
            statements=self._statements,
        )
        return SqlAlchemySystemUnitOfWork(
            access,
            record=record,
            wiring=wiring,
            client=self.client,
            tables=self._tables_of_all,
            statements=self._statements,
        )


async def _require_system_role(connection: Connection, tables: Tables, *, application: str) -> None:
    await require_safe_role(connection)
    role, is_applications, rewrites, records = await connection.fetchrow(_POWERS, application, _record(tables))
    if is_applications:
        raise UnsafeRoleError(application, [f"it is {role}, the system's role, or can become it"])
    if rewrites:
        raise UnsafeRoleError(role, ["it could rewrite the record of accesses"])
    problems = [] if records else [f"{_record(tables)} takes no records of the system's role {role}"]
    for placed in tables.placed_as(Shared()):
        name = qualified(placed.schema(None), placed.table.name)
        if not await connection.fetchval(_IS_LET_IN, name, SYSTEM_POLICY):
            problems.append(f"{name} does not let the system's role {role} in")
    if problems:
        raise MappingError([f"{problem} (`prismicx db init` sees to it)" for problem in problems])


def _record(tables: Tables) -> str:
    placed = tables[SystemAccess]
    return qualified(placed.schema(None), placed.table.name)


_POWERS: Final = """
SELECT current_user::text, pg_has_role($1::name, current_user, 'MEMBER'),
    has_any_column_privilege($2, 'UPDATE') OR has_table_privilege($2, 'DELETE') OR has_table_privilege($2, 'TRUNCATE'),
    has_table_privilege($2, 'INSERT')"""

_IS_LET_IN: Final = """
SELECT has_table_privilege($1, 'SELECT') AND has_table_privilege($1, 'UPDATE') AND has_table_privilege($1, 'DELETE')
AND EXISTS (SELECT FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_roles r ON r.oid = ANY(p.polroles)
            WHERE p.polrelid = $1::regclass AND p.polname = $2 AND r.rolname = current_user)"""
