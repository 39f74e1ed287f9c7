"""The use cases of a tenant's life: made, closed, opened and unmade, so that whatever happens can be gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from prismicx.application.directory import TenantDirectory
from prismicx.application.planning import Plan, plan_of
from prismicx.application.reasons import reason_of
from prismicx.application.reconciling import TenantReconciler
from prismicx.application.tenant_records import TenantRecords
from prismicx.application.tenant_worker import DEFAULT_LEASE, TenantWorker
from prismicx.domain.errors import DuplicateEntityError, PrismicxError
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.moments import utc_now
from prismicx.domain.ports import Backend, ProvisioningStep
from prismicx.domain.tenancy import DEFAULT_PLUGIN_TYPES, DatabaseConfig, Tenant, TenantStatus

_TRIES_FOR_AN_ID: Final = 5


class TenantProvisioning:
    """Creates tenants, suspends and resumes them, deletes them.

    What is to be done is recorded before anything is touched, and each step before and after it runs, in a unit of work
    of its own. A failure is recorded with its reason; a crash leaves the step `running`. Either way the tenant stays in
    `provisioning` or `deleting`, and `retry` or a reconciler goes on. One worker at a time acts, under a lease. The
    change to `active` is the single commit point.
    """

    def __init__(
        self,
        registry: Backend,
        steps: Sequence[ProvisioningStep],
        *,
        directory: TenantDirectory | None = None,
        connection: str = "default",
        new_tenant_id: Callable[[], TenantId] = TenantId.new,
        lease: timedelta = DEFAULT_LEASE,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Wire it up.

        Args:
            registry: the backend that holds the registry.
            steps: what makes a tenant's place, in order, over all databases.
            directory: learns at once what was committed here.
            connection: the secret's name of the connection of tenants on shared databases.
            new_tenant_id: makes the ids of tenants that are created without one.
            lease: how long a worker without a sign of life keeps others from going on.
            clock: tells the time in UTC.

        Raises:
            InvalidNameError: two steps share a name.
            ValueError: the lease is no time at all.
        """
        self._records = TenantRecords(registry, directory=directory)
        self._worker = TenantWorker(self._records, steps, lease=lease, clock=clock)
        self._connection = connection
        self._clock = clock
        self._new_tenant_id = new_tenant_id
        self.reconciler: Final = TenantReconciler(self._records, self._worker)

    # --- Made. ---

    async def create(
        self,
        name: str,
        *,
        region: Region,
        tier: Tier,
        tenant_id: TenantId | None = None,
        plugin_types: Sequence[PluginType] = DEFAULT_PLUGIN_TYPES,
        dedicated_connection: str | None = None,
    ) -> Tenant:
        """Register a tenant, make its place as its first worker, and return it active.

        Args:
            name: what people call it; several tenants may share one.
            region: where its data lives.
            tier: what it has bought.
            tenant_id: its id; `None` makes a new one, and another one where that is taken. Give one to be safe against
                creating a tenant twice: of several calls with one id, one wins, whatever the others' timing.
            plugin_types: the plugin types that it gets a schema for.
            dedicated_connection: the name of the connection to databases of its own, which everything of the tenant
                but its record in the registry is then in; `None` puts it where other tenants are.

        Raises:
            DuplicateEntityError: a tenant has this id, whatever its state; nothing of it was touched.
            InvalidNameError, InvalidPluginTypeError: the name, the connection or the plugin types are not acceptable.
            LeaseLostError: this process was away for so long that a reconciler has taken over.
            ProvisioningError: a step failed; it is recorded, and `retry` or a reconciler goes on from it.
        """

        def registered(chosen: TenantId) -> Tenant:
            tenant = Tenant.register(
                chosen,
                name=name,
                region=region,
                tier=tier,
                database_config=DatabaseConfig.of(
                    chosen,
                    connection=self._connection if dedicated_connection is None else dedicated_connection,
                    dedicated=dedicated_connection is not None,
                ),
                plugin_types=plugin_types,
                steps=self._worker.step_names,
            )
            self._worker.claim(tenant)
            return tenant

        if tenant_id is None:
            return await self._worker.carry_out(await self._add_under_new_id(registered))
        return await self._worker.carry_out(await self._records.add(registered(tenant_id)))

    async def retry(self, tenant_id: TenantId) -> Tenant:
        """Go on at once with making or unmaking a tenant's place, after a failure, a crash or a cancellation.

        Steps that are done are verified, and run again where that fails; the others are run. A tenant for which nothing
        is under way is returned as it is.

        Raises:
            LeaseLostError: another worker has taken over meanwhile.
            OperationUnderWayError: another worker is at it.
            ProvisioningError: a step failed again, or the registry names one that is not known here.
            TenantNotFoundError: there is no such tenant.
        """
        tenant = await self.get(tenant_id)
        if tenant.status not in (TenantStatus.PROVISIONING, TenantStatus.DELETING):
            return tenant
        return await self._worker.carry_out(await self._records.change(tenant_id, self._worker.claim))

    # --- Closed and opened. ---

    async def suspend(self, tenant_id: TenantId) -> Tenant:
        """Let nobody into the tenant until it is resumed; return it. A suspended one is returned as it is.

        Other processes follow within the age of their directory's snapshot.

        Raises:
            IllegalTransitionError: the tenant is neither active nor suspended.
            TenantNotFoundError: there is no such tenant.
        """
        return await self._records.change(tenant_id, _unless(TenantStatus.SUSPENDED, Tenant.suspend))

    async def resume(self, tenant_id: TenantId) -> Tenant:
        """Let everybody into a suspended tenant again; return it. An active one is returned as it is.

        Raises:
            IllegalTransitionError: the tenant is neither suspended nor active.
            TenantNotFoundError: there is no such tenant.
        """
        return await self._records.change(tenant_id, _unless(TenantStatus.ACTIVE, Tenant.resume))

    async def renew(self, step: str) -> Mapping[TenantId, str]:
        """Run one step again for each tenant that is active or suspended: what it makes has changed, such as a key.

        No lease is taken: the step's writes carry the fencing number that the tenant was read with, so nothing happens
        to one whose deletion has begun meanwhile. A failure keeps no other tenant from being renewed.

        Args:
            step: its name.

        Returns:
            By tenant, why it failed; an empty text where it did not.
        """
        outcomes: dict[TenantId, str] = {}
        for tenant in await self._records.list(TenantStatus.ACTIVE, TenantStatus.SUSPENDED):
            try:
                await self._worker.repeat(tenant, step)
            except PrismicxError as error:
                outcomes[tenant.tenant_id] = reason_of(error)
            else:
                outcomes[tenant.tenant_id] = ""
        return outcomes

    # --- Unmade. ---

    async def abort(self, tenant_id: TenantId) -> Tenant:
        """Take back a provisioning that has not come to its end; return the tenant deleted.

        What was begun is removed in reverse order. One that is being deleted is carried on; a deleted one is returned
        as it is.

        Raises:
            IllegalTransitionError: the tenant is active or suspended.
            LeaseLostError: another worker has taken over meanwhile.
            OperationUnderWayError: another worker is at it, or at one of the tenant's plugins.
            ProvisioningError: a step could not be removed; it is recorded, and `retry` or a reconciler goes on from it.
            TenantNotFoundError: there is no such tenant.
        """

        def aborted(tenant: Tenant) -> None:
            if tenant.status is not TenantStatus.DELETING:
                tenant.abort()
            self._worker.claim(tenant)

        return await self._unmade(tenant_id, aborted)

    async def delete(self, tenant_id: TenantId) -> Tenant:
        """Remove a tenant's place with all the data in it; return the tombstone, whose `receipt` says what was removed.

        From the first write on no unit of work opens for it here; other processes follow within the age of their
        directory's snapshot. The steps are removed in reverse order, then the records of its plugins. The tombstone
        stays, so that the id is never given again. One that is being deleted is carried on; a deleted one is returned
        as it is.

        Raises:
            IllegalTransitionError: the tenant is in provisioning: `abort` takes that back.
            LeaseLostError: another worker has taken over meanwhile.
            OperationUnderWayError: another worker is at it, or at one of the tenant's plugins.
            ProvisioningError: a step could not be removed; it is recorded, and `retry` or a reconciler goes on from it.
            TenantNotFoundError: there is no such tenant.
        """

        def begun(tenant: Tenant) -> None:
            if tenant.status is not TenantStatus.DELETING:
                if tenant.status is not TenantStatus.SUSPENDED:
                    tenant.suspend()
                tenant.begin_deletion(self._worker.step_names[::-1])
            self._worker.claim(tenant)

        return await self._unmade(tenant_id, begun)

    # --- Looked at. ---

    async def plan(self, tenant_id: TenantId) -> Plan:
        """Return what a reconciler would find and do, step by step; nothing is changed.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        return await plan_of(await self.get(tenant_id), self._worker)

    async def get(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant, whatever its state.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        return await self._records.get(tenant_id)

    async def list(self, *statuses: TenantStatus) -> Sequence[Tenant]:
        """Return the tenants in these states, or in any if none is given, oldest first."""
        return await self._records.list(*(statuses or TenantStatus))

    async def _unmade(self, tenant_id: TenantId, begin: Callable[[Tenant], None]) -> Tenant:
        begun = _unless(TenantStatus.DELETED, begin)
        tenant = await self._records.begin_deletion(tenant_id, begun, now=self._clock())
        return tenant if tenant.status is TenantStatus.DELETED else await self._worker.carry_out(tenant)

    async def _add_under_new_id(self, registered: Callable[[TenantId], Tenant]) -> Tenant:
        for _ in range(_TRIES_FOR_AN_ID - 1):
            try:
                return await self._records.add(registered(self._new_tenant_id()))
            except DuplicateEntityError:
                continue
        return await self._records.add(registered(self._new_tenant_id()))


def _unless(status: TenantStatus, change: Callable[[Tenant], None]) -> Callable[[Tenant], None]:
    """Return the change, which leaves a tenant that is in this state already as it is."""

    def changed(tenant: Tenant) -> None:
        if tenant.status is not status:
            change(tenant)

    return changed
