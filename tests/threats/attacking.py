"""How an attack is run inside a unit of work: as SQL of the team's own, behind row-level security alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from tests.threats.service import ACME, GLOBEX, Items

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork, raw_sql
from prismicx.domain.errors import PrismicxError
from prismicx.domain.identifiers import TenantId

OTHER = "globex"


def unit(backend: SqlAlchemyBackend, tenant: TenantId = ACME) -> SqlAlchemyUnitOfWork:
    """Return a unit of work, not yet entered."""
    opened = backend.unit_of_work(tenant)
    assert isinstance(opened, SqlAlchemyUnitOfWork)
    return opened


async def attacked(backend: SqlAlchemyBackend, *statements: str, tenant: TenantId = ACME) -> list[tuple[Any, ...]]:
    """Return what the last statement finds, run in a unit of a tenant; then everything is taken back."""
    async with unit(backend, tenant) as uow:
        for statement in statements[:-1]:
            await uow.session.execute(raw_sql(statement))
        return [tuple(row) for row in (await uow.session.execute(raw_sql(statements[-1]))).all()]


async def refusal(backend: SqlAlchemyBackend, *statements: str) -> str:
    """Return the SQLSTATE with which the database refuses the last statement; the ones before it must pass."""
    async with unit(backend) as uow:
        for statement in statements[:-1]:
            await uow.session.execute(raw_sql(statement))
        try:
            await uow.session.execute(raw_sql(statements[-1]))
        except (DBAPIError, PrismicxError) as error:
            return str(getattr(error.__cause__, "sqlstate", ""))
    return "passed"


def leaks(rows: Sequence[Sequence[object]]) -> bool:
    """Tell whether anything of the other tenant is in these rows."""
    return any(OTHER in str(value) for row in rows for value in row)


async def id_of_globex(backend: SqlAlchemyBackend) -> UUID:
    async with unit(backend, GLOBEX) as uow:
        return (await uow.repository(Items).list())[0].id
