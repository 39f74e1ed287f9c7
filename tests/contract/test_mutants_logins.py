"""Tenants' own MongoDB users on a server that asks for logins: what they cannot reach, and who a unit is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.logins.attacks import ATTACKS, code_of
from tests.logins.platform import ACME, GLOBEX, driver_of, guarded_server, login_step_of, names, served, user_of
from tests.mutants import assert_goes_red

from prismicx.adapters.beanie import BeanieBackend, login_step
from prismicx.adapters.beanie.logins import own_privileges
from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.testing.examples import example_tenant

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with guarded_server(tmp_path_factory.mktemp("guarded")) as uri:
        yield uri


@pytest.fixture(scope="module")
async def backend(guarded: str) -> AsyncIterator[BeanieBackend]:
    async with served(guarded, "guarded") as backend:
        yield backend


@pytest.mark.control
async def test_no_command_reaches_another_tenants_databases(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as unit:
        driver = driver_of(unit)
        codes = {name: await code_of(attack(driver)) for name, attack in ATTACKS.items()}

    assert {name: code for name, code in codes.items() if code != 13} == {}
    assert await names(backend, GLOBEX) == ["globex"] * 3


@pytest.mark.control
async def test_each_unit_logs_in_as_its_tenants_user(backend: BeanieBackend) -> None:
    for tenant in (ACME, GLOBEX, ACME):
        async with backend.unit_of_work(tenant) as unit:
            user = await user_of(unit)

        assert user.startswith(f"guarded.tenant_{tenant}.")


async def test_a_user_that_may_reach_another_tenants_database(backend: BeanieBackend) -> None:
    acme = example_tenant(ACME)
    further = {"resource": {"db": "tenant_globex_db", "collection": "gizmos"}, "actions": ["find"]}

    with Patch.context() as patch:
        patch.setattr(login_step, "own_privileges", lambda *arguments: [*own_privileges(*arguments), further])
        await login_step_of(backend).ensure(acme)
        await assert_goes_red(test_no_command_reaches_another_tenants_databases, backend, backend="BeanieBackend")
    await login_step_of(backend).ensure(acme)


async def test_a_unit_that_uses_the_shared_login(backend: BeanieBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(BeanieUnitOfWork, "_admit", TrackedUnitOfWork._admit)

    await assert_goes_red(test_each_unit_logs_in_as_its_tenants_user, backend, backend="BeanieBackend")


async def test_a_pool_that_is_lent_to_another_tenant(backend: BeanieBackend, monkeypatch: Patch) -> None:
    assert backend._logged_in is not None
    lease = backend._logged_in.lease
    monkeypatch.setattr(backend._logged_in, "lease", lambda _: lease(ACME.value))

    await assert_goes_red(test_each_unit_logs_in_as_its_tenants_user, backend, backend="BeanieBackend")
