"""Twins of the crash tests: a provisioning that breaks a promise is found by the same killing."""

from __future__ import annotations

from tests.crash.killing import Killing
from tests.crash.sites import Site, kill_everywhere, new_names
from tests.mutants import assert_goes_red


async def test_a_provisioning_that_acts_before_it_records(postgres_site: Site, killing: Killing) -> None:
    deed = "tests.crash.mutants:create_acting_first"

    await assert_goes_red(kill_everywhere, postgres_site, killing, deed, new_names(), backend="SqlAlchemyBackend")


async def test_a_tenant_that_is_active_before_its_steps_are_verified(postgres_site: Site, killing: Killing) -> None:
    deed = "tests.crash.mutants:create_flipping_early"

    await assert_goes_red(kill_everywhere, postgres_site, killing, deed, new_names(), backend="SqlAlchemyBackend")
