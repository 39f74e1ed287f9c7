"""The probe: find out by trying that a collection takes the tenant's documents and refuses others; nothing stays."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, WriteError

from prismicx.adapters.beanie.client import MAJORITY, MongoDBClient
from prismicx.adapters.beanie.definitions import Database, Document
from prismicx.adapters.tenant_guard import IDENTITY, TENANT
from prismicx.domain.identifiers import TenantId, new_id


async def probe_problems(
    client: MongoDBClient, database: Database, names: Sequence[str], tenant: TenantId, *, shared: bool
) -> list[str]:
    """Return which of these collections refuse a document of the tenant, or take one that they must not.

    Each document is inserted in a transaction that is aborted. In a tenant's own database one of another tenant must
    be refused; in the shared one, where the server cannot know the tenant, one of nobody.
    """
    wrong: Document = {} if shared else {TENANT: TenantId.new().value}
    owner = "nobody" if shared else "another tenant"
    problems: list[str] = []
    async with client.client.start_session() as session:
        for name in names:
            if not await _takes(session, database, name, {TENANT: tenant.value}):
                problems.append(f"{database.name}.{name} refuses the tenant's own document")
            if await _takes(session, database, name, wrong):
                problems.append(f"{database.name}.{name} takes a document of {owner}")
    return problems


async def _takes(session: AsyncClientSession, database: Database, name: str, document: Document) -> bool:
    await session.start_transaction(write_concern=MAJORITY)
    try:
        await database[name].insert_one({IDENTITY: new_id(), **document}, session=session)
    except DuplicateKeyError:  # it came past the validator
        return True
    except WriteError:
        return False
    finally:
        await session.abort_transaction()
    return True
