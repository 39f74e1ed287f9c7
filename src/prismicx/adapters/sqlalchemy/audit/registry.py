"""Whose places there are, as the registry in this database says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.identifiers import PluginType, TenantId, places_of


async def registered_places(connection: Connection) -> Mapping[str, TenantId] | None:
    """Return the names of the registered tenants' schemas and databases, or `None` without a readable registry."""
    if not await connection.fetchval(_IS_READABLE):
        return None
    rows = await connection.fetch(
        "SELECT tenant_id, plugin_types::text FROM prismicx.tenants WHERE status <> 'deleted'"
    )
    places: dict[str, TenantId] = {}
    for value, plugin_types in rows:
        tenant = TenantId(value)
        places |= dict.fromkeys(places_of(tenant, map(PluginType, json.loads(plugin_types))), tenant)
    return places


_IS_READABLE: Final = """
SELECT COALESCE((SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'prismicx' AND c.relname = 'tenants'), false)"""
