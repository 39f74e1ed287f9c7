"""Keys: a key that does not begin with the tenant tells one tenant what another has."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pymongo.errors import DuplicateKeyError
from tests.threats.attacking import attacked, refusal, unit
from tests.threats.conftest import store
from tests.threats.service import ACME, GLOBEX, Bare, Item, Items, Note, Notes

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend

PLAIN = "tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')"


@pytest.fixture(params=["postgres", "mongo"])
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.getfixturevalue(request.param)
    return found


async def id_of(backend: Backend) -> UUID:
    async with backend.unit_of_work(GLOBEX) as uow:
        return (await uow.repository(Items).list())[0].id


async def test_a_primary_key_without_the_tenant_is_an_oracle_on_postgresql(bare: Bare) -> None:
    await bare.items(policy=PLAIN)

    with pytest.raises(asyncpg.UniqueViolationError):
        await bare.as_application("INSERT INTO bare.items VALUES ('acme', 2, 'x')")
    assert await bare.as_application("INSERT INTO bare.items VALUES ('acme', 3, 'x') RETURNING id") == [(3,)]


async def test_on_conflict_is_an_oracle_too(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.items(policy=PLAIN)
    insert = "INSERT INTO bare.items VALUES ('acme', {}, 'x') ON CONFLICT (id) DO {}"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bare.as_application(insert.format(2, "UPDATE SET name = 'y'"))
    assert await bare.as_application(insert.format(2, "NOTHING RETURNING id")) == []
    assert await bare.as_application(insert.format(3, "NOTHING RETURNING id")) == [(3,)]

    taken = await id_of(postgres)
    values = "INSERT INTO public.items (tenant_id, id, version, name, amount) VALUES ('acme', '{}', 1, '{}', 1) "
    for action in ("NOTHING", "UPDATE SET name = 'y'"):
        key = "(tenant_id, id)" if "UPDATE" in action else ""
        ours = values.format(taken, "globex''s") + f"ON CONFLICT {key} DO {action} RETURNING name"
        assert await attacked(postgres, ours) == [("globex's",)]


async def test_the_ids_of_another_tenant_are_free(backend: Backend) -> None:
    taken = await id_of(backend)

    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Items).add(Item(id=taken, name="globex's"))
        await uow.commit()

    async with backend.unit_of_work(GLOBEX) as uow:
        assert [item.id for item in await uow.repository(Items).list()] == [taken]


async def test_an_id_without_the_tenant_is_an_oracle_on_mongodb(mongo: BeanieBackend, raw: Any) -> None:
    with pytest.raises(DuplicateKeyError):
        raw.bare.insert_one({"_id": 2, "tenant_id": "acme"})
    assert raw.bare.insert_one({"_id": 3, "tenant_id": "acme"}).acknowledged

    identities = [document["_id"] for document in raw.items.find()]
    assert {identity["tenant"] for identity in identities} == {"acme", "globex"}


async def test_a_foreign_key_without_the_tenant_is_an_oracle_and_a_brake(
    postgres: SqlAlchemyBackend, bare: Bare
) -> None:
    await bare.items(policy=PLAIN)
    await bare.make(
        "CREATE TABLE bare.notes (tenant_id text, item int REFERENCES bare.items)",
        "GRANT SELECT, INSERT, UPDATE ON bare.notes TO prismicx_test_app",
    )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await bare.as_application("INSERT INTO bare.notes VALUES ('acme', 9) RETURNING item")
    assert await bare.as_application("INSERT INTO bare.notes VALUES ('acme', 2) RETURNING item") == [(2,)]
    await bare.make("INSERT INTO bare.notes VALUES ('acme', 2)")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await bare.as_application("DELETE FROM bare.items", tenant="globex")
    await bare.make("DROP TABLE bare.notes")

    taken = await id_of(postgres)
    note = "INSERT INTO public.notes (tenant_id, id, version, text, item_id) SELECT 'acme', gen_random_uuid(), 1, 'x', "
    for item in (taken, UUID(int=1)):
        assert await refusal(postgres, f"{note} '{item}'") == "23503"


async def test_no_key_of_prismicx_lacks_the_tenant(postgres: SqlAlchemyBackend, superuser: asyncpg.Connection) -> None:
    keys = await superuser.fetch(
        """
        SELECT i.indexrelid::regclass::text, a.attname FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indisunique AND (n.nspname = 'public' OR n.nspname LIKE 'tenant\\_%') AND c.relkind = 'r'
        """
    )
    columns = (
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conkey[1] IS NOT NULL AND cardinality(conkey) < 2"
    )

    assert len(keys) >= 7
    assert {column for _, column in keys} == {"tenant_id"}
    assert await superuser.fetchval(columns) == 0


async def test_a_sequence_counts_for_everybody(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.make(
        "CREATE SEQUENCE bare.numbers; GRANT ALL ON bare.numbers TO prismicx_test_app",
        "SELECT nextval('bare.numbers')",
    )
    assert await bare.as_application("SELECT nextval('bare.numbers')") == [(2,)]

    sequences = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace <> 'bare'::regnamespace"
    assert await attacked(postgres, sequences) == []
    async with unit(postgres) as uow:
        note = Note(text="made by the client")
        uow.repository(Notes).add(note)
        await uow.flush()
    assert note.id.version == 7


async def test_one_tenants_reference_does_not_stop_another_from_removing(backend: Backend) -> None:
    stored = await store_again(backend)

    async with backend.unit_of_work(GLOBEX) as uow:
        for note in await uow.repository(Notes).list():
            uow.repository(Notes).remove(note)
        await uow.flush()
        uow.repository(Items).remove(await uow.repository(Items).get(stored[GLOBEX].id))
        await uow.commit()
    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Items).exists(Item.id == stored[ACME].id)


async def store_again(backend: Backend) -> dict[TenantId, Item]:
    for tenant in (ACME, GLOBEX):
        async with backend.unit_of_work(tenant) as uow:
            for note in await uow.repository(Notes).list():
                uow.repository(Notes).remove(note)
            await uow.flush()
            for item in await uow.repository(Items).list():
                uow.repository(Items).remove(item)
            await uow.commit()
    return await store(backend)
