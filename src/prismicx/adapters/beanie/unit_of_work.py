"""Units of work over MongoDB: reads as they are, writes in one transaction that starts with the first of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NoReturn, TypeVar

import pymongo
from pymongo import DeleteOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.read_concern import ReadConcern

from prismicx.adapters.beanie.client import MAJORITY, MongoDBClient
from prismicx.adapters.beanie.collection import BeanieCollection, DocumentCollection, tenant_collection
from prismicx.adapters.beanie.document import TenantDocument
from prismicx.adapters.beanie.ending import end, has_lost_an_answer
from prismicx.adapters.beanie.errors import DRIVER_ERRORS, UNKNOWN, Phase, domain_error
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.beanie.outbox import store_events
from prismicx.adapters.beanie.registry_feed import announce
from prismicx.adapters.beanie.tenancy import collection_name, guard_of, own_database
from prismicx.adapters.change_set import Additions, Changes, Removal, Update
from prismicx.adapters.dedicated import DedicatedClients
from prismicx.adapters.tenant_guard import IDENTITY, TENANT, VERSION, TenantGuard
from prismicx.adapters.terms import Terms
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.wiring import Wiring
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import CommitOutcomeUnknownError, ConcurrencyError, PrismicxError, TransactionControlError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation
from prismicx.domain.outbox import RecordedEvent
from prismicx.domain.placement import EntityMapping, Reference
from prismicx.domain.tenancy import Tenant

ResultT = TypeVar("ResultT")

_COMMIT_ATTEMPTS: Final = 3
_GRACE: Final = 0.25  # seconds that the server has longer than the unit, whose own clock names the error
_SNAPSHOT: Final = ReadConcern("snapshot")


class BeanieUnitOfWork(TrackedUnitOfWork):
    """A unit of work over MongoDB.

    What it reads before its first write is read outside of a transaction, one command each. The first write starts
    one (snapshot reads, majority writes), and from then on everything happens in it. Where commit has one document to
    write and nothing was written before, that write is atomic by itself and goes without.
    """

    def __init__(
        self,
        tenant: TenantId | None,
        *,
        terms: Terms,
        wiring: Wiring,
        client: MongoDBClient,
        documents: Mapping[type[AggregateRoot], type[TenantDocument]],
        logins: DedicatedClients[MongoDBClient] | None = None,
    ) -> None:
        super().__init__(tenant, terms=terms, wiring=wiring)
        self._logins = logins
        self._client = client
        self._documents = documents
        self._session: AsyncClientSession | None = None
        self._began = False
        self._alone = False
        self._unanswered = False
        self._limit: AbstractContextManager[Any] | None = None

    @property
    def session(self) -> AsyncClientSession:
        """The driver's session of this unit, for its own calls; the unit alone begins and ends the transaction in it.

        Raises:
            UnitOfWorkClosedError: the unit is not open.
        """
        self.require_open()
        return self._own_session()

    def collection(self, mapping: EntityMapping) -> BeanieCollection:
        """Return the guarded collection of a mapping.

        Raises:
            TenantContextMissingError: the unit is the registry's.
        """
        return tenant_collection(self, mapping)

    # --- What collections, documents and repositories ask of their unit. ---

    @property
    def transaction(self) -> AsyncClientSession | None:
        """The session while it has a transaction, or `None`: reads are in it, or need none."""
        return self._session if self._began else None

    async def begin_transaction(self) -> AsyncClientSession:
        """Return the session with its transaction, begun if it was not."""
        session = self._own_session()
        if not self._began:
            await session.start_transaction(read_concern=_SNAPSHOT, write_concern=MAJORITY)
            self._began = True
        return session

    def owns(self, session: object) -> bool:
        """Tell whether this is the unit's own session."""
        return session is self._session

    def raw_collection(self, mapping: EntityMapping) -> AsyncCollection[dict[str, Any]]:
        """Return the driver's collection, which knows no tenant. For this adapter only."""
        return self._client.collection(own_database(mapping, self._tenant), collection_name(mapping))

    def collection_on_wire(self, mapping: EntityMapping) -> AsyncCollection[dict[str, Any]]:
        """Return the same for reading, with values as they are on the wire."""
        return self._client.collection_on_wire(own_database(mapping, self._tenant), collection_name(mapping))

    def guard_beside(self, mapping: EntityMapping, name: str) -> TenantGuard | None:
        """Return the guard of the collection of this name in the mapping's database, if it is a mapping's too."""
        assert self._tenant is not None, "the registry has no guarded collections"
        for other in self._wiring.mappings.values():
            if other.placement == mapping.placement and collection_name(other) == name:
                return guard_of(other, self._tenant)
        return None

    def documents(self, mapping: EntityMapping) -> Documents:
        """Return how this unit's tenant has the mapping's documents."""
        return Documents(mapping, self._tenant)

    def document_class(self, entity: type[AggregateRoot]) -> type[TenantDocument]:
        """Return the Beanie document of an entity of a tenant."""
        return self._documents[entity]

    def document_collection(self, document: type[TenantDocument]) -> BeanieCollection | None:
        """Return the guarded collection that Beanie uses, or `None` where this unit does not reach it."""
        if self._tenant is None or self._state != "open":
            return None
        for entity, known in self._documents.items():
            if known is document:
                return tenant_collection(self, self._wiring.mappings[entity], kind=DocumentCollection)
        return None

    async def asked(self, mapping: EntityMapping, action: Awaitable[ResultT]) -> ResultT:
        """Await something of the driver, and raise the domain's error for its own."""
        try:
            return await action
        except DRIVER_ERRORS as error:
            raise self._told(mapping, error) from error

    # --- The primitives. ---

    async def _admit(self) -> None:
        await super()._admit()
        if self._logins is not None and self._tenant is not None and not self._is_dedicated:
            self._lease = await self._logins.lease(self._tenant.value)
            assert self._lease is not None, "every tenant has a login, or no unit of work"
            self._use(self._lease.client)

    def _use(self, client: MongoDBClient) -> None:
        self._client = client

    async def _begin(self) -> None:
        _ = self._client.client  # refuses a client that is not connected
        if self._deadline is not None:
            self._limit = pymongo.timeout(max(self._deadline.remaining, 0.0) + _GRACE)
            self._limit.__enter__()
        if self._terms.isolation is Isolation.REPEATABLE_READ:
            await self.begin_transaction()

    def _expect(self, changes: Changes, *, last: bool) -> None:
        announces = self._tenant is None and bool(changes.of(Tenant))
        if last and not self._began and changes.is_one and not (announces or self._fills_outbox):
            self._alone = self._commit_sent = True

    async def _insert(self, mapping: EntityMapping, entities: Additions) -> None:
        new, raw, session = self.documents(mapping).new(entities), self.raw_collection(mapping), await self._writing()
        if len(new) == 1:
            await self.asked(mapping, raw.insert_one(new[0], session=session))
        else:
            await self.asked(mapping, raw.insert_many(new, session=session))

    async def _update(self, mapping: EntityMapping, updates: Sequence[Update]) -> None:
        documents, raw, session = self.documents(mapping), self.raw_collection(mapping), await self._writing()
        writes = [
            (
                documents.expected(entity, version),
                {"$set": {**documents.values(entity, changed), VERSION: version + 1}},
            )
            for entity, version, changed in updates
        ]
        if len(writes) == 1:
            matched = (await self.asked(mapping, raw.update_one(*writes[0], session=session))).matched_count
        else:
            requests = [UpdateOne(*write) for write in writes]
            matched = (await self.asked(mapping, raw.bulk_write(requests, session=session))).matched_count
        if matched != len(updates):
            await self._refuse_stale(mapping, [(entity, version) for entity, version, _ in updates])

    async def _remove(self, mapping: EntityMapping, removals: Sequence[Removal]) -> None:
        documents, raw, session = self.documents(mapping), self.raw_collection(mapping), await self._writing()
        filters = [documents.expected(entity, version) for entity, version in removals]
        if len(filters) == 1:
            deleted = (await self.asked(mapping, raw.delete_one(filters[0], session=session))).deleted_count
        else:
            requests = [DeleteOne(filter_) for filter_ in filters]
            deleted = (await self.asked(mapping, raw.bulk_write(requests, session=session))).deleted_count
        if deleted != len(removals):
            await self._refuse_stale(mapping, removals)

    async def _store_events(self, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        await store_events(self._client, await self.begin_transaction(), tenant, events)

    async def _announce(self, tenants: Sequence[TenantId]) -> None:
        start_over = None if self._began else self._end_session
        await announce(self._client, self.begin_transaction, tenants, start_over=start_over)

    async def _commit(self) -> None:
        if self._began and self._session is not None:
            if not self._session.in_transaction:
                raise TransactionControlError("ending the session's transaction")
            await self._commit_transaction(self._session)
        await self._rollback()

    async def _rollback(self) -> None:
        if self._limit is not None:
            self._limit.__exit__(None, None, None)
            self._limit = None
        await self._end_session()

    # --- What they are made of. ---

    def _own_session(self) -> AsyncClientSession:
        if self._session is None:
            self._session = self._client.client.start_session()
        return self._session

    async def _writing(self) -> AsyncClientSession:
        return self._own_session() if self._alone else await self.begin_transaction()

    def _told(self, mapping: EntityMapping, error: Exception) -> PrismicxError:
        """Return the domain's error for the driver's."""
        return domain_error(
            error,
            subject=mapping.entity.__name__,
            address=self._client.address,
            tenant_key=None if isinstance(mapping.placement, Reference) else TENANT,
            phase=self._phase,
        )

    @property
    def _phase(self) -> Phase:
        if not self._alone:
            return Phase.WORKING
        return Phase.REPEATED if has_lost_an_answer(self._own_session()) else Phase.COMMITTING

    async def _commit_transaction(self, session: AsyncClientSession) -> None:
        # The driver's rule: where the outcome is unknown, the commit alone may be sent again.
        for attempts_left in reversed(range(_COMMIT_ATTEMPTS)):
            try:
                await session.commit_transaction()
            except DRIVER_ERRORS as error:
                address, phase = self._client.address, Phase.COMMITTING
                told = domain_error(error, subject="the transaction", address=address, phase=phase)
                is_unknown = isinstance(told, CommitOutcomeUnknownError)
                if not is_unknown or not attempts_left:
                    self._unanswered = is_unknown
                    raise told from error
            except asyncio.CancelledError:
                self._unanswered = True
                raise
            else:
                return

    async def _refuse_stale(self, mapping: EntityMapping, writes: Sequence[tuple[AggregateRoot, int]]) -> NoReturn:
        if self._phase is Phase.REPEATED:
            raise CommitOutcomeUnknownError(UNKNOWN)
        stale = [entity.id for entity, _ in writes]
        if len(writes) > 1:
            # Inside the transaction our own writes would hide which ones did not match.
            await self._end_session()
            documents = self.documents(mapping)
            wanted = [documents.expected(entity, version) for entity, version in writes]
            finding = self.collection_on_wire(mapping).find({"$or": wanted}, {IDENTITY: 1})
            found = await self.asked(mapping, finding.to_list())
            fresh = [document[IDENTITY] for document in found]
            stale = [entity.id for entity, _ in writes if documents.identity_of(entity) not in fresh] or stale
        raise ConcurrencyError(mapping.entity.__name__, stale)

    async def _end_session(self) -> None:
        session, self._session, self._began = self._session, None, False
        if session is None:
            return
        if not session.in_transaction and not self._unanswered:
            await session.end_session()  # which sends nothing
            return
        ending = end(session, unanswered=self._unanswered)
        if self._deadline is None or not self._deadline.is_over:
            await asyncio.shield(ending)
