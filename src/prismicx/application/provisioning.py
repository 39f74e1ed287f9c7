"""Making a tenant's place, step by step, so that whatever happens it can be gone on with; closing and opening it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from prismicx.application.directory import TenantDirectory
from prismicx.application.reasons import reason_of
from prismicx.domain.errors import DuplicateEntityError, InvalidNameError, ProvisioningError
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.operations import StepStatus
from prismicx.domain.ports import Backend, ProvisioningStep
from prismicx.domain.registry import TenantRepository
from prismicx.domain.tenancy import DEFAULT_PLUGIN_TYPES, DatabaseConfig, Tenant, TenantStatus

_TRIES_FOR_AN_ID: Final = 5


class TenantProvisioning:
    """Creates tenants, suspends and resumes them.

    The registry records each step before and after it runs, in a unit of work of its own. A failure is recorded with
    its reason; a crash or a cancellation leaves the step `running`. Either way the tenant stays in `provisioning`, and
    `resume_provisioning` goes on. The change to `active` is the single commit point.
    """

    def __init__(
        self,
        registry: Backend,
        steps: Sequence[ProvisioningStep],
        *,
        directory: TenantDirectory | None = None,
        connection: str = "default",
        new_tenant_id: Callable[[], TenantId] = TenantId.new,
    ) -> None:
        """Wire it up.

        Args:
            registry: the backend that holds the registry.
            steps: what makes a tenant's place, in order, over all databases.
            directory: learns at once what was committed here.
            connection: the secret's name of the connection of tenants on shared databases.
            new_tenant_id: makes the ids of tenants that are created without one.

        Raises:
            InvalidNameError: two steps share a name.
        """
        self._registry = registry
        self._steps = {step.name: step for step in steps}
        self._directory = directory
        self._connection = connection
        self._new_tenant_id = new_tenant_id
        if len(self._steps) != len(steps):
            raise InvalidNameError("list of steps", [step.name for step in steps], "two of them share a name")

    async def create(
        self,
        name: str,
        *,
        region: Region,
        tier: Tier,
        tenant_id: TenantId | None = None,
        plugin_types: Sequence[PluginType] = DEFAULT_PLUGIN_TYPES,
    ) -> Tenant:
        """Register a tenant, make its place, and return it active.

        Args:
            name: what people call it.
            region: where its data lives.
            tier: what it has bought.
            tenant_id: its id; `None` makes a new one.
            plugin_types: the plugin types that it gets a schema for.

        Raises:
            DuplicateEntityError: a tenant has this id, whatever its state.
            InvalidNameError, InvalidPluginTypeError: the name, the connection or the plugin types are not acceptable.
            ProvisioningError: a step failed; it is recorded, and `resume_provisioning` goes on from it.
        """

        def registered(chosen: TenantId) -> Tenant:
            return Tenant.register(
                chosen,
                name=name,
                region=region,
                tier=tier,
                database_config=DatabaseConfig.of(
                    chosen,
                    connection=self._connection,
                ),
                plugin_types=plugin_types,
                steps=tuple(self._steps),
            )

        if tenant_id is None:
            return await self._finish(await self._add_under_new_id(registered))
        return await self._finish(await self._add(registered(tenant_id)))

    async def resume_provisioning(self, tenant_id: TenantId) -> Tenant:
        """Go on with making a tenant's place after a failure, a crash or a cancellation; return the tenant active.

        Steps that are done are verified, and run again where that fails; the others are run. An active tenant is
        returned as it is.

        Raises:
            IllegalTransitionError: the tenant is neither in provisioning nor active.
            ProvisioningError: a step failed again, or the registry names one that is not known here.
            TenantNotFoundError: there is no such tenant.
        """
        tenant = await self.get(tenant_id)
        if tenant.status is TenantStatus.ACTIVE:
            return tenant
        planned = () if tenant.operation is None else tenant.operation.steps
        for step in planned:
            if step.name not in self._steps:
                reason = f"it is recorded, but none of the steps here: {', '.join(self._steps)}"
                raise ProvisioningError(tenant_id=tenant_id.value, step=step.name, reason=reason)
        tenant = await self._change(tenant_id, lambda found: found.provision(tuple(self._steps)))
        return await self._finish(tenant)

    async def suspend(self, tenant_id: TenantId) -> Tenant:
        """Let nobody into the tenant until it is resumed; return it. A suspended one is returned as it is.

        Other processes follow within the age of their directory's snapshot.

        Raises:
            IllegalTransitionError: the tenant is neither active nor suspended.
            TenantNotFoundError: there is no such tenant.
        """
        return await self._change(tenant_id, Tenant.suspend, unless=TenantStatus.SUSPENDED)

    async def resume(self, tenant_id: TenantId) -> Tenant:
        """Let everybody into a suspended tenant again; return it. An active one is returned as it is.

        Raises:
            IllegalTransitionError: the tenant is neither suspended nor active.
            TenantNotFoundError: there is no such tenant.
        """
        return await self._change(tenant_id, Tenant.resume, unless=TenantStatus.ACTIVE)

    async def get(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant, whatever its state.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._registry.registry(read_only=True) as unit:
            return await unit.repository(TenantRepository).of(tenant_id)

    async def list(self, *statuses: TenantStatus) -> Sequence[Tenant]:
        """Return the tenants in these states, or in any if none is given, oldest first."""
        async with self._registry.registry(read_only=True) as unit:
            return await unit.repository(TenantRepository).with_status(*(statuses or TenantStatus))

    # --- One step after the other. ---

    async def _finish(self, tenant: Tenant) -> Tenant:
        for step in self._steps.values():
            tenant = await self._carry_out(step, tenant)
        return await self._change(tenant.tenant_id, Tenant.activate)

    async def _carry_out(self, step: ProvisioningStep, tenant: Tenant) -> Tenant:
        if await self._is_in_place(step, tenant):
            return tenant
        tenant = await self._change(tenant.tenant_id, lambda found: found.begin_step(step.name))
        try:
            await step.ensure(tenant)
            await step.verify(tenant)
        except Exception as error:
            reason = reason_of(error)
            await self._change(tenant.tenant_id, lambda found: found.fail_step(step.name, reason))
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=step.name, reason=reason) from error
        return await self._change(tenant.tenant_id, lambda found: found.complete_step(step.name))

    async def _is_in_place(self, step: ProvisioningStep, tenant: Tenant) -> bool:
        if tenant.operation is None or tenant.operation.step(step.name).status is not StepStatus.DONE:
            return False
        try:
            await step.verify(tenant)
        except Exception:  # noqa: BLE001  # running the step again mends it, or records what is wrong
            return False
        return True

    # --- The registry. ---

    async def _add_under_new_id(self, registered: Callable[[TenantId], Tenant]) -> Tenant:
        for _ in range(_TRIES_FOR_AN_ID - 1):
            try:
                return await self._add(registered(self._new_tenant_id()))
            except DuplicateEntityError:
                continue
        return await self._add(registered(self._new_tenant_id()))

    async def _add(self, tenant: Tenant) -> Tenant:
        async with self._registry.registry() as unit:
            unit.repository(TenantRepository).add(tenant)
            await unit.commit()
        return self._observed(tenant)

    async def _change(
        self, tenant_id: TenantId, change: Callable[[Tenant], None], *, unless: TenantStatus | None = None
    ) -> Tenant:
        async with self._registry.registry() as unit:
            tenant = await unit.repository(TenantRepository).of(tenant_id)
            if tenant.status is not unless:
                change(tenant)
            await unit.commit()
        return self._observed(tenant)

    def _observed(self, tenant: Tenant) -> Tenant:
        if self._directory is not None:
            self._directory.observe(tenant)
        return tenant
