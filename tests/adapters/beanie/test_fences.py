"""Fencing numbers on MongoDB: the overtaken worker is refused before its next write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.adapters.beanie.examples import Faults

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.beanie.fences import require_fence
from prismicx.domain.errors import ConnectionLostError, DatabaseError, LeaseLostError

SUBJECT = "tenant/acme"


async def test_a_number_passes_again_and_so_does_a_greater_one(backend: BeanieBackend) -> None:
    for fence in (0, 1, 1, 3, 3):
        await require_fence(backend._client, "tenant/initech", fence)

    for outdated in (2, 0):
        with pytest.raises(LeaseLostError) as refused:
            await require_fence(backend._client, "tenant/initech", outdated)
        assert (refused.value.subject, refused.value.fence) == ("tenant/initech", outdated)
    await require_fence(backend._client, "tenant/umbrella", 1)


async def test_of_many_at_once_the_greatest_number_stays(backend: BeanieBackend, stored: Any) -> None:
    answers = await asyncio.gather(
        *(require_fence(backend._client, SUBJECT, fence) for fence in range(1, 17)), return_exceptions=True
    )

    assert answers[-1] is None
    assert {type(answer) for answer in answers} <= {type(None), LeaseLostError}
    assert stored.prismicx_fences.find_one({"_id": SUBJECT})["fence"] == 16


async def test_initialising_makes_the_collection_and_keeps_what_is_in_it(backend: BeanieBackend, stored: Any) -> None:
    assert "prismicx_fences" in stored.list_collection_names()
    await require_fence(backend._client, SUBJECT, 5)

    await backend.initialise_database()

    with pytest.raises(LeaseLostError):
        await require_fence(backend._client, SUBJECT, 4)


async def test_a_broken_answer_is_no_permission(backend: BeanieBackend, faults: Faults) -> None:
    with faults("findAndModify", errorCode=2), pytest.raises(DatabaseError):
        await require_fence(backend._client, SUBJECT, 1)
    with faults("findAndModify", closeConnection=True, times=2), pytest.raises(ConnectionLostError):
        await require_fence(backend._client, SUBJECT, 1)
