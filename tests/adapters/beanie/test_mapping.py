"""Entities and documents: what fits, what does not, and that all of it is said at once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from beanie import Document
from pydantic import Field
from tests.adapters.beanie.examples import ACME, MAPPINGS, Note, Task, Tasks

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient, TenantDocument
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.change_set import Additions
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import MappingError

_CLIENT = MongoDBClient("mongodb://localhost", "app")


class Misfit(TenantDocument):
    title: int
    owner: str
    due: date | None = Field(default=None, alias="dueOn")
    budget: Any = None
    extra: str = ""

    class Settings:
        name = "other_tasks"
        use_cache = True


class NoTenant(Document):
    title: str


def test_every_mismatch_is_told_at_once() -> None:
    with pytest.raises(MappingError) as refused:
        BeanieBackend(_CLIENT, MAPPINGS, documents={Task: Misfit, AggregateRoot: Misfit})

    told = "\n".join(refused.value.problems)
    for problem in (
        "AggregateRoot is not mapped",
        "Misfit has no field 'done_at' of Task",
        "Misfit has no field 'tags' of Task",
        "Misfit.extra is no attribute of Task",
        "Misfit.title holds integer, the entity's attribute text",
        "Misfit.owner does not take None",
        "Misfit.due has the alias 'dueOn'",
        "Misfit.Settings: name is 'other_tasks', the mapping's 'tasks'",
        "Misfit.Settings: use_cache is not supported: a cache knows no tenant",
        "Misfit is given for more than one entity",
    ):
        assert problem in told
    assert len(refused.value.problems) == 10


def test_a_document_that_knows_no_tenant_is_refused() -> None:
    no_tenant: Any = NoTenant

    with pytest.raises(MappingError, match="NoTenant is not a TenantDocument"):
        BeanieBackend(_CLIENT, MAPPINGS, documents={Task: no_tenant})


async def test_a_derived_document_has_the_entitys_attributes(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        document: Any = uow.document_class(Note)  # type: ignore[attr-defined]  # a BeanieUnitOfWork
        made = await document(text="hello").insert()
        found = await document.get(made.id)

    assert (found.text, found.task, found.tenant_id) == ("hello", None, "acme")
    assert document.get_settings().use_cache is False


def test_a_key_that_is_not_there_is_a_null() -> None:
    documents, task = Documents(MAPPINGS[0], ACME), Task(title="one", due=date(2026, 1, 2), budget=Decimal("1.50"))
    (stored,) = documents.new(Additions((task,)))
    assert (stored["due"], str(stored["budget"])) == ("2026-01-02", "1.50")
    del stored["owner"]

    read = documents.entity(Task, stored)

    assert read == task
    assert (read.version, read.tenant) == (1, ACME)


async def test_what_no_longer_fits_the_entity_is_a_mapping_error(backend: BeanieBackend, stored: Any) -> None:
    task = Task(title="one")
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add(task)
        await uow.commit()
    stored.tasks.update_one({}, {"$set": {"title": 7}})

    async with backend.unit_of_work(ACME) as uow:
        with pytest.raises(MappingError, match="title"):
            await uow.repository(Tasks).get(task.id)
