"""What PostgreSQL shares among all who log in as one role or use one table: no cure here, and the docs say so."""

from __future__ import annotations

import asyncio
import re

import asyncpg
from tests.threats.attacking import attacked, unit
from tests.threats.service import ACME, GLOBEX, Item, Items

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, raw_sql
from prismicx.testing.databases import PostgresDatabase


async def test_advisory_locks_are_everybodys(postgres: SqlAlchemyBackend) -> None:
    """No cure in one database, and prismicx takes none on the application's connections: docs/threats.md says so."""
    async with unit(postgres, GLOBEX) as other:
        await other.session.execute(raw_sql("SELECT pg_advisory_xact_lock(42)"))
        assert await attacked(postgres, "SELECT pg_try_advisory_xact_lock(42)") == [(False,)]


async def test_notifications_reach_everybody(postgres: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    """Likewise: say nothing of a tenant in one."""
    heard: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    connection = await asyncpg.connect(database.dsn)
    await connection.add_listener("news", lambda *given: heard.set_result(given[-1]))
    async with unit(postgres, GLOBEX) as uow:
        await uow.session.execute(raw_sql("SELECT pg_notify('news', 'globex has news')"))
        await uow.commit()

    assert await heard == "globex has news"
    await connection.close()


async def test_large_objects_are_the_logins(postgres: SqlAlchemyBackend) -> None:
    """Likewise; a superuser can take the functions away from everybody, and the audit has the statement."""
    async with unit(postgres, GLOBEX) as uow:
        number = await uow.session.scalar(raw_sql("SELECT lo_from_bytea(0, 'globex')"))
        await uow.commit()

    assert await attacked(postgres, f"SELECT convert_from(lo_get({number}), 'utf8')") == [("globex",)]


async def test_sessions_of_one_login_see_and_can_end_each_other(postgres: SqlAlchemyBackend) -> None:
    """Likewise. Values do not show: they are bound. The name of the tenant does."""
    async with unit(postgres, GLOBEX) as other:
        other.repository(Items).add(Item(name="secret of globex"))
        await other.flush()
        pid = await other.session.scalar(raw_sql("SELECT pg_backend_pid()"))
        await other.repository(Items).find_one(Item.name == "secret of globex")

        seen = await attacked(postgres, f"SELECT query FROM pg_stat_activity WHERE pid = {pid}")
        assert "public" in str(seen)
        assert "secret" not in str(seen)
        assert await attacked(postgres, f"SELECT pg_cancel_backend({pid})") == [(True,)]


async def test_the_planner_tells_how_common_a_hidden_value_is(
    postgres: SqlAlchemyBackend, superuser: asyncpg.Connection
) -> None:
    """No cure in a shared table: docs/threats.md says so."""
    for tenant, amount in ((ACME, 1), (GLOBEX, 7)):
        async with unit(postgres, tenant) as uow:
            uow.repository(Items).add_many(Item(name=f"{tenant} {number}", amount=amount) for number in range(300))
            await uow.commit()
    await superuser.execute("ANALYZE public.items")

    estimates = []
    for amount in (7, 8):
        plan = await attacked(postgres, f"EXPLAIN SELECT * FROM public.items WHERE amount = {amount}")
        estimates.append(max(int(rows) for rows in re.findall(r"rows=(\d+)", str(plan))))
    assert estimates[0] > 100
    assert estimates[1] < 10
