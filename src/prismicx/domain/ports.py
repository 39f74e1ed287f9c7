"""What the application asks of the outside world. Adapters answer; nothing here knows a driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from uuid import UUID

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.pages import Cursor, Page
from prismicx.domain.plugins import SchemaMigration
from prismicx.domain.specification import Criteria, Order
from prismicx.domain.tenancy import Tenant

if TYPE_CHECKING:
    from prismicx.domain.system_unit import SystemUnitOfWork

RootT = TypeVar("RootT", bound=AggregateRoot)
RepositoryT = TypeVar("RepositoryT", bound="Repository[Any]")


class Repository(ABC, Generic[RootT]):
    """The aggregates of one kind that one tenant can see (Evans; Fowler, PoEAA: Repository).

    Subclass it with the queries that the domain speaks of; the subclass runs on every backend. What it returns is
    tracked: a change to it is written when the unit of work commits. Every query sees the unit's own changes.
    Within one unit, one identity is one object.
    """

    @abstractmethod
    def add(self, aggregate: RootT) -> None:
        """Put a new aggregate into the collection; it is written with the next flush, at the latest by commit.

        Raises:
            CrossTenantError: it belongs to another tenant.
            DuplicateEntityError: this unit of work already holds another one with this identity.
            UnstorableValueError: it holds a value that not every database can keep.
        """

    @abstractmethod
    def add_many(self, aggregates: Iterable[RootT]) -> None:
        """Put several new aggregates into the collection, all or none; they are written in one statement."""

    @abstractmethod
    async def get(self, identity: UUID) -> RootT:
        """Return the aggregate with this identity, read in this unit of work's transaction.

        Raises:
            EntityNotFoundError: none exists for this tenant (another tenant's counts as none).
        """

    @abstractmethod
    async def find(self, identity: UUID) -> RootT | None:
        """Return the aggregate with this identity, or `None` where this tenant has none."""

    @abstractmethod
    async def find_one(self, criteria: Criteria, /) -> RootT | None:
        """Return the aggregate that meets the criteria: the one with the smallest id where several do."""

    @abstractmethod
    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
        track: bool = True,
    ) -> list[RootT]:
        """Return all that meet the criteria, in order (then by id): no silent limit.

        With `track=False` changes to them are not written, which spares a snapshot of each.
        """

    @abstractmethod
    async def page(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
        size: int = 50,
        after: Cursor | None = None,
    ) -> Page[RootT]:
        """Return at most `size` of what meets the criteria, from the cursor on.

        Raises:
            InvalidCursorError: the cursor is damaged, or of another query, order or tenant.
        """

    @abstractmethod
    def stream(
        self, criteria: Criteria | None = None, /, *, order_by: Order | Sequence[Order] = ()
    ) -> AsyncIterator[RootT]:
        """Yield all that meet the criteria, in order, a batch at a time; what it yields is not tracked."""

    @abstractmethod
    async def count(self, criteria: Criteria | None = None, /) -> int:
        """Return how many meet the criteria."""

    @abstractmethod
    async def exists(self, criteria: Criteria | None = None, /) -> bool:
        """Tell whether any meets the criteria."""

    @abstractmethod
    def remove(self, aggregate: RootT) -> None:
        """Take the aggregate out of the collection; it is deleted with the next flush, at the latest by commit.

        Raises:
            EntityNotFoundError: this unit of work has not read or added it.
            CrossTenantError: it belongs to another tenant.
        """


class UnitOfWork(ABC):
    """One business transaction of one tenant on one backend (Fowler, PoEAA: Unit of Work).

    Enter it with `async with`. Nothing lasts without `commit`, which also ends it; leaving discards what was not
    committed. It belongs to the task that opened it.
    """

    @property
    @abstractmethod
    def tenant(self) -> TenantId | None:
        """The tenant, fixed when the unit was opened; `None` in the registry and for system units."""

    @abstractmethod
    def repository(self, port: Callable[..., RepositoryT], /) -> RepositoryT:
        """Return this unit's repository of this class: `uow.repository(CustomerRepository)`.

        Raises:
            NotMappedError: the backend has no mapping for the aggregate, or it lives outside this unit's reach.
        """

    @abstractmethod
    async def flush(self) -> None:
        """Write what was added, changed and removed, without ending the transaction.

        A read-only unit refuses `add` and `remove` at once; it takes no snapshots, so changes to what it has read are
        neither noticed nor written.

        Raises:
            ConcurrencyError: an aggregate was changed or removed by somebody else since it was read.
            DuplicateEntityError: a unique key is taken.
            UnstorableValueError: a changed attribute holds a value that not every database can keep.
        """

    @abstractmethod
    async def commit(self) -> None:
        """Flush, make everything last, and end the unit of work. Recorded events are handed over afterwards.

        Raises:
            CommitOutcomeUnknownError: the connection broke while the database was committing.
        """

    @abstractmethod
    async def rollback(self) -> None:
        """Discard everything and end the unit of work. Leaving the `async with` block does the same."""

    @abstractmethod
    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Open a block whose writes are discarded, and whose aggregates are forgotten, if it raises.

        Raises:
            UnsupportedOperationError: the backend has none (MongoDB).
        """

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(ABC):
    """One database technology, wired up: where units of work come from."""

    @abstractmethod
    async def start(self) -> None:
        """Connect, and check that the server can keep what prismicx promises. Starting twice does nothing.

        Raises:
            DatabaseUnavailableError: nothing answers at the address.
            MappingError: entities and their tables or documents do not fit.
            TransactionsUnavailableError: the MongoDB server is not a replica set.
            UnsafeRoleError: the application's role could walk around row-level security.
        """

    @abstractmethod
    async def close(self) -> None:
        """Give every connection back. Closing twice does nothing."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @abstractmethod
    def unit_of_work(self, tenant: TenantId, *, read_only: bool = False) -> UnitOfWork:
        """Return a unit of work for this tenant, to be entered with `async with`.

        Raises:
            TenantContextMissingError: no tenant was given.
            InvalidTenantIdError: it is not a `TenantId`.

        Entering it raises:
            TenantNotFoundError: the registry knows no such tenant.
            TenantNotActiveError: the tenant is not active; the error says which state it is in.
        """

    @abstractmethod
    def registry(self, *, read_only: bool = False) -> UnitOfWork:
        """Return a unit of work over the registry: aggregates placed as `Reference`, of no tenant, and nothing else."""

    @abstractmethod
    def system_unit_of_work(self, *, reason: str, actor: str, read_only: bool = True) -> SystemUnitOfWork:
        """Return a unit of work over all tenants, to be entered with `async with`.

        Raises:
            InvalidSystemAccessError: reason (1000 characters) or actor (200) is blank, too long or not printable.
            SystemScopeUnavailableError: the backend was given no login for it.
        """


class TenantAdmission(ABC):
    """Who may open a unit of work."""

    @abstractmethod
    async def admit(self, tenant: TenantId) -> None:
        """Return if the tenant is active.

        Raises:
            TenantNotFoundError: there is no such tenant.
            TenantNotActiveError: it is in another state.
        """


class ProvisioningStep(ABC):
    """One part of a tenant's place in one database: made, checked and unmade by itself.

    Each method is safe to run again, and after a crash anywhere in it. The tenant is as the registry has it: its
    `plugin_types` say which schemas it needs, its `database_config` where its database is. A step only reads it.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the registry records it as; never changed once it has been."""

    @abstractmethod
    async def ensure(self, tenant: Tenant) -> None:
        """Make what is missing; touch nothing that is right."""

    @abstractmethod
    async def verify(self, tenant: Tenant) -> None:
        """Return if everything is in place.

        Raises:
            ProvisioningError: it is not; the reason says what.
        """

    @abstractmethod
    async def remove(self, tenant: Tenant) -> None:
        """Unmake it, with all the data in it; nothing to unmake is no error."""


class PluginSchemas(ABC):
    """Where plugin migrations run: the schema of one tenant and plugin type."""

    @abstractmethod
    async def migrate(
        self, tenant: TenantId, plugin_type: PluginType, plugin: str, migrations: Sequence[SchemaMigration]
    ) -> None:
        """Run the plugin's scripts in order, all or none, as a role that owns that schema only.

        The schema is made first where it is missing. In a script `${schema}` stands for its quoted name. One
        transaction holds the scripts and their ledger rows (plugin, `version_to`, checksum, when). A script that the
        ledger has, with the same checksum, is passed over.

        Raises:
            ChecksumMismatchError: the ledger has a script under another checksum.
            PermissionDeniedError, DatabaseError: a statement failed; the schema is as it was.
        """

    @abstractmethod
    async def applied(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[str]:
        """Return the versions that the plugin's scripts have brought this schema to, oldest first."""


EventHandler = Callable[[TenantId | None, Sequence[DomainEvent]], Awaitable[None]]
"""Takes the tenant (`None` in the registry) and the events of one committed unit of work, oldest first."""
