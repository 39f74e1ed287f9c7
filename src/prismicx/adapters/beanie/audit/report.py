"""Every audited database of a MongoDB, looked at once, and the report of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

from prismicx.adapters.beanie.audit.collections import collection_findings, view_findings
from prismicx.adapters.beanie.audit.inventory import ListedCollection, Place
from prismicx.adapters.beanie.audit.users import user_findings
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.tenancy import REGISTRY_PREFIX
from prismicx.domain.findings import AuditReport, AuditScope, Finding, Severity
from prismicx.domain.holes import Hole
from prismicx.domain.identifiers import PluginType, TenantId, owner_of_place, places_of

_OWN_PREFIX: Final = "tenant_"
_REGISTRY: Final = f"{REGISTRY_PREFIX}tenants"


async def registered_places(client: MongoDBClient) -> Mapping[str, TenantId] | None:
    """Return the names of the registered tenants' databases, or `None` if there is no registry here."""
    if _REGISTRY not in await client.db.list_collection_names():
        return None
    places: dict[str, TenantId] = {}
    async for found in client.db[_REGISTRY].find({"status": {"$ne": "deleted"}}, {"tenant_id": 1, "plugin_types": 1}):
        tenant = TenantId(found["tenant_id"])
        places |= dict.fromkeys(places_of(tenant, map(PluginType, found["plugin_types"])), tenant)
    return places


async def audit_deployment(client: MongoDBClient, scope: AuditScope, *, known: Collection[str]) -> AuditReport:
    """Return what is wrong with the walls in the shared database and in every `tenant_…` database.

    Collections are listed, and each is asked for one document that does not belong there.

    Args:
        known: the names of the shared collections of the service's configuration.
    """
    names = sorted(name for name in await client.client.list_database_names() if name.startswith(_OWN_PREFIX))
    places = [Place(client.db.name, is_shared=True, tenant=None, column=scope.tenant_column)]
    found: list[Finding] = []
    for name in names:
        tenant = owner_of_place(name) if scope.places is None else scope.places.get(name)
        place = Place(name, is_shared=False, tenant=tenant, column=scope.tenant_column)
        if scope.places is not None and tenant is None:
            found.append(Finding(Hole.DATABASE_UNOWNED, name, (place.run({"dropDatabase": 1}),)))
        else:
            places.append(place)
    for place in places:
        found += [finding async for finding in _of_place(client, place, known)]
    owners = {place.database: place.tenant for place in places}
    found += [finding async for finding in user_findings(client, owners, application=scope.application_role)]
    return AuditReport.of(
        (finding for finding in found if finding.severity > Severity.INFO),
        (finding for finding in found if finding.severity is Severity.INFO),
    )


async def _of_place(client: MongoDBClient, place: Place, known: Collection[str]) -> AsyncIterator[Finding]:
    listed = [collection for collection in await _listed(client, place) if not collection.is_internal]
    tenants = [
        collection for collection in listed if not collection.is_view and await _holds(client, collection, known)
    ]
    for collection in tenants:
        stray = await client.database(place.database)[collection.name].find_one(place.strays, {"_id": 1})
        for finding in collection_findings(collection, has_strays=stray is not None):
            yield finding
    if place.is_shared:
        names = frozenset(collection.name for collection in tenants)
        for view in (collection for collection in listed if collection.is_view):
            for finding in view_findings(view, names):
                yield finding


async def _listed(client: MongoDBClient, place: Place) -> list[ListedCollection]:
    database = client.database(place.database)
    found: list[ListedCollection] = []
    for entry in await (await database.list_collections()).to_list():
        name, options = entry["name"], entry.get("options", {})
        is_view = "viewOn" in options
        indexes = [] if is_view else await (await database[name].list_indexes()).to_list()
        found.append(ListedCollection(place, name, options, tuple(indexes)))
    return found


async def _holds(client: MongoDBClient, collection: ListedCollection, known: Collection[str]) -> bool:
    """Whether a collection is one of tenants' documents: by the configuration, its place, its keys or its documents."""
    place = collection.place
    if not place.is_shared or collection.name in known:
        return True
    if any(place.column in names for _, names in collection.keys):
        return True
    some = await client.database(place.database)[collection.name].find_one(
        {place.column: {"$exists": True}}, {"_id": 1}
    )
    return some is not None
