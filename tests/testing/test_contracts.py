"""The tools of the contracts do what they say."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from tests.contract.opened import opened_memory

from prismicx.testing.contracts import TenancyContract, assert_contract_catches
from prismicx.testing.contracts.properties import for_all
from prismicx.testing.contracts.tenancy import SHARED


async def test_a_test_that_stays_green_is_reported() -> None:
    async with opened_memory() as backend:
        with pytest.raises(AssertionError, match="stays green on MemoryBackend"):
            await assert_contract_catches(TenancyContract.test_another_tenant_sees_nothing, backend, kept=SHARED)


async def test_an_error_that_is_no_way_to_go_red_is_raised() -> None:
    async with opened_memory() as backend:
        with pytest.raises(TypeError):
            await assert_contract_catches(TenancyContract.test_another_tenant_sees_nothing, backend)


async def test_a_property_is_asked_of_as_many_examples_as_wanted() -> None:
    seen: list[int] = []

    async def holds(number: int) -> None:
        seen.append(number)

    await for_all(st.integers(), holds, examples=17)

    assert len(seen) == 17


async def test_a_property_that_fails_fails_with_the_smallest_example() -> None:
    async def holds(number: int) -> None:
        assert number < 100, f"{number} is too large"

    with pytest.raises(AssertionError, match="100 is too large"):
        await for_all(st.integers(), holds, examples=200)
