"""Specifications as filters: the shapes that matter to the planner, and the edges of meaning on a real server."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import date
from typing import Any

import pytest
from tests.adapters.beanie.examples import ACME, MAPPINGS, Note, Notes, Task, Tasks

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.beanie.specification import matching, sorting
from prismicx.domain.errors import InvalidSpecificationError
from prismicx.domain.specification import Disjunction, Specification, asc, attribute, desc

_KEYS = Documents(MAPPINGS[0], ACME)
_TITLE, _OWNER, _TAGS = attribute(Task.title), attribute(Task.owner), attribute(Task.tags)


def test_conditions_on_different_keys_stand_side_by_side() -> None:
    both = (_TITLE == "a") & (_OWNER == "ada")

    assert matching(both, _KEYS) == {"title": {"$eq": "a"}, "owner": {"$eq": "ada"}}


def test_conditions_on_one_key_are_all_kept() -> None:
    between = ((_TITLE > "a") & (_TITLE < "m")) & ((_TITLE != "b") & (_OWNER == "ada"))

    assert matching(between, _KEYS) == {
        "title": {"$gt": "a"},
        "$and": [{"title": {"$lt": "m"}}, {"title": {"$ne": "b"}, "owner": {"$eq": "ada"}}],
    }


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", {"$gte": ""}),
        ("ab", {"$gte": "ab", "$lt": "ac"}),
        ("a\U0010ffff", {"$gte": "a\U0010ffff", "$lt": "b"}),
        ("\U0010ffff", {"$gte": "\U0010ffff"}),
        ("\ud7ff", {"$gte": "\ud7ff", "$lt": "\ue000"}),
    ],
)
def test_a_prefix_is_a_range(text: str, condition: dict[str, str]) -> None:
    assert matching(_TITLE.prefix(text), _KEYS) == {"title": condition}


def test_only_an_ascending_attribute_that_may_be_null_needs_a_rank() -> None:
    assert sorting((desc(Task.owner), asc(Task.title), asc(Task.id)), _KEYS) == (
        {},
        [("owner", -1), ("title", 1), ("_id", 1)],
    )
    ranks, sort = sorting((asc(Task.owner), asc(Task.id)), _KEYS)
    assert list(ranks) == ["__rank_0"]
    assert sort == [("__rank_0", 1), ("owner", 1), ("_id", 1)]


def test_a_specification_of_somebody_elses_making_is_refused() -> None:
    class Odd(Specification):
        @property
        def entities(self) -> frozenset[type]:
            return frozenset((Task,))

        @property
        def shape(self) -> Hashable:
            return "odd"

        @property
        def values(self) -> tuple[Any, ...]:
            return ()

        def holds(self, value_of: Any) -> bool:
            return True

    with pytest.raises(InvalidSpecificationError):
        matching(Odd(), _KEYS)


async def _titles(backend: BeanieBackend, specification: Specification) -> set[str]:
    async with backend.unit_of_work(ACME, read_only=True) as uow:
        return {task.title for task in await uow.repository(Tasks).list(specification)}


async def test_a_list_that_holds_a_null_is_not_null(backend: BeanieBackend) -> None:
    tasks = [
        Task(title="null", owner="1", due=date(2026, 1, 1)),
        Task(title="empty", owner="2", due=date(2026, 1, 2), tags=[]),
        Task(title="holds null", owner="$owner", due=None, tags=[None]),
        Task(title="full", owner=None, due=None, tags=["x"]),
    ]
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add_many(tasks)
        await uow.commit()

    everything = {task.title for task in tasks}
    assert await _titles(backend, _TAGS.is_null()) == {"null"}
    assert await _titles(backend, ~_TAGS.is_null()) == everything - {"null"}
    assert await _titles(backend, Disjunction(())) == set()
    assert await _titles(backend, ~Disjunction(())) == everything
    assert await _titles(backend, _OWNER.contains("$")) == {"holds null"}
    assert await _titles(backend, _OWNER.contains("")) == everything - {"full"}
    assert await _titles(backend, ~_OWNER.contains("1")) == everything - {"null"}
    assert await _titles(backend, (_OWNER == "1") | _OWNER.is_null()) == {"null", "full"}
    assert await _titles(backend, attribute(Task.due).in_([date(2026, 1, 2), None])) == everything - {"null"}


async def test_nulls_come_last_in_both_directions(backend: BeanieBackend) -> None:
    owners = ["b", None, "a", None]
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add_many(Task(title=str(number), owner=owner) for number, owner in enumerate(owners))
        await uow.commit()

    async with backend.unit_of_work(ACME, read_only=True) as uow:
        tasks = uow.repository(Tasks)
        assert [task.owner for task in await tasks.list(order_by=asc(Task.owner))] == ["a", "b", None, None]
        assert [task.owner for task in await tasks.list(order_by=desc(Task.owner))] == ["b", "a", None, None]
        assert [task.owner for task in await tasks.list(order_by=asc(Task.owner), limit=3)] == ["a", "b", None]
        assert await tasks.exists(_OWNER == "a")
        assert not await tasks.exists(_OWNER == "c")


async def test_identities_are_compared_and_ordered_like_any_attribute(backend: BeanieBackend) -> None:
    notes = sorted((Note(text=str(number)) for number in range(5)), key=lambda note: note.id)
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Notes).add_many(notes)
        await uow.commit()

    identity = attribute(Note.id)
    async with backend.unit_of_work(ACME, read_only=True) as uow:
        repository = uow.repository(Notes)
        after = [note.id for note in await repository.list(identity > notes[2].id, order_by=desc(Note.id))]
        among = [note.id for note in await repository.list(identity.in_([notes[0].id, notes[4].id]))]

        assert await repository.list(identity.is_null()) == []
    assert after == [notes[4].id, notes[3].id]
    assert among == [notes[0].id, notes[4].id]
