"""One tenant's collection as a team uses it in MongoDB's own language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.threats.service import ACME, MAPPINGS

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork
from prismicx.adapters.beanie.collection import BeanieCollection
from prismicx.domain.identifiers import TenantId


@asynccontextmanager
async def items_of(
    backend: BeanieBackend, tenant: TenantId = ACME, *, commit: bool = False
) -> AsyncIterator[BeanieCollection]:
    """Yield the tenant's items; what was done with them lasts if that is asked."""
    async with backend.unit_of_work(tenant) as uow:
        assert isinstance(uow, BeanieUnitOfWork)
        yield uow.collection(MAPPINGS[0])
        if commit:
            await uow.commit()
