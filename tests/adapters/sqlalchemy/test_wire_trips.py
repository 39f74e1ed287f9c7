"""How often a unit of work waits for the server, counted on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel
from sqlalchemy import BigInteger, Text, Uuid, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, make_places
from tests.adapters.sqlalchemy.wire import Wire

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyUnitOfWork, TenantProof, raw_sql
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import CommitOutcomeUnknownError, ConnectionLostError
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.locking import Lock
from prismicx.domain.placement import EntityMapping
from prismicx.domain.specification import asc
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
        mappings = (*EXAMPLE_MAPPINGS, EntityMapping(Parcel, "parcels"))
        tables = {Parcel: ParcelRow}
        backend = SqlAlchemyBackend(through, mappings, admin=admin, tables=tables, tenant_proof=request.param)
        await backend.initialise_database()
        await backend.start()
        await make_places(backend)
        yield backend, wire
        await backend.close()


class Base(DeclarativeBase):
    """What the session has."""


class ParcelRow(Base):
    """What the session has of a parcel."""

    __tablename__ = "parcels"
    tenant_id: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    label: Mapped[str] = mapped_column(Text)


class Noted(BaseModel):
    """A part of a widget."""

    note: str | None


class Parcel(AggregateRoot):
    """An aggregate that the session has too."""

    label: str


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


QUERIES: dict[str, Callable[[Widgets, UUID], Awaitable[object]]] = {
    "get": lambda widgets, identity: widgets.get(identity),
    "find_one": lambda widgets, _: widgets.find_one(Widget.code == "one"),
    "list": lambda widgets, _: widgets.list(Widget.amount == 0, limit=50),
    "fetch": lambda widgets, identity: widgets.fetch([identity]),
    "page": lambda widgets, _: widgets.page(order_by=asc(Widget.amount), size=50),
    "count": lambda widgets, _: widgets.count(),
    "exists": lambda widgets, _: widgets.exists(),
}


async def test_a_unit_with_one_query_is_three_trips(wired: Wired) -> None:
    backend, wire = wired
    widget = Widget(code="one")
    await insert(backend, widget)

    async def trips(query: str) -> int:
        before = wire.trips
        async with backend.unit_of_work(ACME) as uow:
            await QUERIES[query](uow.repository(Widgets), widget.id)
            await uow.commit()
        return wire.trips - before

    for query in QUERIES:
        await trips(query)
        assert (query, await trips(query)) == (query, 3)


async def test_a_query_of_a_read_scope_is_one_trip(wired: Wired) -> None:
    backend, wire = wired
    widget = Widget(code="one")
    await insert(backend, widget)

    async def trips(query: str) -> int:
        before = wire.trips
        async with backend.read(ACME) as scope:
            await QUERIES[query](scope.repository(Widgets), widget.id)
        return wire.trips - before

    one = 1 if backend._client.proof is None else 3
    for query in QUERIES:
        await trips(query)
        assert (query, await trips(query)) == (query, one)


async def test_another_tenant_reads_with_the_statements_that_are_prepared(wired: Wired) -> None:
    backend, wire = wired
    before = 0
    for tenant in (ACME, GLOBEX):
        before = wire.trips
        async with backend.read(tenant) as scope:
            await scope.repository(Widgets).count()

    assert wire.trips - before == (1 if backend._client.proof is None else 3)


async def test_a_read_of_many_is_three_trips_however_many(wired: Wired) -> None:
    backend, wire = wired
    many = [Widget(note=f"{number}") for number in range(300)]
    await insert(backend, *many)
    async with backend.unit_of_work(ACME, read_only=True) as uow:
        middle = await uow.repository(Widgets).page(size=100)
        middle = await uow.repository(Widgets).page(size=100, after=middle.next)

    async def trips(query: str) -> int:
        before = wire.trips
        async with backend.unit_of_work(ACME) as uow:
            widgets = uow.repository(Widgets)
            match query:
                case "after":
                    await widgets.page(size=100, after=middle.next)
                case "before":
                    await widgets.page(size=100, before=middle.previous)
                case "fetch":
                    await widgets.fetch(each.id for each in many)
                    await widgets.fetch(each.id for each in many[:50])
                case "list_by":
                    await widgets.list_by(Widget.note, [each.note for each in many])
                case "into":
                    await widgets.list(into=Noted)
                case "lock":
                    await widgets.list(lock=Lock.SKIP)
            await uow.commit()
        return wire.trips - before

    for query in ("after", "before", "fetch", "list_by", "into", "lock"):
        await trips(query)
        assert (query, await trips(query)) == (query, 3)


async def test_a_write_by_key_or_by_criteria_is_three_trips_whatever_is_there(wired: Wired) -> None:
    backend, wire = wired

    async def trips(write: str) -> int:
        before = wire.trips
        async with backend.unit_of_work(ACME) as uow:
            widgets = uow.repository(Widgets)
            match write:
                case "upsert":
                    await widgets.upsert(Widget(code="one"), on=Widget.code)
                case "create":
                    await widgets.get_or_create(Widget(code=str(new_id())), on=Widget.code)
                case "get":
                    await widgets.get_or_create(Widget(code="one"), on=Widget.code)
                case "update_where":
                    await widgets.update_where(Widget.amount >= 0, name="new")
                case "delete_where":
                    await widgets.delete_where(Widget.amount >= 0)
            await uow.commit()
        return wire.trips - before

    for write in ("upsert", "create", "get", "update_where", "delete_where"):
        await trips(write)
        assert (write, await trips(write)) == (write, 3)


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


def row(label: str = "") -> ParcelRow:
    return ParcelRow(id=uuid4(), label=label)


async def loaded(uow: SqlAlchemyUnitOfWork) -> ParcelRow:
    return await uow.session.get_one(ParcelRow, (ACME.value, KEPT))


async def listed(uow: SqlAlchemyUnitOfWork) -> None:
    (await uow.session.scalars(select(ParcelRow).where(ParcelRow.label != "").limit(50))).all()


async def inserted(uow: SqlAlchemyUnitOfWork) -> None:
    uow.session.add(row())


async def changed(uow: SqlAlchemyUnitOfWork) -> None:
    (await loaded(uow)).label = str(uuid4())


async def mixed(uow: SqlAlchemyUnitOfWork) -> None:
    await changed(uow)
    uow.session.add_all([row(), row(), row()])


async def counted(uow: SqlAlchemyUnitOfWork) -> None:
    await uow.session.execute(raw_sql("SELECT count(*) FROM public.parcels"))


KEPT = uuid4()
SESSIONS: tuple[tuple[Callable[[SqlAlchemyUnitOfWork], Awaitable[object]], int], ...] = (
    (loaded, 3),
    (listed, 3),
    (inserted, 3),
    (counted, 3),
    (changed, 4),
    (mixed, 5),
)


async def test_a_session_takes_no_trip_of_its_own_to_begin_or_to_end(wired: Wired) -> None:
    backend, wire = wired

    async def trips(work: Callable[[SqlAlchemyUnitOfWork], Awaitable[object]], *, lasts: bool) -> int:
        before = wire.trips
        async with backend.unit_of_work(ACME) as uow:
            assert isinstance(uow, SqlAlchemyUnitOfWork)
            await work(uow)
            if lasts:
                await uow.commit()
            else:
                await uow.flush()
        return wire.trips - before

    async with backend.unit_of_work(ACME) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        uow.session.add(ParcelRow(id=KEPT, label="kept"))
        await uow.commit()
    for work, expected in SESSIONS:
        await trips(work, lasts=True)
        assert (work.__name__, await trips(work, lasts=True)) == (work.__name__, expected)
        assert (work.__name__, await trips(work, lasts=False)) == (work.__name__, expected)


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
