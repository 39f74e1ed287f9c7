"""Names made of a tenant's id: injected, folded, cut, guessed; and the ones that prismicx makes."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from pymongo.errors import InvalidName
from tests.threats.service import CRM, Bare

from prismicx.domain.errors import InvalidNameError, InvalidTenantIdError
from prismicx.domain.identifiers import PluginType, TenantId, plugin_schema_name, tenant_database_name

LONG = ("long" * 10)[:40]


async def test_a_schema_name_that_is_too_long_is_cut_and_another_tenants_schema_is_adopted(bare: Bare) -> None:
    first, second = (f"tenant_{'a' * 60}_{plugin}" for plugin in ("crm", "erp"))
    await bare.make(f"CREATE SCHEMA {first}", f"CREATE SCHEMA IF NOT EXISTS {second}")
    count = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant\\_aaa%'"
    assert await bare.connection.fetchval(count) == 1

    names = {plugin_schema_name(TenantId(LONG[:-1] + end), PluginType("p" * 20)) for end in "abc"}
    assert len(names) == 3
    assert max(len(name.encode()) for name in names) <= 63


async def test_a_name_without_quotes_is_folded_or_no_name_at_all(bare: Bare) -> None:
    await bare.make("CREATE SCHEMA tenant_Upper_crm")
    assert await bare.connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_upper_crm'") == 1
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await bare.make("CREATE SCHEMA tenant_tenant-ab12cd34_crm")

    with pytest.raises(InvalidTenantIdError):
        TenantId("Upper")
    assert plugin_schema_name(TenantId("tenant-ab12cd34"), CRM) == "tenant_tenant-ab12cd34_crm"


async def test_an_id_in_the_text_of_a_statement_is_an_injection(bare: Bare) -> None:
    hostile = "x'; CREATE TABLE bare.pwned (id int); SELECT '"
    await bare.make(f"SET app.current_tenant_id = '{hostile}'")
    assert await bare.connection.fetchval("SELECT to_regclass('bare.pwned') IS NOT NULL")
    await bare.make("DROP TABLE bare.pwned", "RESET app.current_tenant_id")

    for name in (hostile, "a b", "a.b", "a\x00b", "a/b", "a$b", 'a"b', "", " acme", "acme ", "é", "a" * 41, "-a", "a_"):
        with pytest.raises(InvalidTenantIdError):
            TenantId(name)


def test_an_id_is_text_and_nothing_that_only_says_so() -> None:
    class Sly(str):
        """A text that may answer differently each time."""

        __slots__ = ()

    for value in (Sly("acme"), b"acme", None, 1, {"$ne": None}):
        with pytest.raises(InvalidTenantIdError):
            TenantId(value)  # type: ignore[arg-type]  # the mistake under test


def test_two_ids_and_types_never_make_one_name() -> None:
    pairs = [("a", "b_crm"), ("a_b", "crm"), ("a-b", "crm"), ("a__b", "crm"), ("a", "db"), ("a_crm", "db")]

    names = [plugin_schema_name(TenantId(tenant), PluginType(plugin)) for tenant, plugin in pairs]
    names += [tenant_database_name(TenantId(tenant)) for tenant in ("a", "a_b", "a-b", "a__b", "a_crm")]

    assert len({name.lower() for name in names}) == len(names)


def test_a_short_random_id_collides() -> None:
    def collision(tenants: int, bits: int) -> float:
        return tenants * (tenants - 1) / 2 / float(2**bits)

    assert collision(10_000, 32) > 0.01
    made = {TenantId.new().value for _ in range(1000)}
    assert len(made) == 1000
    assert collision(10_000_000, 74) < 1e-8  # the random bits of a UUIDv7


@pytest.mark.parametrize("name", ["admin", "local", "config"])
def test_a_database_of_the_servers_own_is_no_tenants(raw: Any, name: str) -> None:
    assert raw.client[name].name == name

    assert tenant_database_name(TenantId(name)) == f"tenant_{name}_db"


def test_a_hostile_database_name_is_taken_by_the_driver_and_no_tenants(raw: Any) -> None:
    assert raw.client["a*<>:?"].name == "a*<>:?"
    with pytest.raises(InvalidName):
        raw.client["a.b"]

    for name in ("a*", "a<", "a>", "a:", "a?", "a.b"):
        with pytest.raises(InvalidTenantIdError):
            TenantId(name)


def test_a_shared_database_cannot_be_named_as_a_tenants() -> None:
    from prismicx.adapters.beanie import MongoDBClient

    for name in ("tenant_acme_db", "tenant_acme_crm", "admin", "Tenant_acme_db"):
        with pytest.raises(InvalidNameError):
            MongoDBClient("mongodb://localhost", name)
