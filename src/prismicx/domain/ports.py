"""What the application asks of the outside world. Adapters answer; nothing here knows a driver."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload
from uuid import UUID

from pydantic import BaseModel

from prismicx.domain.cursors import Cursor
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.events import DomainEvent
from prismicx.domain.health import DEFAULT_PATIENCE, Health
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.isolation import Isolation
from prismicx.domain.locking import Lock
from prismicx.domain.pages import Page
from prismicx.domain.plugins import AppliedMigration, SchemaMigration
from prismicx.domain.registry_feed import RegistryFeed
from prismicx.domain.retry import Retry
from prismicx.domain.specification import Criteria, Order
from prismicx.domain.tenancy import DatabaseConfig, Tenant

if TYPE_CHECKING:
    from prismicx.domain.system_unit import SystemUnitOfWork

RootT = TypeVar("RootT", bound=AggregateRoot)
RepositoryT = TypeVar("RepositoryT", bound="Repository[Any]")
ResultT = TypeVar("ResultT")
ModelT = TypeVar("ModelT", bound=BaseModel)
KeyT = TypeVar("KeyT")


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
    async def get(self, identity: UUID, *, lock: Lock | None = None) -> RootT:
        """Return the aggregate with this identity, read in this unit of work's transaction.

        Args:
            identity: its `id`.
            lock: as for `find`.

        Raises:
            EntityNotFoundError: none exists for this tenant (another tenant's counts as none), or it was skipped.
        """

    @abstractmethod
    async def find(self, identity: UUID, *, lock: Lock | None = None) -> RootT | None:
        """Return the aggregate with this identity, or `None` where this tenant has none.

        Args:
            identity: its `id`.
            lock: keep it from all other units until this one ends; it is read again even if the unit holds it.

        Raises:
            ConcurrencyError: the unit holds it, in a version that is no longer the one that was locked.
            ReadOnlyUnitOfWorkError: a lock in a read-only unit.
            TransactionConflictError: another unit has locked it, with `Lock.FAIL`.
            UnsupportedOperationError: the backend has no locks (memory, MongoDB); nothing was asked of it.
        """

    @abstractmethod
    async def fetch(self, identities: Iterable[UUID], /) -> dict[UUID, RootT]:
        """Return the aggregates with these identities by identity, in the order asked for; it leaves out what is not.

        What the unit holds is not asked for again; the rest is one statement, however many they are.
        """

    @abstractmethod
    async def find_one(self, criteria: Criteria, /) -> RootT | None:
        """Return the aggregate that meets the criteria: the one with the smallest id where several do."""

    @overload
    @abstractmethod
    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
        track: bool = True,
        lock: Lock | None = None,
    ) -> list[RootT]: ...

    @overload
    @abstractmethod
    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        into: type[ModelT],
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
    ) -> list[ModelT]: ...

    @abstractmethod
    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        into: type[ModelT] | None = None,
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
        track: bool = True,
        lock: Lock | None = None,
    ) -> list[RootT] | list[ModelT]:
        """Return all that meet the criteria, in order (then by id): no silent limit.

        Args:
            criteria: all of the tenant's without any.
            into: a pydantic model whose attributes are some of the aggregate's, by name: only those are read, as they
                are stored, and nothing is tracked.
            order_by: nulls last.
            limit: how many at most.
            track: `False` spares a snapshot of each, and changes to them are not written.
            lock: keep them from all other units until this one ends, as `find` does.

        Raises:
            MappingError: `into` is no such model, which is seen before anything is asked; or it refuses what is stored.
            ConcurrencyError, ReadOnlyUnitOfWorkError, TransactionConflictError, UnsupportedOperationError: of a lock,
                as `find`.
        """

    @abstractmethod
    async def list_by(
        self,
        attribute: KeyT,
        keys: Iterable[KeyT],
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
    ) -> dict[KeyT, builtins.list[RootT]]:
        """Return what has each of these keys, by key, in one statement: `list_by(Order.customer_id, customer_ids)`.

        Every key asked for is there, in the order asked for, with an empty list where nothing has it.

        Args:
            attribute: of the aggregate, taken from the class.
            keys: what it may be; `None` among them stands for null.
            criteria: what else must be true.
            order_by: of each list; then by id.
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
        before: Cursor | None = None,
    ) -> Page[RootT]:
        """Return at most `size` of what meets the criteria: the first, those behind a cursor, or those right before it.

        All pages are in order. What is added or removed meanwhile moves nothing from one page to another.

        Args:
            criteria: all of the tenant's without any.
            order_by: nulls last. An index serves it best where all goes in one direction, `desc(X.id)` included.
            size: how many at most.
            after: a page's `next`.
            before: a page's `previous`.

        Raises:
            InvalidCursorError: the cursor is damaged, of another query, order, direction or tenant, or was signed with
                a key that the backend does not have (`cursor_keys`).
        """

    @overload
    @abstractmethod
    def stream(
        self, criteria: Criteria | None = None, /, *, order_by: Order | Sequence[Order] = ()
    ) -> AsyncIterator[RootT]: ...

    @overload
    @abstractmethod
    def stream(
        self, criteria: Criteria | None = None, /, *, into: type[ModelT], order_by: Order | Sequence[Order] = ()
    ) -> AsyncIterator[ModelT]: ...

    @abstractmethod
    def stream(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        into: type[ModelT] | None = None,
        order_by: Order | Sequence[Order] = (),
    ) -> AsyncIterator[RootT] | AsyncIterator[ModelT]:
        """Yield all that meet the criteria, in order, a batch at a time; what it yields is not tracked.

        `into` is as for `list`.
        """

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

    # --- Writes that are one statement each, sent at once, after a flush; they last with the unit like all others. ---

    @abstractmethod
    async def upsert(self, aggregate: RootT, *, on: object = None) -> RootT:
        """Add the aggregate, or put its attributes in the place of those of the one with the same key.

        All attributes but the id are overwritten, whatever version is stored; that version is raised. Whoever does
        the same at the same time is waited for, or is in the way: `TransactionConflictError`, which `Backend.run` runs
        again.

        Args:
            aggregate: what is to be stored.
            on: the key: an attribute (`Customer.email`) or its name, or a sequence of them, that the mapping declares
                unique. Without it, the identity.

        Returns:
            The aggregate as it is stored, tracked, under the id of the one that was there: the given object where that
            is its own id, or else the one that the unit holds or a new one. Events that were recorded on the given
            object go with it.

        Raises:
            InvalidKeyError: the mapping has no such unique key, or the aggregate has a null in it.
            CrossTenantError: it belongs to another tenant.
            DuplicateEntityError: another key is taken, the id of a new one included.
            UnstorableValueError: it holds a value that not every database can keep.
        """

    @abstractmethod
    async def get_or_create(self, aggregate: RootT, *, on: object = None) -> tuple[RootT, bool]:
        """Return the aggregate with the same key, or add this one; and whether it was added. Both are tracked.

        Where one is there, nothing is written, and events that were recorded on the given one stay with it: they are
        not handed over.

        Args, Raises:
            As for `upsert`.
        """

    @abstractmethod
    async def update_where(self, criteria: Criteria, /, **changes: Any) -> int:
        """Set attributes of all that meet the criteria, raise their versions, and return how many they are.

        What the unit of work holds of them has the new values and versions afterwards; only what somebody else has
        changed since it was read stays as it was, and is refused when it is written. No events are recorded, and what
        aggregates check across several attributes is not checked.

        Args:
            criteria: `EVERYTHING` for all; `None` is refused, so that nothing is forgotten.
            changes: new values by attribute, validated as when they are assigned.

        Raises:
            InvalidSpecificationError: the criteria are `None`, nothing is to change, or the id is.
            UnknownAttributeError: the aggregate has no such attribute.
            pydantic.ValidationError: the attribute does not take the value.
            UnstorableValueError: not every database can keep the value.
            DuplicateEntityError: a unique key is taken.
        """

    @abstractmethod
    async def delete_where(self, criteria: Criteria, /) -> int:
        """Delete all that meet the criteria, and return how many they are; the unit of work forgets them.

        No events are recorded.

        Args:
            criteria: `EVERYTHING` for all; `None` is refused, so that nothing is forgotten.

        Raises:
            InvalidSpecificationError: the criteria are `None`.
        """


