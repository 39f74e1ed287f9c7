"""The world of one run: a backend, its tenants and their places, the repositories under proof, the way to its loop."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from types import new_class
from typing import Any, Final, NoReturn, TypeVar, cast

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.repository import compose, entity_of
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import NotMappedError, UnsupportedOperationError
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.placement import TenantSchema
from prismicx.domain.ports import ProvisioningStep, Repository
from prismicx.domain.tenancy import DatabaseConfig, Tenant
from prismicx.testing.isolation.findings import IsolationBrokenError
from prismicx.testing.isolation.marks import Marks
from prismicx.testing.isolation.queries import Query, Wishes, queries_of
from prismicx.testing.isolation.values import Subject, subject_of

ResultT = TypeVar("ResultT")

_NAMES: Final = ("acme", "globex", "initech", "umbrella", "hooli")


@dataclass(frozen=True, slots=True)
class Port:
    """One repository under proof: its class, the bare one of the same aggregate, and what is known of its methods."""

    repository: type[Repository[Any]]
    everything: type[Repository[Any]]
    subject: Subject
    queries: Sequence[Query]

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.repository.__name__


@dataclass
class Witness:
    """What a run has met, so that one that proves nothing is told from one that does.

    Attributes:
        histories: that ended well.
        met: how often each operation was asked for, `list`, and each error met, `commit ConcurrencyError`.
        stored: repositories and tenants for which something was committed.
        answered: the team's own methods that returned something, as `CustomerRepository.by_email`.
        refused: by method, the last error that it raised.
    """

    histories: int = 0
    met: Counter[str] = field(default_factory=Counter)
    stored: set[tuple[str, TenantId]] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


class World:
    """What all histories of one run share. They run in a thread; what they await is awaited on the backend's loop."""

    def __init__(
        self,
        backend: TrackedBackend,
        repositories: Sequence[Callable[..., Repository[Any]]],
        *,
        tenants: int | Sequence[TenantId],
        wishes: Wishes,
        patience: float,
    ) -> None:
        self.backend = backend
        self.tenants = _named(tenants)
        self.marks = Marks(self.tenants)
        self.patience = patience
        self.witness = Witness()
        self.has_savepoints = True
        self.ports = [
            self._port(cast("type[Repository[Any]]", given), wishes) for given in repositories
        ]  # ports are classes
        kinds = {port.subject.kind for port in self.ports}
        self.mappings = [found for kind, found in backend._wiring.mappings.items() if kind in kinds]
        self.queries = [(port, query) for port in self.ports for query in port.queries]
        self.history: list[Any] = []
        self.failing: list[Any] = []
        self.shortest: IsolationBrokenError | None = None
        self.is_spoiled = False
        self._loop = asyncio.get_running_loop()
        self._stopped = False

    async def make_places(self) -> None:
        """Make the places of the tenants, where the backend has steps that make any, and see what it can do."""
        for tenant in self.tenants:
            for step in self._steps():
                await step.ensure(self._registered(tenant))
        async with self.backend.unit_of_work(self.tenants[0]) as uow:
            try:
                async with uow.savepoint():
                    pass
            except UnsupportedOperationError:
                self.has_savepoints = False

    async def unmake_places(self) -> None:
        """Unmake the places, with all that is in them."""
        for tenant in self.tenants:
            for step in reversed(self._steps()):
                await step.remove(self._registered(tenant))

    async def clear(self, tenants: Sequence[TenantId]) -> None:
        """Remove everything that these tenants have in the repositories."""
        for tenant in tenants:
            async with self.backend.unit_of_work(tenant) as uow:
                for port in reversed(self.ports):
                    everything = uow.repository(port.everything)
                    for aggregate in await everything.list():
                        everything.remove(aggregate)
                await uow.commit()

    def wait_for(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return what the coroutine returns on the backend's loop. For the histories' thread only."""
        if self._stopped:
            work.close()
            raise KeyboardInterrupt
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def port_of(self, kind: type[AggregateRoot]) -> Port:
        """Return the repository under proof of this kind of aggregate."""
        return next(port for port in self.ports if port.subject.kind is kind)

    def stop(self) -> None:
        """Have the histories end with their next step."""
        self._stopped = True

    def fail(self, found: IsolationBrokenError | None = None) -> NoReturn:
        """Raise what was found, and keep it if its history is the shortest so far; without a finding, raise that."""
        if found is not None and (self.shortest is None or len(found.history) <= len(self.shortest.history)):
            self.shortest = found
            self.failing = list(self.history)
        raise found or self.shortest or AssertionError

    def _port(self, repository: type[Repository[Any]], wishes: Wishes) -> Port:
        wiring = self.backend._wiring
        kind = entity_of(repository)
        if kind not in wiring.mappings:
            raise NotMappedError(kind.__name__)
        subject = subject_of(wiring.mappings[kind], wishes.values)
        implementation = compose(wiring.repositories.get(repository, repository), wiring.repository_class)
        queries = queries_of(repository, implementation, subject, wishes, tenants=len(self.tenants))
        everything = new_class(f"Every{kind.__name__}", (Repository[kind],))  # type: ignore[valid-type]  # made at run time
        return Port(repository, everything, subject, queries)

    def _steps(self) -> Sequence[ProvisioningStep]:
        steps: Callable[[], Sequence[ProvisioningStep]] = getattr(self.backend, "steps", tuple)
        return steps()

    def _registered(self, tenant: TenantId) -> Tenant:
        placements = [found.placement for found in self.backend._wiring.mappings.values()]
        plugin_types = {found.plugin_type for found in placements if isinstance(found, TenantSchema)}
        return Tenant.register(
            tenant,
            name=str(tenant),
            region=Region("test"),
            tier=Tier("test"),
            database_config=DatabaseConfig.of(tenant, connection="test"),
            plugin_types=tuple(sorted(plugin_types)),
            steps=(),
        )


def _named(tenants: int | Sequence[TenantId]) -> tuple[TenantId, ...]:
    if not isinstance(tenants, int):
        chosen = tuple(tenants)
    else:
        run = secrets.token_hex(3)  # so that several runs on one database do not meet
        chosen = tuple(
            TenantId(f"{_NAMES[number % len(_NAMES)]}{number // len(_NAMES) or ''}-{run}") for number in range(tenants)
        )
    if len(set(chosen)) < 2:
        raise ValueError("isolation is between tenants: give at least two")
    return chosen
