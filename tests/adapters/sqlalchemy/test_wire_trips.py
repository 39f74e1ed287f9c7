"""How often a unit of work waits for the server, counted on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, make_places
from tests.adapters.sqlalchemy.wire import Wire

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, TenantProof
from prismicx.domain.errors import CommitOutcomeUnknownError, ConnectionLostError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Gadget, Gadgets, Widget, Widgets

Wired = tuple[SqlAlchemyBackend, Wire]


@pytest.fixture(params=[None, TenantProof("k" * 32)], ids=["setting", "proof"])
async def wired(database: PostgresDatabase, request: pytest.FixtureRequest) -> AsyncIterator[Wired]:
    parts = urlsplit(database.dsn)
    assert parts.hostname
    assert parts.port
    async with Wire(parts.hostname, parts.port) as wire:
        netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{wire.port}"
        through = DatabaseClient.from_dsn(urlunsplit(parts._replace(netloc=netloc)), min_pool_size=1, max_pool_size=1)
        admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
        backend = SqlAlchemyBackend(through, EXAMPLE_MAPPINGS, admin=admin, tenant_proof=request.param)
        await backend.initialise_database()
        await backend.start()
        await make_places(backend)
        yield backend, wire
        await backend.close()


async def insert(backend: SqlAlchemyBackend, *widgets: Widget, tenant: TenantId = ACME) -> None:
    async with backend.unit_of_work(tenant) as uow:
        uow.repository(Widgets).add_many(widgets)
        await uow.commit()


async def test_an_insert_is_three_trips_however_many_rows(wired: Wired) -> None:
    backend, wire = wired
    for count in (1, 2):  # one row and many have a statement each, prepared once
        await insert(backend, *(Widget() for _ in range(count)))

    for count in (1, 500):
        before = wire.trips
        await insert(backend, *(Widget() for _ in range(count)))
        assert wire.trips - before == 3


async def test_a_unit_with_one_query_is_three_trips(wired: Wired) -> None:
    backend, wire = wired
    widget = Widget(code="one")
    await insert(backend, widget)

    async def trips(query: str) -> int:
        before = wire.trips
        async with backend.unit_of_work(ACME) as uow:
            widgets = uow.repository(Widgets)
            match query:
                case "get":
                    await widgets.get(widget.id)
                case "find_one":
                    await widgets.find_one(Widget.code == "one")
                case "list":
                    await widgets.list(Widget.amount == 0, limit=50)
                case "count":
                    await widgets.count()
                case "exists":
                    await widgets.exists()
            await uow.commit()
        return wire.trips - before

    for query in ("get", "find_one", "list", "count", "exists"):
        await trips(query)
        assert (query, await trips(query)) == (query, 3)


async def test_load_change_commit_is_four_trips(wired: Wired) -> None:
    backend, wire = wired
    widget = Widget()
    await insert(backend, widget)

    async def change(amount: int) -> int:
        before = wire.trips
        async with backend.unit_of_work(ACME) as uow:
            (await uow.repository(Widgets).get(widget.id)).amount = amount
            await uow.commit()
        return wire.trips - before

    await change(1)
    assert await change(2) == 4


async def test_a_unit_that_is_left_without_commit_is_three_trips_too(wired: Wired) -> None:
    backend, wire = wired
    before = 0
    for _ in range(2):
        before = wire.trips
        async with backend.unit_of_work(ACME, read_only=True) as uow:
            await uow.repository(Gadgets).list()

    assert wire.trips - before == 3


async def test_another_tenant_of_the_same_schema_shape_prepares_once(wired: Wired) -> None:
    backend, wire = wired
    before = 0
    for tenant in (ACME, GLOBEX, ACME, GLOBEX):
        before = wire.trips
        async with backend.unit_of_work(tenant) as uow:
            uow.repository(Gadgets).add(Gadget())
            await uow.commit()

    assert wire.trips - before == 3


async def test_a_wire_that_breaks_before_commit_has_written_nothing(wired: Wired) -> None:
    backend, wire = wired
    async with backend.unit_of_work(ACME) as uow:
        await uow.repository(Widgets).count()
        wire.cut_before = b"INSERT"
        uow.repository(Widgets).add(Widget())
        with pytest.raises(ConnectionLostError):
            await uow.flush()
    wire.cut_before = None

    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Widgets).count() == 0


@pytest.mark.parametrize(("moment", "stored"), [("cut_before", 0), ("cut_after", 1)])
async def test_a_wire_that_breaks_during_commit_leaves_the_outcome_unknown(
    wired: Wired, moment: str, stored: int
) -> None:
    backend, wire = wired
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Widgets).add(Widget())
        setattr(wire, moment, b"COMMIT")
        with pytest.raises(CommitOutcomeUnknownError):
            await uow.commit()
    setattr(wire, moment, None)

    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Widgets).count() == stored
