"""What a statement of the team's own raises: what concerns the unit is said as repositories say it."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from tests.adapters.sqlalchemy.conftest import ACME
from tests.adapters.sqlalchemy.test_session import store, unit

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, raw_sql
from prismicx.domain.errors import (
    PermissionDeniedError,
    PrismicxError,
    ReadOnlyUnitOfWorkError,
    StatementTimeoutError,
    TransactionConflictError,
)
from prismicx.testing.examples import Widget


@pytest.mark.parametrize(
    "refused",
    [
        "SELECT * FROM prismicx.tenants",
        "TRUNCATE public.widgets",
        "UPDATE public.widgets SET tenant_id = 'globex'",
        "CREATE TABLE public.mine ()",
    ],
)
async def test_what_the_walls_refuse_is_a_refusal(backend: SqlAlchemyBackend, refused: str) -> None:
    await store(backend, ACME, Widget())

    async with unit(backend) as uow:
        with pytest.raises(PermissionDeniedError):
            await uow.session.execute(raw_sql(refused))


async def test_a_write_in_a_read_only_unit_is_named_so(backend: SqlAlchemyBackend) -> None:
    async with unit(backend, read_only=True) as uow:
        with pytest.raises(ReadOnlyUnitOfWorkError):
            await uow.session.execute(raw_sql("DELETE FROM public.widgets"))


async def test_a_statement_that_takes_too_long_is_named_so(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        await uow.session.execute(raw_sql("SET LOCAL statement_timeout = 1"))
        with pytest.raises(StatementTimeoutError):
            await uow.session.execute(raw_sql("SELECT pg_sleep(10)"))


async def test_a_conflict_can_be_tried_again(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, Widget())

    async with unit(backend) as first, unit(backend) as second:
        await first.session.execute(raw_sql("SELECT FROM public.widgets FOR UPDATE"))
        with pytest.raises(TransactionConflictError) as conflict:
            await second.session.execute(raw_sql("SELECT FROM public.widgets FOR UPDATE NOWAIT"))

    assert conflict.value.code == "55P03"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1 / 0", DBAPIError),
        ("SELECT nothing", ProgrammingError),
        ("INSERT INTO public.widgets SELECT * FROM public.widgets", IntegrityError),
    ],
)
async def test_what_the_statement_has_to_answer_for_stays_sqlalchemys(
    backend: SqlAlchemyBackend, statement: str, error: type[Exception]
) -> None:
    await store(backend, ACME, Widget())

    async with unit(backend) as uow:
        with pytest.raises(error) as raised:
            await uow.session.execute(raw_sql(statement))

    assert not isinstance(raised.value, PrismicxError)


async def test_a_refusal_inside_a_nested_block_is_taken_back_with_it(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, Widget(name="kept"))

    async with unit(backend) as uow:
        with pytest.raises(PermissionDeniedError):  # noqa: PT012 -- the block is what is tested
            async with uow.session.begin_nested():
                await uow.session.execute(raw_sql("UPDATE public.widgets SET name = 'changed'"))
                await uow.session.execute(raw_sql("TRUNCATE public.widgets"))

        assert (await uow.session.execute(raw_sql("SELECT name FROM public.widgets"))).all() == [("kept",)]
