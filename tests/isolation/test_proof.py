"""What `assert_isolated` says: the shortest history, what nobody can fill, and what was never put to the test."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from hypothesis import strategies as st
from pydantic import Field, model_validator

from prismicx.adapters.memory import MemoryBackend, MemoryRepository, MemoryUnitOfWork
from prismicx.domain.cursors import Cursor
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import NotMappedError, TransactionConflictError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import Repository
from prismicx.domain.specification import Criteria, Order
from prismicx.domain.tenancy import Tenant
from prismicx.testing.isolation import IsolationBrokenError, NothingProvenError, assert_isolated, deeds, proof, reads
from prismicx.testing.isolation.actor import Actor
from prismicx.testing.isolation.play import OpenUnit, Play
from prismicx.testing.isolation.queries import Wishes
from prismicx.testing.isolation.recipes import Criterion, Draft
from prismicx.testing.isolation.world import World

_FEW = 30


class Person(AggregateRoot):
    email: Annotated[str, Field(pattern=r"^[^@ ]+@[^@ ]+$")]
    code: Annotated[str, Field(pattern=r"^[0-9]{3}$")]
    nickname: Annotated[str, Field(max_length=8)] = "nobody"


class People(Repository[Person]):
    async def by_email(self, email: str) -> Person | None:
        return await self.find_one(Person.email == email)


PEOPLE = EntityMapping(Person, "people", unique=(("email",),))


def memory(own: type[Any] | None = None) -> MemoryBackend:
    return MemoryBackend([PEOPLE], repositories={People: own} if own else {})


class LeakyPeople(People, MemoryRepository[Person]):
    async def everybody(self) -> list[str]:
        unit = self._unit
        assert isinstance(unit, MemoryUnitOfWork)
        return [row.values["email"] for rows in unit._overlay._store.tables.values() for row in rows.values()]


async def test_constrained_attributes_are_filled() -> None:
    async with memory() as backend:
        witness = await assert_isolated(backend, [People], examples=_FEW)

    assert witness.answered == {"People.by_email"}


async def test_the_report_is_the_shortest_history() -> None:
    async with memory(own=LeakyPeople) as backend:
        with pytest.raises(IsolationBrokenError) as found:
            await assert_isolated(backend, [People])

    assert found.value.method == "People.everybody"
    assert len(found.value.history) <= 12
    assert "the history that shows it:\n" in str(found.value)
    assert str(pickle.loads(pickle.dumps(found.value))) == str(found.value)
    assert not getattr(found.value, "__notes__", [])


async def test_what_is_past_the_end_of_a_page_is_nothing_that_the_unit_holds() -> None:
    async with memory() as backend:
        world = World(backend, [People], tenants=2, wishes=Wishes({}, (), ()), patience=5.0)
        play, (port,) = Play(world), world.ports

        def history() -> OpenUnit:
            writer = play.open(world.tenants[0], read_only=False)
            drafts = [Draft(Person, {"email": f"{code}@x", "code": code}) for code in ("001", "002", "003")]
            deeds.add(play, writer, port, drafts)
            deeds.commit(play, writer)
            reader = play.open(world.tenants[0], read_only=False)
            reads.page(play, reader, port, Criterion(Person, "id", "any", None), (), size=1, lent=0)
            return reader

        reader = await asyncio.to_thread(history)
        shown = len(reader.oracle.held)
        await asyncio.to_thread(play.finish)

    assert shown == 2


async def test_a_method_that_is_skipped_proves_nothing_wrong() -> None:
    async with memory(own=LeakyPeople) as backend:
        await assert_isolated(backend, [People], skip=["everybody"], examples=_FEW)


class Asked:
    def __init__(self, word: str) -> None:
        self.word = word


class AskingPeople(People, MemoryRepository[Person]):
    async def like(self, asked: Any) -> int:
        return await self.count(Person.nickname == asked.word)


async def test_a_parameter_that_nobody_knows_values_of_is_named() -> None:
    async with memory(own=AskingPeople) as backend:
        with pytest.raises(TypeError, match=r"People\.like: nothing is known to fill 'asked'"):
            await assert_isolated(backend, [People])


async def test_values_are_given_for_what_no_hint_tells() -> None:
    values = {"like.asked": st.builds(Asked, st.just("nobody")), "Person.code": st.just("007")}

    async with memory(own=AskingPeople) as backend:
        witness = await assert_isolated(backend, [People], values=values, examples=_FEW)

    assert "People.like" in witness.answered


class ManifoldPeople(People, MemoryRepository[Person]):
    """Every kind of parameter that is filled by its type hint."""

    async def chosen(
        self,
        criteria: Criteria | None,
        order: tuple[Order, ...],
        after: Cursor | None = None,
        *more: int,
        **options: int,
    ) -> list[Person]:
        return await self.list(criteria, order_by=order)

    async def sorted(self, by: Order) -> list[Person]:
        return await self.list(order_by=by)

    async def named(self, emails: list[str], nobody: float | None = None) -> int:
        return await self.count(~(Person.nickname == "") if not emails else Person.nickname == emails[0])

    async def of(self, tenant: TenantId) -> bool:
        return tenant == self.tenant

    async def like(self, person: Person) -> bool:
        return await self.exists(Person.email == person.email)

    async def each(self, names: tuple[str, ...] = ()) -> AsyncIterator[dict[str, object]]:
        async for person in self.stream():
            yield {"who": person, "names": {1}, "raw": b"x", "self": Asked(person.nickname)}

    async def impatient(self, nickname: str) -> None:
        raise LookupError(nickname) if nickname == "ada" else NotImplementedError

    def at_once(self) -> int:
        return 1


async def test_parameters_are_filled_by_their_type_hints() -> None:
    async with memory(own=ManifoldPeople) as backend:
        witness = await assert_isolated(backend, [People], skip=["impatient"], examples=60)

    asked = {"by_email", "chosen", "sorted", "named", "of", "like", "each"}
    assert witness.answered == {f"People.{name}" for name in asked}


async def test_a_method_that_never_answers_proves_nothing() -> None:
    async with memory(own=ManifoldPeople) as backend:
        with pytest.raises(NothingProvenError, match=r"People\.impatient never answered \(.*Error"):
            await assert_isolated(backend, [People], examples=_FEW)


class Impossible(AggregateRoot):
    name: str

    @model_validator(mode="after")
    def refuse(self) -> Impossible:
        raise ValueError("nobody is good enough")


class Impossibles(Repository[Impossible]):
    """A repository that nothing gets into."""


async def test_a_repository_that_stays_empty_proves_nothing() -> None:
    async with MemoryBackend([EntityMapping(Impossible, "impossibles")]) as backend:
        with pytest.raises(NothingProvenError, match="no history stored anything of acme-"):
            await assert_isolated(backend, [Impossibles], examples=5)


async def test_one_tenant_is_not_enough() -> None:
    async with memory() as backend:
        with pytest.raises(ValueError, match="at least two"):
            await assert_isolated(backend, [People], tenants=[TenantId("acme")])


async def test_a_repository_that_is_not_mapped_is_refused() -> None:
    async with memory() as backend:
        with pytest.raises(NotMappedError):
            await assert_isolated(backend, [Impossibles])


async def test_a_cancelled_proof_ends_soon() -> None:
    has_begun = asyncio.Event()

    class BeginningPeople(People, MemoryRepository[Person]):
        async def begin(self) -> None:
            has_begun.set()

    async with memory(own=BeginningPeople) as backend:
        proof = asyncio.create_task(assert_isolated(backend, [People], examples=100_000))
        await has_begun.wait()
        proof.cancel()

        with pytest.raises(asyncio.CancelledError):
            await proof


async def test_more_histories_than_hypothesis_is_to_remember_are_other_ones_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proof, "_AT_A_TIME", 20)
    histories: list[list[str]] = []
    finish = Play.finish

    def note(play: Play) -> None:
        histories.append(list(play.lines))
        finish(play)

    monkeypatch.setattr(Play, "finish", note)
    async with memory() as backend:
        witness = await assert_isolated(backend, [People], examples=50)

    assert witness.histories >= 50
    assert len({tuple(history) for history in histories}) > 40


async def test_a_process_that_stands_still_for_a_while_makes_nobody_late() -> None:
    async def answer(actor: Actor) -> str:
        asyncio.get_running_loop().call_later(0, time.sleep, 0.3)
        for _ in range(5):  # what a database answers comes through several hands
            await asyncio.sleep(0.01)
        return "in time"

    async with memory() as backend:
        actor = Actor(backend, TenantId("acme"), read_only=False, in_scope=False, patience=0.2)

        assert await actor.do(answer) == "in time"
        await actor.leave()


async def test_a_unit_that_is_given_up_is_left_also_out_of_its_savepoints() -> None:
    async with memory() as backend:
        actor = Actor(backend, TenantId("acme"), read_only=False, in_scope=False, patience=0.05)
        await actor.do(Actor.begin_savepoint)
        await actor.do(Actor.begin_savepoint)

        with pytest.raises(TimeoutError):
            await actor.do(lambda _: asyncio.Event().wait())

        assert isinstance(actor.unit, MemoryUnitOfWork)
        assert actor.unit.has_ended
        await actor.leave()


async def test_a_place_that_cannot_be_unmade_hides_no_finding() -> None:
    class Stuck(MemoryBackend):
        def steps(self) -> list[Any]:
            return [StuckStep()]

    async with Stuck([PEOPLE], repositories={People: LeakyPeople}) as backend:
        with pytest.raises(IsolationBrokenError) as found:
            await assert_isolated(backend, [People], shrink=False)

    assert found.value.method == "People.everybody"
    (note,) = found.value.__notes__
    assert "still there" in note


class StuckStep:
    """Makes places that cannot be unmade."""

    async def ensure(self, tenant: Tenant) -> None:
        """Make it."""

    async def remove(self, tenant: Tenant) -> None:
        """Fail to unmake it."""
        raise TransactionConflictError("somebody is in it")