class ReadScope(ABC):
    """Where one tenant's aggregates are read, each query for itself: `async with backend.read(tenant) as scope:`.

    Its repositories refuse to write, and what they return is not watched for changes. Each query sees what is committed
    when it is asked, so two queries need not show one moment. Within one scope one identity is one object, as it was
    first read. A unit of work is one, too, which may write: code that takes a read scope takes both.
    """

    @property
    @abstractmethod
    def tenant(self) -> TenantId | None:
        """The tenant, fixed when it was opened; `None` in the registry and for system units."""

    @abstractmethod
    def repository(self, port: Callable[..., RepositoryT], /) -> RepositoryT:
        """Return its repository of this class: `uow.repository(CustomerRepository)`.

        Raises:
            NotMappedError: the backend has no mapping for the aggregate, or it lives out of reach.
        """

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class UnitOfWork(ReadScope):
    """One business transaction of one tenant on one backend (Fowler, PoEAA: Unit of Work).

    Enter it with `async with`. Nothing lasts without `commit`, which also ends it; leaving discards what was not
    committed. It belongs to the task that opened it, which may be cancelled at any `await` of it: the transaction ends,
    and the connection goes back as clean as it came.
    """

    @abstractmethod
    async def flush(self) -> None:
        """Write what was added, changed and removed, without ending the transaction.

        A read-only unit refuses `add`, `remove` and all other writes at once; it takes no snapshots, so changes to what
        it has read are neither noticed nor written.

        Raises:
            ConcurrencyError: an aggregate was changed or removed by somebody else since it was read.
            DuplicateEntityError: a unique key is taken.
            UnstorableValueError: a changed attribute holds a value that not every database can keep.
        """

    @abstractmethod
    async def commit(self) -> None:
        """Flush, make everything last, and end the unit of work. Recorded events are handed over afterwards.

        Raises:
            CommitOutcomeUnknownError: the connection broke, or the deadline passed, while the database was committing.
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

    @abstractmethod
    async def health(self, *, patience: float = DEFAULT_PATIENCE) -> Health:
        """Look at the database once; it needs no `start`, and does not raise for a database that is not well.

        Args:
            patience: seconds to wait for everything.
        """

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @abstractmethod
    def unit_of_work(
        self,
        tenant: TenantId,
        *,
        read_only: bool = False,
        isolation: Isolation | None = None,
        deadline: float | None = None,
        idempotency_key: str | None = None,
    ) -> UnitOfWork:
        """Return a unit of work for this tenant, to be entered with `async with`.

        Args:
            read_only: it writes nothing, and takes no snapshots.
            isolation: how far it is kept from what others commit meanwhile; the backend's default where none is given.
            deadline: seconds for all of it, from entering to the end of commit: for a connection, each statement, and
                whatever else is awaited in the block. The server is told too. A unit whose time is over is rolled back.
            idempotency_key: 1 to 200 printable characters, the tenant's own, which it is committed under once.

        Raises:
            TenantContextMissingError: no tenant was given.
            InvalidTenantIdError: it is not a `TenantId`.
            InvalidNameError: the idempotency key is none.
            ReadOnlyUnitOfWorkError: a read-only unit was given an idempotency key.
            UnsupportedOperationError: the backend does not have this isolation.
            ValueError: the deadline is not a positive number of seconds.

        Using it raises, besides what each operation names:
            DeadlineExceededError: its time was over before commit was sent; nothing of it lasts.

        Entering it raises:
            AlreadyAppliedError: a unit was committed under the same idempotency key.
            TenantNotFoundError: the registry knows no such tenant.
            TenantNotActiveError: the tenant is not active; the error says which state it is in.
        """

    @abstractmethod
    def read(self, tenant: TenantId) -> ReadScope:
        """Return a read scope for this tenant, to be entered with `async with`: for queries that need no transaction.

        On PostgreSQL a query is one round trip in it, where the same in a unit of work takes three.

        Raises:
            TenantContextMissingError: no tenant was given.
            InvalidTenantIdError: it is not a `TenantId`.

        Entering it raises:
            TenantNotFoundError: the registry knows no such tenant.
            TenantNotActiveError: the tenant is not active; the error says which state it is in.
        """

    @abstractmethod
    async def run(
        self,
        tenant: TenantId,
        work: Callable[[UnitOfWork], Awaitable[ResultT]],
        *,
        retry: Retry = Retry(),  # noqa: B008  # a value object
        read_only: bool = False,
        isolation: Isolation | None = None,
        deadline: float | None = None,
        idempotency_key: str | None = None,
    ) -> ResultT:
        """Run the work in a unit of work of this tenant, commit it, and return what the work returned.

        It is run again, from the start and in a fresh unit, for the causes that leave nothing behind (`Cause` has the
        table), after a random wait. Whatever the work does outside of its unit, it does once for each try. It may end
        its unit itself; then nothing is committed after it.

        A commit whose answer was lost is run again only under an idempotency key. Then the fresh unit finds out first
        whether it lasts, and if so the work's result is returned without a second time.

        Args:
            work: what to do; awaited with an open unit.
            retry: how often and how patiently to try.
            deadline: seconds for all tries and the waits between them.
            read_only, isolation, idempotency_key: as for `unit_of_work`.

        Raises:
            AlreadyAppliedError: an earlier `run`, perhaps of another process, was committed under this key.
            CommitOutcomeUnknownError: the connection broke during commit, and it could not be found out what lasts.
            DeadlineExceededError: the time was over before the work was committed.
            ConcurrencyError, ConnectionLostError, DatabaseUnavailableError, TransactionConflictError: of the last try.
        """

    @abstractmethod
    def registry(self, *, read_only: bool = False) -> UnitOfWork:
        """Return a unit of work over the registry: aggregates placed as `Reference`, of no tenant, and nothing else."""

    @property
    @abstractmethod
    def registry_feed(self) -> RegistryFeed:
        """What changes among the tenants of the registry, for who remembers them.

        Raises:
            UnsupportedOperationError: the backend cannot be the registry of a platform.
        """

    @abstractmethod
    def system_unit_of_work(self, *, reason: str, actor: str, read_only: bool = True) -> SystemUnitOfWork:
        """Return a unit of work over all tenants, to be entered with `async with`.

        Raises:
            InvalidSystemAccessError: reason (1000 characters) or actor (200) is blank, too long or not printable.
            SystemScopeUnavailableError: the backend was given no login for it.
        """


class TenantAdmission(ABC):
    """Who may open a unit of work, and where."""

    @abstractmethod
    async def admit(self, tenant: TenantId) -> DatabaseConfig | None:
        """Return if the tenant is active: its database where that is a dedicated one, `None` where it is among others.

        Raises:
            TenantNotFoundError: there is no such tenant.
            TenantNotActiveError: it is in another state.
        """


class ProvisioningStep(ABC):
    """One part of a tenant's place in one database: made, checked and unmade by itself.

    Each method is safe to run again, and after a crash anywhere in it. The tenant is as the registry has it: its
    `plugin_types` say which schemas it needs, its `database_config` where its database is, its `fence` under which
    fencing number `ensure` and `remove` write. A step only reads it. `verify` and `contents` write nothing, and
    need no lease.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the registry records it as; never changed once it has been."""

    @abstractmethod
    async def ensure(self, tenant: Tenant) -> None:
        """Make what is missing; touch nothing that is right.

        Raises:
            ForeignObjectError: something stands there that was not made for this tenant; it is left as it is.
            LeaseLostError: another worker has written under a greater fencing number; nothing was written.
        """

    @abstractmethod
    async def verify(self, tenant: Tenant) -> None:
        """Return if everything is in place.

        Raises:
            ProvisioningError: it is not; the reason says what.
        """

    @abstractmethod
    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        """Return how many rows or documents of the tenant are in each table or collection of this part, by full name.

        A table that is there and empty counts 0; one that is not there is not named. Recorded before a removal begins,
        so that what a crash interrupts is still known.
        """

    @abstractmethod
    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        """Unmake it, with all the data in it; return what was removed, as `contents` names and counts it.

        Nothing to unmake is no error, and removes nothing: the mapping is empty, or all its counts are 0.

        Raises:
            ForeignObjectError: something stands there that was not made for this tenant; it is left as it is.
            LeaseLostError: another worker has written under a greater fencing number; nothing was removed.
        """


class PluginSchemas(ABC):
    """Where plugin migrations run: the schema of one tenant and plugin type."""

    async def at(self, place: DatabaseConfig) -> PluginSchemas:
        """Return the schemas of a tenant whose database this is: these, or those at an address of its own.

        Raises:
            SecretNotFoundError: it is a dedicated one, and there is no address behind its connection.
        """
        return self

    @abstractmethod
    async def migrate(
        self,
        tenant: TenantId,
        plugin_type: PluginType,
        plugin: str,
        migrations: Sequence[SchemaMigration],
        *,
        fence: int,
        back: Sequence[SchemaMigration] = (),
    ) -> None:
        """Bring the schema to where these migrations lead, all or none, as a role that owns that schema only.

        The schema is made first where it is missing. In a script `${schema}` stands for its quoted name. One
        transaction holds the scripts and their ledger rows (plugin, `version_to`, checksum, when). What the ledger has
        already is passed over; what it has beyond these migrations is taken back first, the newest first, by the down
        scripts of `back`. So it is safe to run again, and after a crash the ledger says what is left to do.

        Args:
            migrations: all that a schema of the wanted version has come through, in order; none to have nothing left.
            fence: the number of the lease under which it is written.
            back: migrations that may be taken back; without any, what is beyond the wanted version is an error.

        Raises:
            ChecksumMismatchError: the ledger has a script under another checksum; nothing was run.
            InvalidMigrationError: the ledger has a script from which nothing of `back` leads back; nothing was run.
            LeaseLostError: another worker has written under a greater fencing number; nothing was run.
            PermissionDeniedError, DatabaseError: a statement failed; the schema is as it was.
            TransactionConflictError: a lock was not to be had in time; the schema is as it was.
            UnsupportedOperationError: the backend runs no scripts (MongoDB), and there are some.
        """

    @abstractmethod
    async def ledger(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[AppliedMigration]:
        """Return the plugin's scripts that this schema has come through, oldest first; none without a schema."""

    async def applied(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[str]:
        """Return the versions that the plugin's scripts have brought this schema to, oldest first."""
        return [str(entry.version) for entry in await self.ledger(tenant, plugin_type, plugin)]


EventHandler = Callable[[TenantId | None, Sequence[DomainEvent]], Awaitable[None]]
"""Takes the tenant (`None` in the registry) and the events of one committed unit of work, oldest first."""
