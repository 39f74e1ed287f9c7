"""The port of work over all tenants."""

from __future__ import annotations

from abc import abstractmethod

from prismicx.domain.ports import UnitOfWork
from prismicx.domain.system import SystemAccess


class SystemUnitOfWork(UnitOfWork):
    """One transaction over all tenants, by a login of its own, on the record: for operations, never for a request.

    Its repositories hold what is placed as `Shared`, of every tenant, whatever the tenant's state, and what is placed
    as `Reference`. Each aggregate carries its `tenant`. Order ends with the id and then the tenant. `find` and `get`
    raise `AmbiguousIdentityError` where several tenants have the identity. Opened with `read_only=False`, it writes
    changes to, and removals of, what it has read of tenants; `add` is refused, because something new needs a tenant's
    own unit, and so are writes to the registry. Events are handed over tenant by tenant.

    What a tenant has in a schema or database of its own is out of reach (`NotMappedError`): open its own unit.

    Entering it raises `SystemScopeInsideTenantError` while a unit of a tenant is open in the same task, or in the one
    that started it. The record is committed, and a line logged, before anything is read.
    """

    @property
    @abstractmethod
    def access(self) -> SystemAccess:
        """Who opened it, and why."""
