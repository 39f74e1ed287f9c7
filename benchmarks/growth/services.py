"""The contenders, each in one of the databases: raw asyncpg, and prismicx that lets in whom the registry has active."""

from __future__ import annotations

from random import Random
from typing import Final

from benchmarks.growth.sizes import Server, Size, tenant_of
from benchmarks.units.contender import Contender
from benchmarks.units.customers import MAPPINGS, identity, seen
from benchmarks.units.product import Prismicx
from benchmarks.units.raw import RawAsyncpg
from benchmarks.units.workloads import PAGE, Workload, WrongAnswerError

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.application.directory import TenantDirectory

_CONNECTIONS: Final = 2
_PLACES: Final = 100


class RawInOne(RawAsyncpg):
    """Raw asyncpg in one of the databases."""

    def __init__(self, server: Server, size: Size) -> None:
        self.name = f"raw asyncpg, {size.name}"
        self.size = size
        self._server = server

    async def open_here(self) -> None:
        """Connect as the application's role."""
        await self.open(self._server.dsn(self.size))
        for connection in self._idle[_CONNECTIONS:]:
            await connection.close()
        del self._idle[_CONNECTIONS:]


class PrismicxInOne(Prismicx):
    """prismicx in one of the databases, with a directory over its registry."""

    def __init__(self, server: Server, size: Size) -> None:
        self.name = f"prismicx, {size.name}"
        self.size = size
        self._server = server

    async def open_here(self) -> None:
        """Connect as the application's role, and as the owner for the registry."""
        client = DatabaseClient.from_dsn(
            self._server.dsn(self.size), min_pool_size=_CONNECTIONS, max_pool_size=_CONNECTIONS
        )
        admin = DatabaseClient.from_dsn(self._server.admin_dsn(self.size), min_pool_size=1)
        self._cursors = {}
        self._directory = TenantDirectory(lambda: self._backend)
        self._backend = SqlAlchemyBackend(client, MAPPINGS, admin=admin, admission=self._directory)
        await self._backend.start()
        await self._directory.__aenter__()

    async def close(self) -> None:
        await self._directory.__aexit__(None, None, None)
        await super().close()


InOne = RawInOne | PrismicxInOne


async def check(contender: InOne) -> None:
    """Compare a contender's answers with what is stored.

    Raises:
        WrongAnswerError: they differ.
    """
    tenant, number = tenant_of(contender.size.tenants - 1), contender.size.rows // 3
    found = await contender.get_by_id(tenant, identity(tenant, number))
    page = await contender.page_50(tenant, number)
    if found != seen(tenant, number) or page != [seen(tenant, number + 1 + offset) for offset in range(PAGE)]:
        raise WrongAnswerError(contender.name)
    if await contender.get_by_id(tenant_of(0), identity(tenant, number)) is not None:
        raise WrongAnswerError(f"{contender.name} sees another tenant's row")


async def _get(contender: Contender, random: Random) -> None:
    assert isinstance(contender, InOne)
    tenant = tenant_of(random.randrange(contender.size.tenants))
    if await contender.get_by_id(tenant, identity(tenant, random.randrange(contender.size.rows))) is None:
        raise WrongAnswerError(contender.name)


async def _page(contender: Contender, random: Random) -> None:
    assert isinstance(contender, InOne)
    places = Random(random.randrange(_PLACES))  # as many cursors as a service has at hand: to make one is not timed
    tenant = tenant_of(places.randrange(contender.size.tenants))
    if len(await contender.page_50(tenant, places.randrange(contender.size.rows - PAGE - 1))) != PAGE:
        raise WrongAnswerError(contender.name)


WORKLOADS: Final = (Workload("get", "get by id", _get), Workload("page", "page of 50", _page))
