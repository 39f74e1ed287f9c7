"""A tenant's unit logs in as the tenant's own user: nothing sent through it reaches another tenant's databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from tests.adapters.beanie.examples import Commands
from tests.logins.platform import (
    ACME,
    EVERY_PLACEMENT,
    GLOBEX,
    KEY,
    NEXT_KEY,
    Driver,
    backend_on,
    create,
    login_step_of,
    names,
    provisioning,
    user_of,
)

from prismicx.adapters.beanie import BeanieBackend, TenantLogins, client
from prismicx.adapters.beanie.login_step import TenantLoginStep
from prismicx.domain.errors import ForeignObjectError, PermissionDeniedError, ProvisioningError, SettingsError
from prismicx.domain.events import DomainEvent
from prismicx.domain.findings import AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.domain.moments import utc_now
from prismicx.domain.tenancy import TenantStatus
from prismicx.testing.contracts import FencedStepContract, ProvisioningStepContract
from prismicx.testing.examples import Widget, Widgets, example_tenant


async def test_one_transaction_spans_shared_collections_and_the_tenants_databases(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as unit:
        for port, kind in EVERY_PLACEMENT:
            unit.repository(port).add(kind(name="taken back"))
        await unit.flush()
        await unit.rollback()

    assert await names(backend, ACME) == ["acme"] * 3


class Stored(DomainEvent):
    """A widget is there."""


async def test_events_are_stored_by_the_tenants_user_too(guarded: str, backend: BeanieBackend) -> None:
    async with backend_on(guarded, "guarded", KEY, outbox=True) as other:
        await other.initialise_database()
        async with other.unit_of_work(ACME) as unit:
            widget = Widget(name="announced")
            widget.record(Stored())
            unit.repository(Widgets).add(widget)
            await unit.commit()
            unit_user = other._logged_in.connections

        waiting = await other.outbox.waiting(now=utc_now(), past_dead=False, limit=10)
        async with other.unit_of_work(ACME) as unit:
            await unit.repository(Widgets).delete_where(Widget.name == "announced")
            await unit.commit()

    assert (waiting, unit_user) == ([ACME], ("acme",))


async def test_units_of_the_registry_log_in_as_the_service(backend: BeanieBackend) -> None:
    async with backend.registry() as unit:
        assert await user_of(unit) == "admin.root"


async def test_a_pool_that_is_open_costs_no_command(
    guarded: str, backend: BeanieBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands()
    monkeypatch.setattr(client, "AsyncMongoClient", partial(AsyncMongoClient, event_listeners=[commands]))
    async with backend_on(guarded, "guarded", KEY) as other:
        await names(other, ACME)
        commands.forget()
        for _ in range(3):
            async with other.unit_of_work(ACME, read_only=True) as unit:
                await unit.repository(Widgets).list()
        sent = list(commands.sent)

    assert sent == ["find", "find", "find"]


async def test_no_more_idle_pools_are_kept_than_allowed(guarded: str, backend: BeanieBackend) -> None:
    async with backend_on(guarded, "guarded", KEY, max_logins=1) as other:
        for tenant in (ACME, GLOBEX):
            assert await names(other, tenant) == [tenant.value] * 3

        assert other._logged_in.connections == ("globex",)


async def test_a_tenant_without_a_user_is_refused_and_not_served_by_another_login(backend: BeanieBackend) -> None:
    with pytest.raises(PermissionDeniedError, match="renew-logins"):
        async with backend.unit_of_work(TenantId("initech")):
            pass


async def test_a_plugin_types_database_comes_within_reach(backend: BeanieBackend) -> None:
    tenant = example_tenant(TenantId("initech"))
    step = login_step_of(backend)
    without = tenant.model_copy(update={"plugin_types": ()})
    await step.ensure(without)
    with pytest.raises(ProvisioningError, match="other privileges"):
        await step.verify(tenant)

    await step.ensure(tenant)

    await step.verify(tenant)
    await step.remove(tenant)


async def test_keys_change_while_services_run(guarded: str, backend: BeanieBackend) -> None:
    between = backend_on(guarded, "guarded", NEXT_KEY, KEY)
    after = backend_on(guarded, "guarded", NEXT_KEY)
    async with between:
        assert await provisioning(between).renew("mongodb.tenant_login") == {ACME: "", GLOBEX: ""}
        assert await names(backend, ACME) == await names(between, ACME) == ["acme"] * 3
    async with after:
        await provisioning(after).renew("mongodb.tenant_login")
        assert await names(after, ACME) == ["acme"] * 3
    async with backend_on(guarded, "guarded", KEY) as late:
        with pytest.raises(PermissionDeniedError):
            await names(late, ACME)
        await provisioning(backend).renew("mongodb.tenant_login")
        assert await names(late, ACME) == ["acme"] * 3


async def test_renewing_says_which_tenants_were_left_alone(guarded: str, backend: BeanieBackend) -> None:
    async with Driver(guarded) as driver:
        await driver["guarded"].command("createUser", "tenant_acme.by-hand", pwd="x", roles=["read"])
        renewed = await provisioning(backend).renew("mongodb.tenant_login")
        await driver["guarded"].command("dropUser", "tenant_acme.by-hand")

    assert renewed[GLOBEX] == ""
    assert "other roles than the tenant's own" in renewed[ACME]


async def test_deleting_a_tenant_removes_its_user_first_and_says_so(guarded: str, backend: BeanieBackend) -> None:
    tenant = TenantId("hooli")
    await create(backend, tenant)

    deleted = await provisioning(backend).delete(tenant)

    assert deleted.receipt is not None
    user = TenantLogins(KEY).current(tenant, database="guarded").user
    assert next(iter(deleted.receipt.removed)) == f"mongodb:guarded user {user}"
    async with Driver(guarded) as driver:
        users = (await driver["guarded"].command("usersInfo", 1))["users"]
        roles = (await driver.admin.command("rolesInfo", 1))["roles"]
    assert {name["user"].partition(".")[0] for name in users} == {"tenant_acme", "tenant_globex"}
    assert {role["role"] for role in roles} == {"guarded.tenant_acme", "guarded.tenant_globex"}


async def test_how_many_users_there_are_does_not_matter(guarded: str, backend: BeanieBackend) -> None:
    tenant = TenantId("zorg")  # by name after all the others
    async with Driver(guarded) as driver, crowd(driver):
        created = await create(backend, tenant)
        report = await backend.audit(AuditScope(places=await backend.registered_places()))
        deleted = await provisioning(backend).delete(tenant)

    assert created.status is TenantStatus.ACTIVE
    assert [finding for finding in report.findings if "tenant_zorg" in finding.object] == []
    assert deleted.receipt is not None
    assert next(iter(deleted.receipt.removed)).startswith("mongodb:guarded user tenant_zorg.")


@asynccontextmanager
async def crowd(driver: AsyncMongoClient[dict[str, Any]]) -> AsyncIterator[None]:
    """Have more users and roles than SecantusDB lists; MongoDB lists as many as one document has room for."""
    names = [f"crowd{number}" for number in range(101)]
    for name in names:
        await driver.admin.command("createRole", name, privileges=[], roles=[])
        await driver["guarded"].command("createUser", name, pwd="x", roles=[{"role": name, "db": "admin"}])
    yield
    for name in names:
        await driver["guarded"].command("dropUser", name)
        await driver.admin.command("dropRole", name)


async def test_the_audit_finds_nothing_wrong_with_them(backend: BeanieBackend) -> None:
    report = await backend.audit(AuditScope(places=await backend.registered_places()))

    assert [finding for finding in report.findings if "tenant_" in finding.object] == []


@pytest.mark.parametrize(
    "reach",
    [
        {"db": "tenant_globex_db", "collection": "gizmos"},
        {"db": "", "collection": ""},
        {"cluster": True},
        {"db": "guarded", "collection": ""},
        {"db": "guarded", "collection": "prismicx_tenants"},
    ],
    ids=str,
)
async def test_the_audit_finds_a_role_that_reaches_further(
    guarded: str, backend: BeanieBackend, reach: dict[str, Any]
) -> None:
    async with Driver(guarded) as driver:
        privileges = (
            await driver.admin.command("rolesInfo", {"role": "guarded.tenant_acme", "db": "admin"}, showPrivileges=True)
        )["roles"][0]["privileges"]
        more = [*privileges, {"resource": reach, "actions": ["find"]}]
        await driver.admin.command("updateRole", "guarded.tenant_acme", privileges=more)

    report = await backend.audit(AuditScope(places=await backend.registered_places()))
    await login_step_of(backend).ensure(example_tenant(ACME))

    (finding,) = (finding for finding in report.findings if "tenant_acme" in finding.object)
    assert finding.hole.name == "USER_OF_TENANTS"


async def test_what_others_made_is_left_alone(guarded: str, backend: BeanieBackend) -> None:
    tenant = example_tenant(TenantId("initech"))
    step = login_step_of(backend)
    async with Driver(guarded) as driver:
        await driver.admin.command("createRole", "guarded.tenant_initech", privileges=[], roles=["root"])

    with pytest.raises(ForeignObjectError):
        await step.ensure(tenant)
    with pytest.raises(ForeignObjectError):
        await step.remove(tenant)
    with pytest.raises(ProvisioningError, match="does not rest on role"):
        await step.verify(tenant)
    async with Driver(guarded) as driver:
        await driver.admin.command("dropRole", "guarded.tenant_initech")


async def test_a_password_that_was_changed_is_noticed_and_mended(guarded: str, backend: BeanieBackend) -> None:
    tenant = example_tenant(ACME)
    step = login_step_of(backend)
    user = TenantLogins(KEY).current(ACME, database="guarded").user
    async with Driver(guarded) as driver:
        await driver["guarded"].command("updateUser", user, pwd="another one")

    with pytest.raises(ProvisioningError, match="cannot log in"):
        await step.verify(tenant)
    await step.ensure(tenant)
    await step.verify(tenant)


async def test_a_server_without_access_control_is_found_out(prismicx_mongo_server: Any) -> None:
    backend = backend_on(prismicx_mongo_server.uri, "unguarded", KEY)
    tenant = example_tenant(TenantId.new())
    await backend.initialise_database()
    async with backend:
        step = login_step_of(backend)
        await step.ensure(tenant)
        with pytest.raises(ProvisioningError, match="reaches another tenant's database"):
            await step.verify(tenant)
        assert await step.remove(tenant)
    async with Driver(prismicx_mongo_server.uri) as driver:
        await driver.drop_database("unguarded")
        await driver["unguarded"].command("dropRole", "prismicx_tenant")


class TestTenantLoginStep(ProvisioningStepContract, FencedStepContract):
    @pytest.fixture
    async def step(self, backend: BeanieBackend) -> TenantLoginStep:
        return login_step_of(backend)


def test_passwords_differ_by_tenant_deployment_and_key_and_are_never_shown() -> None:
    logins = TenantLogins(KEY, NEXT_KEY)
    made = [*logins.all(ACME, database="one"), *logins.all(ACME, database="two"), *logins.all(GLOBEX, database="one")]

    assert len({login.password for login in made}) == len(made)
    assert all(login.password not in repr(login) and KEY[:9] not in repr(logins) for login in made)
    assert (
        logins.current(ACME, database="one")
        == TenantLogins.parse(SecretStr(f"{KEY},{NEXT_KEY}")).all(ACME, database="one")[0]
    )


@pytest.mark.parametrize("keys", [(), ("abc123",), (KEY, KEY), (KEY, NEXT_KEY, "x" * 40)])
def test_keys_that_do_not_fit_are_refused_unseen(keys: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as refused:
        TenantLogins(*keys)

    assert all(key not in str(refused.value) for key in keys)
