"""Where a tenant's documents are, and under which guard."""

from __future__ import annotations

from prismicx.adapters.tenant_guard import TenantGuard
from prismicx.domain.identifiers import TenantId, plugin_schema_name, tenant_database_name
from prismicx.domain.placement import EntityMapping, Reference, Shared, TenantDatabase, TenantSchema

REGISTRY_PREFIX = "prismicx_"
"""What the names of the registry's collections begin with; they are in the database that all tenants share."""


def collection_name(mapping: EntityMapping) -> str:
    """Return the name of the mapping's collection."""
    return REGISTRY_PREFIX + mapping.name if isinstance(mapping.placement, Reference) else mapping.name


def own_database(mapping: EntityMapping, tenant: TenantId | None) -> str | None:
    """Return the tenant's own database that holds the mapping's collection; `None` for the one that all share."""
    placement = mapping.placement
    if tenant is None or isinstance(placement, Shared):
        return None
    match placement:
        case TenantSchema(plugin_type=plugin_type):
            return plugin_schema_name(tenant, plugin_type)
        case TenantDatabase():
            return tenant_database_name(tenant)
    return None


def guard_of(mapping: EntityMapping, tenant: TenantId) -> TenantGuard:
    """Return the guard of the mapping's collection for this tenant."""
    return TenantGuard(tenant, shared=isinstance(mapping.placement, Shared), versioned=True)
