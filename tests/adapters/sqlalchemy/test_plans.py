"""What PostgreSQL makes of the statements for many rows: it reads as far as it must in an index, and sorts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyUnitOfWork
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.following import Following
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import Repository
from prismicx.domain.specification import EVERYTHING, Attribute, Comparison, Order, Specification, asc, desc
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases

ACME, OTHER = TenantId("acme"), TenantId("other")
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 2000


class Entry(AggregateRoot):
    made_at: datetime
    seen_at: datetime | None = None
    number: int = 0


class Entries(Repository[Entry]):
    """The entries of one tenant."""


MAPPINGS = (EntityMapping(Entry, "entries", indexes=[["made_at", "id"], ["seen_at", "id"], ["number"]]),)


def backend_on(database: PostgresDatabase) -> SqlAlchemyBackend:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=2)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
    return SqlAlchemyBackend(client, MAPPINGS, admin=admin)


async def filled(database: PostgresDatabase) -> None:
    backend = backend_on(database)
    await backend.initialise_database()
    async with backend:
        for tenant in (ACME, OTHER):
            async with backend.unit_of_work(tenant) as uow:
                uow.repository(Entries).add_many(
                    Entry(
                        made_at=BEGINNING + timedelta(seconds=number // 2),
                        seen_at=BEGINNING + timedelta(seconds=number) if number % 2 else None,
                        number=number // 4,
                    )
                    for number in range(ROWS)
                )
                await uow.commit()
    owner = await asyncpg.connect(database.superuser_dsn)
    await owner.execute("ANALYZE entries")
    await owner.close()


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("plans", filled)


@pytest.fixture
async def backend(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    async with backend_on(database) as backend:
        yield backend


async def plan_of(backend: SqlAlchemyBackend, asked: Specification, order: Sequence[Order], limit: int) -> list[Any]:
    """Return the nodes of the plan that the unit's own statement gets, outermost first, but for the policy's."""
    async with backend.unit_of_work(ACME, read_only=True) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        placed = uow.tables[Entry]
        statement = uow.statements.rows(placed, asked, tuple(order), limit=limit)
        arguments = statement.arguments([ACME.value, *asked.values, limit])
        sql = f"EXPLAIN (FORMAT JSON) {statement.sql('public')}"
        (row,) = await uow.transaction.fetch(sql, arguments)
    nodes, node = [], row[0][0]["Plan"]
    while node is not None:
        nodes += [node] if node["Node Type"] != "Result" else []
        node = node.get("Plans", [None])[0]
    return nodes


@pytest.mark.parametrize("forwards", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
async def test_a_page_deep_in_a_list_is_read_from_its_place_in_the_index(
    backend: SqlAlchemyBackend, descending: bool, forwards: bool
) -> None:
    order = tuple(Order(Entry, name, descending) for name in ("made_at", "id"))
    order = order if forwards else tuple(key.reversed for key in order)
    place = (BEGINNING + timedelta(seconds=ROWS // 4), new_id())

    limit, scan = await plan_of(backend, Following(order, place, frozenset()), order, 51)

    assert (limit["Node Type"], scan["Node Type"]) == ("Limit", "Index Scan")
    assert scan["Index Name"] == "ix_entries_made_at_id"
    assert f"ROW(made_at, id) {'>' if descending is not forwards else '<'} ROW(" in scan["Index Cond"]
    assert "tenant_id" in scan["Index Cond"]


async def test_an_order_in_two_directions_is_read_from_its_first_key_on(backend: SqlAlchemyBackend) -> None:
    order = (desc(Entry.made_at), asc(Entry.id))
    place = (BEGINNING + timedelta(seconds=ROWS // 4), new_id())

    nodes = await plan_of(backend, Following(order, place, frozenset()), order, 51)

    assert [node["Node Type"] for node in nodes] == ["Limit", "Incremental Sort", "Index Scan"]
    assert "(made_at <= " in nodes[-1]["Index Cond"]


async def test_a_page_among_the_nulls_is_read_from_its_place_in_the_index(backend: SqlAlchemyBackend) -> None:
    order = (asc(Entry.seen_at), asc(Entry.id))

    limit, scan = await plan_of(backend, Following(order, (None, new_id()), frozenset(("seen_at",))), order, 51)

    assert (limit["Node Type"], scan["Node Type"]) == ("Limit", "Index Scan")
    assert "(seen_at IS NULL)" in scan["Index Cond"]
    assert "(id > " in scan["Index Cond"]


@pytest.mark.parametrize("name", ["id", "number"])
async def test_many_by_identity_or_by_key_are_found_by_the_index(backend: SqlAlchemyBackend, name: str) -> None:
    keys = tuple(new_id() for _ in range(20)) if name == "id" else tuple(range(20))
    asked = Comparison(Entry, name, "in", keys)

    nodes = await plan_of(backend, asked, (), 1000)

    assert f"({name} = ANY (" in nodes[-1]["Index Cond"]
    assert Attribute(Entry, name).in_(keys) == asked


async def test_a_small_limit_is_planned_for_and_a_large_one_is_an_argument(backend: SqlAlchemyBackend) -> None:
    async with backend.unit_of_work(ACME, read_only=True) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        placed = uow.tables[Entry]
        small, large, larger = (
            uow.statements.rows(placed, EVERYTHING, (asc(Entry.id),), limit=limit).sql("public")
            for limit in (50, 5000, 6000)
        )
        found = await uow.repository(Entries).list(limit=ROWS + 5000)

    assert small.split()[-2:] == ["LIMIT", "50"]
    assert large == larger
    assert large.split()[-1].startswith("$")
    assert len(found) == ROWS
