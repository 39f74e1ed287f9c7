"""SQL of one tenant's unit, run past every guard of the adapter, against policies that rest on the proof of tenant."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, backend_on
from tests.adapters.sqlalchemy.proof_attacks import ATTACKS, CTE, READ
from tests.adapters.sqlalchemy.proven import CANARY, KEY, TABLES, backend_with, canaries, connected, fill, seen

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.errors import TenantProofMismatchError
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import Widget, Widgets


@pytest.fixture
async def plain(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[SqlAlchemyBackend]:
    database = await prismicx_postgres_database()
    backend = backend_on(database, connections=1)
    await backend.initialise_database()
    async with backend:
        await fill(backend)
        yield backend


@pytest.mark.parametrize("attack", CTE)
async def test_without_the_proof_one_statement_reads_another_tenant(plain: SqlAlchemyBackend, attack: str) -> None:
    async with connected(plain) as connection:
        rows, _ = await seen(connection, attack)

    assert CANARY in str(rows)


class Attacks:
    """What must hold on every version of PostgreSQL."""

    @pytest.fixture
    async def database(self, prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
        async def prepare(database: PostgresDatabase) -> None:
            await backend_with(database, KEY).initialise_database()

        return await prismicx_postgres_database("proven", prepare)

    @pytest.fixture
    async def backend(self, database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
        async with backend_with(database, KEY) as backend:
            await fill(backend)
            yield backend

    async def test_nothing_that_a_tenants_sql_does_shows_another_tenants_rows(self, backend: SqlAlchemyBackend) -> None:
        shown = {}
        for name, statements in ATTACKS.items():
            async with connected(backend) as connection:
                rows, _ = await seen(connection, *statements)
            shown[name] = CANARY in str(rows)

        assert [name for name, leaks in shown.items() if leaks] == []
        assert await canaries(backend) == len(TABLES)

    @pytest.mark.parametrize("attack", CTE)
    async def test_another_name_without_its_proof_is_refused_as_forbidden(
        self, backend: SqlAlchemyBackend, attack: str
    ) -> None:
        async with connected(backend) as connection:
            assert (await seen(connection, attack))[1] == "42501"

    async def test_it_cannot_write_as_another_tenant(self, backend: SqlAlchemyBackend) -> None:
        written = "INSERT INTO widgets (tenant_id, id, version, code) VALUES ('globex', gen_random_uuid(), 1, 'new')"
        async with connected(backend) as connection:
            assert (await seen(connection, written))[1] == "42501"
        async with connected(backend) as connection:
            context = "SELECT set_config('app.current_tenant_id', 'globex', true)"
            assert (await seen(connection, context, f"UPDATE {TABLES[0]} SET code = 'new'"))[1] == "42501"

    async def test_a_proof_of_another_tenant_opens_nothing_once_a_transaction_has_begun(
        self, backend: SqlAlchemyBackend
    ) -> None:
        async with connected(backend) as connection:
            message = backend._client.opening("BEGIN", GLOBEX, connection)
            call = message.partition("; ")[2]
            for stolen in (call, f"DO $$ BEGIN PERFORM {call.removeprefix('SELECT ')}; END $$"):
                await connection.execute("SAVEPOINT before")
                assert (await seen(connection, stolen))[1] == "42501"
                await connection.execute("ROLLBACK TO before")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(message)

    async def test_a_proof_opens_nothing_but_the_message_that_it_ends(self, backend: SqlAlchemyBackend) -> None:
        connection = await backend._client.connect()
        message = backend._client.opening("BEGIN", GLOBEX, connection)
        for stacked in (
            f"{message}; SELECT * FROM {TABLES[0]}",
            message.partition("; ")[2],
            f"COMMIT; {message}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="named by the message"):
                await connection.execute(stacked)
            await connection.execute("ROLLBACK")
        await connection.execute(message)
        assert CANARY in str(await connection.fetch(READ[0]))
        await connection.close()

    async def test_a_proof_is_for_one_server_process(self, backend: SqlAlchemyBackend) -> None:
        one, other = await backend._client.connect(), await backend._client.connect()
        message = backend._client.opening("BEGIN", GLOBEX, one)

        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="wrong"):
            await other.execute(message)
        await one.close()
        await other.close()

    async def test_a_proof_is_for_one_tenant(self, backend: SqlAlchemyBackend) -> None:
        connection = await backend._client.connect()
        message = backend._client.opening("BEGIN", ACME, connection)

        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="wrong"):
            await connection.execute(message.replace("'acme'", "'globex'"))
        await connection.close()

    async def test_a_proof_lives_for_five_minutes(
        self, backend: SqlAlchemyBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time()
        for seconds, is_taken in ((-290, True), (-310, False), (290, True), (310, False)):
            monkeypatch.setattr(time, "time", lambda seconds=seconds: now + seconds)
            if is_taken:
                async with backend.unit_of_work(GLOBEX) as uow:
                    assert await uow.repository(Widgets).count() == 1
            else:
                with pytest.raises(TenantProofMismatchError, match="clocks"):
                    async with backend.unit_of_work(GLOBEX):
                        pass

    async def test_what_a_transaction_keeps_of_a_proof_is_worth_nothing_in_the_next_one(
        self, backend: SqlAlchemyBackend
    ) -> None:
        held = "SELECT set_config('app.tenant_proof', '{}', true), set_config('app.current_tenant_id', 'globex', true)"
        async with connected(backend, GLOBEX) as connection:
            kept = await connection.fetchval("SELECT current_setting('app.tenant_proof')")
            pid = connection.get_server_pid()
        async with connected(backend) as connection:
            assert connection.get_server_pid() == pid
            assert kept not in str(await connection.fetch("SELECT name, setting FROM pg_settings"))
            assert (await seen(connection, held.format(kept), READ[0]))[1] == "42501"

    async def test_a_proof_is_in_nothing_that_the_login_can_read(self, backend: SqlAlchemyBackend) -> None:
        watching = await backend._client.connect()
        async with connected(backend, GLOBEX) as connection:
            opened = await watching.fetch(
                "SELECT query FROM pg_stat_activity WHERE pid = $1", connection.get_server_pid()
            )
            own = await connection.fetch(
                "SELECT statement FROM pg_prepared_statements UNION ALL SELECT statement FROM pg_cursors"
            )
        await watching.close()

        assert opened[0][0].strip() == "BEGIN"
        assert "set_tenant('" not in str(own)

    async def test_beside_the_adapters_predicate_it_is_checked_once_for_each_statement(
        self, backend: SqlAlchemyBackend
    ) -> None:
        async with backend.unit_of_work(ACME) as uow:
            uow.repository(Widgets).add_many([Widget() for _ in range(200)])
            await uow.commit()
        async with backend.unit_of_work(ACME) as uow:
            assert len(await uow.repository(Widgets).list(limit=50)) == 50
        for query in ("", " AND code > 'a' ORDER BY id LIMIT 50", " AND id = gen_random_uuid()"):
            async with connected(backend) as connection:
                plan = await connection.fetch(f"EXPLAIN SELECT * FROM widgets WHERE tenant_id = 'acme'{query}")
            lines = [row[0].strip() for row in plan]
            assert sum("current_tenant" in line for line in lines) == 1
            assert any(line.startswith("One-Time Filter: ((prismicx.current_tenant())") for line in lines)

    async def test_parallel_workers_believe_it_too(self, backend: SqlAlchemyBackend) -> None:
        async with backend.unit_of_work(ACME) as uow:
            uow.repository(Widgets).add_many([Widget() for _ in range(300)])
            await uow.commit()
        async with connected(backend) as connection:
            for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
                await connection.execute(f"SET LOCAL {setting} = 0")
            await connection.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
            await connection.execute(
                "SET LOCAL enable_indexonlyscan = off; SET LOCAL parallel_leader_participation = off"
            )
            query = "SELECT count(*) FROM widgets WHERE code >= ''"
            plan = await connection.fetch(f"EXPLAIN {query}")

            assert "Gather" in str(plan)
            assert await connection.fetchval(query) == 300

    async def test_without_a_tenant_there_are_no_rows(self, backend: SqlAlchemyBackend) -> None:
        connection = await backend._client.connect()

        assert await connection.fetch(READ[0]) == []
        await connection.close()


class TestOnPostgres18(Attacks):
    """The current version."""


class TestOnPostgres15(Attacks):
    """The oldest that is tested."""

    @pytest.fixture
    async def database(self, prismicx_postgres15_database: PostgresDatabases) -> PostgresDatabase:
        async def prepare(database: PostgresDatabase) -> None:
            await backend_with(database, KEY).initialise_database()

        return await prismicx_postgres15_database("proven", prepare)
