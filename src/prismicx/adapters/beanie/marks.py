"""Owner marks: what tells a tenant's database that prismicx has made from one that merely has its name.

The mark is a document in a collection of its own, written before anything else and dropped after everything else.
Whoever may write to the database could forge it: on MongoDB that is the application's own login.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from prismicx.adapters.beanie.definitions import BeforeWrite, Database, ensure_collection, listed, own_validator
from prismicx.adapters.tenant_guard import IDENTITY, TENANT
from prismicx.domain.errors import ForeignObjectError
from prismicx.domain.identifiers import TenantId

OWNER: Final = "prismicx_owner"
"""The collection of the mark in each tenant's own database."""

_MARK: Final = "owner"


class Standing(Enum):
    """Whose a database is, if it is not somebody else's."""

    NOTHING = auto()
    """Nobody's: there is none."""

    UNMARKED = auto()
    """The tenant's, from before there were marks or before the mark was written."""

    MARKED = auto()
    """The tenant's."""


async def standing_of(database: Database, tenant: TenantId, *, deployment: str) -> Standing:
    """Return how the database stands to this tenant.

    A database without a mark counts as the tenant's if a collection in it lets in documents of this tenant only: that
    is how places were left before there were marks.

    Args:
        deployment: the database that all tenants of this service share. Two services on one server may have tenants of
            one name; this tells them apart.

    Raises:
        ForeignObjectError: it is another tenant's, another service's, or nobody knows whose.
    """
    collections = await listed(database)
    if not collections:
        return Standing.NOTHING
    mark = await database[OWNER].find_one({IDENTITY: _MARK})
    if mark is not None:
        if (mark.get(TENANT), mark.get("deployment")) != (tenant.value, deployment):
            reason = f"its mark names tenant {mark.get(TENANT)} of the service at {mark.get('deployment')}"
            raise ForeignObjectError("database", database.name, reason)
        return Standing.MARKED
    validator = own_validator(tenant)
    if set(collections) == {OWNER} or any(options.get("validator") == validator for options in collections.values()):
        return Standing.UNMARKED
    raise ForeignObjectError("database", database.name, "it bears no mark, and nothing in it is kept to this tenant")


async def ensure_mark(
    database: Database, tenant: TenantId, *, standing: Standing, deployment: str, before_write: BeforeWrite
) -> None:
    """Mark a database as the tenant's, as far as that has not been done."""
    if standing is not Standing.MARKED:
        await before_write()
        mark = {TENANT: tenant.value, "deployment": deployment}
        await database[OWNER].update_one({IDENTITY: _MARK}, {"$setOnInsert": mark}, upsert=True)
    await ensure_collection(database, OWNER, validator=own_validator(tenant), before_write=before_write)
