"""`prismicx db init` on real servers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pymongo import MongoClient

from prismicx.testing.databases import MongoDatabase, PostgresDatabase, finish

MAPPINGS = """
from prismicx import AggregateRoot, EntityMapping, PluginType, TenantSchema

class Task(AggregateRoot):
    title: str

class Lead(AggregateRoot):
    name: str

MAPPINGS = [EntityMapping(Task, "tasks"), EntityMapping(Lead, "leads", TenantSchema(PluginType("crm")))]
"""


def tables_of(postgres: PostgresDatabase) -> set[str]:
    found: set[str] = set()

    async def look() -> None:
        connection: Any = await asyncpg.connect(postgres.superuser_dsn)
        rows = await connection.fetch(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('prismicx', 'public')"
        )
        found.update(row[0] for row in rows)
        await connection.close()

    finish(look())
    return found


def collections_of(mongo: MongoDatabase) -> set[str]:
    with MongoClient[dict[str, Any]](mongo.uri) as client:
        return set(client[mongo.name].list_collection_names())


def run_as_owner(postgres: PostgresDatabase, sql: str) -> None:
    async def run() -> None:
        connection: Any = await asyncpg.connect(postgres.admin_dsn)
        await connection.execute(sql)
        await connection.close()

    finish(run())


REGISTRY = {"prismicx.tenants", "prismicx.plugins", "prismicx.tenant_plugins"}


@pytest.fixture
def mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "shop_of_the_test.py").write_text(MAPPINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "shop_of_the_test", raising=False)
    return "shop_of_the_test:MAPPINGS"


def test_it_makes_the_registry_and_can_be_run_again(
    servers: Any, postgres: PostgresDatabase, mongo: MongoDatabase
) -> None:
    for _ in range(2):
        answer = servers.data("db", "init")

        assert answer["done"] is True
        assert [found["database"] for found in answer["databases"]] == ["postgres", "mongo"]
        assert tables_of(postgres) >= REGISTRY
        assert collections_of(mongo) >= {"prismicx_tenants", "prismicx_plugins", "prismicx_tenant_plugins"}


def test_it_makes_what_the_mappings_of_a_service_need(
    servers: Any, postgres: PostgresDatabase, mongo: MongoDatabase, mappings: str
) -> None:
    made = servers("db", "init", "--mappings", mappings)

    assert made.exit_code == 0
    assert "ready" in made.stdout
    assert "public.tasks" in tables_of(postgres)
    assert "tasks" in collections_of(mongo)
    # A tenant's own tables come with the tenant.
    tenant = servers.data("tenant", "create", "Acme", "--id", "acme", "--mappings", mappings)["tenant"]
    assert tenant["status"] == "active"


def test_a_dry_run_touches_nothing_and_prints_sql_that_runs(
    servers: Any, postgres: PostgresDatabase, mongo: MongoDatabase, mappings: str
) -> None:
    printed = servers("db", "init", "--dry-run", "--mappings", mappings)
    data = servers.data("db", "init", "--dry-run", "--mappings", mappings)
    touched = tables_of(postgres) | collections_of(mongo)
    run_as_owner(postgres, printed.stdout)

    assert printed.exit_code == 0
    assert data["done"] is False
    assert data["databases"][0]["statements"]
    assert set(data["databases"][1]["collections"]) >= {"prismicx_tenants", "tasks"}
    assert "collection tasks" in printed.stdout
    assert touched == set()
    assert tables_of(postgres) >= REGISTRY | {"public.tasks"}


def test_a_dry_run_needs_no_server(program: Any) -> None:
    printed = program("db", "init", "--dry-run", "--postgres-dsn", "postgresql://app:pa55word@nowhere.invalid/shop")

    assert printed.exit_code == 0
    assert "BEGIN;" in printed.stdout
    assert "pa55word" not in printed.output


def test_a_database_that_is_not_prepared_is_named(servers: Any) -> None:
    refused = servers("tenant", "list")

    assert refused.exit_code == 1
    assert "prismicx db init" in refused.stderr


KEY, NEXT_KEY = "a-key-of-the-proof-for-this-test-1", "a-key-of-the-proof-for-this-test-2"


def keys_of(postgres: PostgresDatabase) -> int:
    found: list[int] = []

    async def look() -> None:
        connection: Any = await asyncpg.connect(postgres.superuser_dsn)
        found.append(await connection.fetchval("SELECT count(*) FROM prismicx.tenant_keys"))
        await connection.close()

    finish(look())
    return found[0]


def test_with_keys_it_makes_the_database_ask_for_proofs(
    servers: Any, postgres: PostgresDatabase, mappings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISMICX_TENANT_PROOF_KEYS", KEY)
    servers.data("db", "init", "--mappings", mappings)
    assert keys_of(postgres) == 1
    tenant = servers.data("tenant", "create", "Acme", "--id", "acme", "--mappings", mappings)["tenant"]
    assert tenant["status"] == "active"

    monkeypatch.setenv("PRISMICX_TENANT_PROOF_KEYS", f"{NEXT_KEY},{KEY}")
    assert servers.data("db", "rotate-key", "--mappings", mappings)["done"] is True
    assert keys_of(postgres) == 2
    monkeypatch.setenv("PRISMICX_TENANT_PROOF_KEYS", NEXT_KEY)
    servers.data("db", "rotate-key", "--mappings", mappings)
    assert keys_of(postgres) == 1

    monkeypatch.delenv("PRISMICX_TENANT_PROOF_KEYS")
    assert servers.data("db", "init", exit_code=1)["error"]["code"] == "tenant_proof_mismatch"
    servers.data("db", "init", "--without-tenant-proof", "--mappings", mappings)
    assert "prismicx.tenant_keys" not in tables_of(postgres)


def test_a_dry_run_shows_no_key(servers: Any, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISMICX_TENANT_PROOF_KEYS", KEY)
    for arguments in (("db", "init"), ("db", "rotate-key")):
        printed = servers(*arguments, "--dry-run")
        assert printed.exit_code == 0
        assert "secret and not shown" in printed.stdout
        assert KEY not in printed.output
    monkeypatch.delenv("PRISMICX_TENANT_PROOF_KEYS")

    assert (
        "DROP TABLE IF EXISTS prismicx.tenant_keys"
        in servers("db", "init", "--dry-run", "--without-tenant-proof").stdout
    )
    assert tables_of(postgres) == set()


def test_keys_that_do_not_fit_are_named_and_not_shown(servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISMICX_TENANT_PROOF_KEYS", "pa55word")
    refused = servers("db", "init")

    assert refused.exit_code == 2
    assert "shorter than 32 characters" in refused.stderr
    assert "pa55word" not in refused.output


def test_there_is_nothing_to_rotate_without_keys(servers: Any) -> None:
    assert servers.data("db", "rotate-key", exit_code=2)["error"]["code"] == "settings"
