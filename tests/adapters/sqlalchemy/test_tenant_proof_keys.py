"""Keys of the proof of tenant: what they may be, who sees them, how they change, and databases that change sides."""

from __future__ import annotations

import hashlib
import hmac
from itertools import product

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX
from tests.adapters.sqlalchemy.proven import KEY, OLD_KEY, TABLES, backend_with, canaries, connected, fill, seen
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, TenantProof
from prismicx.adapters.sqlalchemy.proof import ProofKey
from prismicx.domain.errors import MappingError, SettingsError, TenantProofMismatchError, UnsafeRoleError
from prismicx.domain.findings import AuditScope
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widgets, example_tenant


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database()


async def prepared(database: PostgresDatabase, *keys: str) -> SqlAlchemyBackend:
    backend = backend_with(database, *keys)
    await backend.initialise_database()
    return backend


async def policies(database: PostgresDatabase) -> set[str]:
    """Return the expressions that the policies of this database know the tenant by."""
    async with superuser(database) as connection:
        rows = await connection.fetch("SELECT qual, with_check FROM pg_policies WHERE policyname = 'prismicx_tenant'")
    assert all(using == checking for using, checking in rows)
    return {"proven" if "prismicx.current_tenant()" in using else "plain" for using, _ in rows}


async def test_the_database_computes_the_hash_of_rfc_2104(database: PostgresDatabase) -> None:
    query = "SELECT sha256($1::bytea || sha256($2::bytea || $3::bytea))"
    async with superuser(database) as connection:
        for length, message in product((32, 63, 64, 65, 200), (b"", b"open", b"x" * 200)):
            key = "k" * (length - 1) + "!"
            _, inner, outer = ProofKey(key).stored
            found = await connection.fetchval(query, outer, inner, message)

            assert found == hmac.digest(key.encode(), message, hashlib.sha256)
            assert ProofKey(key).mac(message) == found.hex()


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ((), "there is no key"),
        (("a" * 32, "b" * 32, "c" * 32), "there are 3 keys, and 2 at most"),
        (("secret-and-short",), "key 1 is shorter than 32"),
        (("a" * 32, "secret word" + "x" * 30), "key 2 has a comma, a space"),
        (("secret,word" + "x" * 30,), "key 1 has a comma"),
        (("secret-wörd" + "x" * 30,), "key 1 has"),
        (("a" * 32, "a" * 32), "one key is there twice"),
    ],
)
def test_keys_that_do_not_fit_are_refused_and_not_shown(keys: tuple[str, ...], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        TenantProof(*keys)
    assert "secret" not in str(caught.value)


def test_a_key_is_in_no_representation() -> None:
    proof = TenantProof(SecretStr(KEY), OLD_KEY)

    shown = f"{proof!r} {proof.keys!r} {proof.for_transaction(ACME, pid=1)}"
    assert KEY not in shown
    assert OLD_KEY not in shown
    assert proof.keys[0].id in shown
    assert not hasattr(proof, "__dict__")


def test_two_keys_are_one_setting_the_current_one_first() -> None:
    proof = TenantProof.parse(SecretStr(f"{KEY}, {OLD_KEY}"))

    assert [key.id for key in proof.keys] == [ProofKey(KEY).id, ProofKey(OLD_KEY).id]


async def test_no_statement_holds_a_key(database: PostgresDatabase) -> None:
    backend = await prepared(database, KEY, OLD_KEY)

    secrets = [KEY, OLD_KEY]
    for key in (KEY, OLD_KEY):
        _, inner, outer = ProofKey(key).stored
        secrets += [inner.hex(), outer.hex(), key.encode().hex()]
    shown = "\n".join((*backend.setup_sql, *backend.key_rotation_sql, *backend.proof_removal_sql))
    assert "secret and not shown" in shown
    assert not any(secret in shown for secret in secrets)


async def test_keys_change_while_services_run(database: PostgresDatabase) -> None:
    old = await prepared(database, OLD_KEY)
    async with old:
        await backend_with(database, OLD_KEY, KEY).rotate_tenant_proof_keys()
        async with backend_with(database, KEY, OLD_KEY) as new:
            for backend in (old, new):
                async with backend.unit_of_work(ACME) as uow:
                    assert await uow.repository(Widgets).count() == 0
            await backend_with(database, KEY).rotate_tenant_proof_keys()
            async with new.unit_of_work(ACME) as uow:
                assert await uow.repository(Widgets).count() == 0
        with pytest.raises(TenantProofMismatchError, match="rotate-key"):
            async with old.unit_of_work(ACME):
                pass


async def test_preparing_again_adds_a_key_and_takes_none(database: PostgresDatabase) -> None:
    await prepared(database, OLD_KEY)
    await prepared(database, KEY)

    for key in (KEY, OLD_KEY):
        async with backend_with(database, key) as backend, backend.unit_of_work(ACME):
            pass


async def test_a_service_with_another_key_does_not_start(database: PostgresDatabase) -> None:
    await prepared(database, KEY)

    with pytest.raises(TenantProofMismatchError, match="does not have the key"):
        await backend_with(database, OLD_KEY).start()


async def test_a_service_without_a_key_neither_starts_nor_prepares_nor_rotates(database: PostgresDatabase) -> None:
    await prepared(database, KEY)

    with pytest.raises(TenantProofMismatchError, match="no key was given"):
        await backend_with(database).start()
    with pytest.raises(TenantProofMismatchError, match="no key was given"):
        await backend_with(database).initialise_database()
    with pytest.raises(SettingsError, match="PRISMICX_TENANT_PROOF_KEYS"):
        await backend_with(database).rotate_tenant_proof_keys()


async def test_a_database_that_asks_for_nothing_is_prepared_first(database: PostgresDatabase) -> None:
    await prepared(database)

    with pytest.raises(TenantProofMismatchError, match="run `prismicx db init`"):
        await backend_with(database, KEY).start()
    with pytest.raises(TenantProofMismatchError, match="run `prismicx db init`"):
        await backend_with(database, KEY).rotate_tenant_proof_keys()


async def test_a_role_that_can_read_the_keys_does_not_serve(database: PostgresDatabase) -> None:
    backend = await prepared(database, KEY)
    async with superuser(database) as connection:
        await connection.execute("GRANT SELECT (inner_pad) ON prismicx.tenant_keys TO prismicx_test_app")

    with pytest.raises(UnsafeRoleError, match="it can read or change"):
        await backend.start()


async def test_default_privileges_do_not_open_the_keys(database: PostgresDatabase) -> None:
    async with superuser(database) as connection:
        await connection.execute(
            "ALTER DEFAULT PRIVILEGES FOR ROLE prismicx_test_owner GRANT ALL ON TABLES TO prismicx_test_app, PUBLIC"
        )
    backend = await prepared(database, KEY)

    async with backend, connected(backend) as connection:
        assert (await seen(connection, "SELECT * FROM prismicx.tenant_keys"))[1] == "42501"


async def test_behind_a_pooler_that_gives_another_process_id_it_says_so(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await prepared(database, KEY)
    monkeypatch.setattr("asyncpg.Connection.get_server_pid", lambda connection: 7)

    with pytest.raises(TenantProofMismatchError, match="a pooler between the two"):
        await backend.start()


def test_a_transaction_pooler_and_a_proof_exclude_each_other() -> None:
    client = DatabaseClient(pooler="transaction")

    with pytest.raises(SettingsError, match="transaction pooler"):
        SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, tenant_proof=TenantProof(KEY))


async def test_a_database_with_tenants_changes_sides_and_back(database: PostgresDatabase) -> None:
    plain, proven = await prepared(database), backend_with(database, KEY)
    async with plain:
        await fill(plain)
    assert await policies(database) == {"plain"}

    for _ in range(2):
        await proven.initialise_database()
    assert await policies(database) == {"proven"}
    async with proven:
        for tenant in (ACME, GLOBEX):
            for step in proven.steps():
                await step.verify(example_tenant(tenant))
        assert await canaries(proven) == len(TABLES)
        assert await canaries(proven, ACME) == 0

    with pytest.raises(SettingsError, match="while this service has keys"):
        await proven.initialise_database(without_tenant_proof=True)
    for _ in range(2):
        await plain.initialise_database(without_tenant_proof=True)
    assert await policies(database) == {"plain"}
    async with plain:
        assert await canaries(plain) == len(TABLES)
        assert await canaries(plain, ACME) == 0
    async with superuser(database) as connection:
        assert await connection.fetchval("SELECT to_regclass('prismicx.tenant_keys')") is None


async def test_a_policy_that_was_left_without_the_proof_is_found(database: PostgresDatabase) -> None:
    backend = await prepared(database, KEY)
    async with superuser(database) as connection:
        await connection.execute(
            "ALTER POLICY prismicx_tenant ON widgets "
            "USING (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), ''))"
        )

    with pytest.raises(MappingError, match="does not rest on the proof of tenant"):
        await backend.start()


async def test_a_tenants_rows_and_places_are_removed_with_the_proof(database: PostgresDatabase) -> None:
    backend = await prepared(database, KEY)
    async with backend:
        await fill(backend)
        for step in reversed(backend.steps()):
            await step.remove(example_tenant(GLOBEX))
        async with backend.unit_of_work(GLOBEX) as uow:
            assert await uow.repository(Widgets).count() == 0


async def test_sessions_of_the_client_prove_the_tenant_too(database: PostgresDatabase) -> None:
    backend = await prepared(database, KEY)
    async with backend, backend._client.session(ACME) as session:
        assert await session.scalar(text("SELECT prismicx.current_tenant()")) == ACME.value


async def test_the_audit_finds_nothing_in_a_database_that_asks_for_proofs(database: PostgresDatabase) -> None:
    backend = await prepared(database, KEY)
    async with backend:
        await fill(backend)
        report = await backend.audit(AuditScope())

    assert report.findings == ()
