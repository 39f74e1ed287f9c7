"""Histories: what several units of work do one after the other, and what each step of it was answered.

The memory backend is the model: told the same history, every other backend must answer the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from prismicx.domain.errors import PrismicxError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.specification import EVERYTHING, Order, Specification
from prismicx.testing.examples import Widget, Widgets
from prismicx.testing.strategies import orders, specifications

Answer = tuple[object, ...]
"""What a step was answered, in a form that compares: an error is the name of its class."""

_SLOTS = 3
_NAMES = ("a", "A", "b", "%")


@dataclass(frozen=True)
class Step:
    """One thing that a unit of work does; `slot` says to which of a few identities."""

    action: Literal[
        "add", "change", "remove", "find", "list", "page", "count", "flush", "upsert", "create", "update", "delete"
    ]
    slot: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    asked: Specification | None = None
    order: tuple[Order, ...] = ()


@dataclass(frozen=True)
class Unit:
    """One unit of work: of one of two tenants, with another one in its midst, before it writes."""

    tenant: int
    reads: Sequence[Step]
    meanwhile: Unit | None
    writes: Sequence[Step]
    ending: Literal["commit", "leave"]


def histories(*, tenants: int = 2, longest: int = 4) -> SearchStrategy[list[Unit]]:
    """Histories of this many tenants, in which identities, unique keys, values and versions collide often."""
    slots, tenant = st.integers(0, _SLOTS - 1), st.integers(0, tenants - 1)
    asked = {"asked": specifications(Widget), "order": orders(Widget)}
    found = st.builds(Step, st.sampled_from(("find",)), slot=slots)
    listed = st.builds(Step, st.sampled_from(("list", "page", "count")), **asked)
    added = st.builds(Step, st.just("add"), slot=slots, values=_attributes())
    changed = st.builds(Step, st.just("change"), slot=slots, values=_attributes(code=False))
    removed = st.builds(Step, st.just("remove"), slot=slots)
    keyed = st.builds(Step, st.sampled_from(("upsert", "create")), slot=slots, values=_attributes())
    some = _attributes(code=False).filter(bool)
    reached = st.builds(Step, st.sampled_from(("update", "delete")), values=some, asked=specifications(Widget))
    reads = st.lists(st.one_of(found, found, listed), max_size=3)
    flushed = st.just(Step("flush"))
    writes = st.lists(st.one_of(added, added, changed, removed, found, listed, flushed, keyed, reached), max_size=5)
    ending = st.sampled_from(("commit", "commit", "commit", "leave"))
    single = st.builds(Unit, tenant, reads, st.none(), writes, ending)
    interrupted = st.builds(Unit, tenant, reads, single, writes, ending)
    late = st.builds(_late, tenant, slots, changed, st.one_of(changed, removed))
    openings = [_opening(number) for number in range(tenants)]
    return st.lists(st.one_of(single, interrupted, late), max_size=longest).map(lambda units: [*openings, *units])


def _late(tenant: int, slot: int, early: Step, late: Step) -> Unit:
    read = Step("find", slot)
    meanwhile = Unit(tenant, (), None, (replace(early, slot=slot),), "commit")
    return Unit(tenant, (read,), meanwhile, (replace(late, slot=slot), Step("count"), read), "commit")


def _opening(tenant: int) -> Unit:
    return Unit(tenant, (), None, tuple(Step("add", slot, {"code": "xy"[slot]}) for slot in range(2)), "commit")


async def told(backend: Backend, history: Sequence[Unit], tenants: Sequence[TenantId]) -> list[Answer]:
    """Return what the backend answers to each step of the history, in order."""
    answers: list[Answer] = []
    for unit in history:
        await _tell(backend, unit, tenants, answers)
    return answers


async def _tell(backend: Backend, unit: Unit, tenants: Sequence[TenantId], answers: list[Answer]) -> None:
    async with backend.unit_of_work(tenants[unit.tenant]) as uow:
        answers.extend([await _answer(uow, step) for step in unit.reads])
        if unit.meanwhile is not None:
            await _tell(backend, unit.meanwhile, tenants, answers)
        answers.extend([await _answer(uow, step) for step in unit.writes])
        if unit.ending == "commit":
            answers.append(await _answer(uow, None))


async def _answer(uow: UnitOfWork, step: Step | None) -> Answer:
    try:
        if step is None:
            await uow.commit()
            return ("committed",)
        return await _taken(uow, uow.repository(Widgets), step)
    except PrismicxError as error:
        return (type(error).__name__,)


async def _taken(uow: UnitOfWork, widgets: Widgets, step: Step) -> Answer:
    identity = UUID(int=step.slot + 1)
    match step.action:
        case "add":
            widgets.add(Widget(id=identity, **step.values))
        case "upsert":
            return _seen(await widgets.upsert(Widget(id=identity, **step.values), on=Widget.code))
        case "create":
            made, was_created = await widgets.get_or_create(Widget(id=identity, **step.values), on=Widget.code)
            return (*_seen(made), was_created)
        case "update":
            return (await widgets.update_where(step.asked or EVERYTHING, **step.values),)
        case "delete":
            return (await widgets.delete_where(step.asked or EVERYTHING),)
        case "flush":
            await uow.flush()
        case "count":
            return (await widgets.count(step.asked),)
        case "list":
            return tuple(map(_seen, await widgets.list(step.asked, order_by=step.order)))
        case "page":
            first = await widgets.page(step.asked, order_by=step.order, size=2)
            second = await widgets.page(step.asked, order_by=step.order, size=2, after=first.next)
            return (*map(_seen, first.items), "and", *map(_seen, second.items))
        case _:
            return await _taken_of_one(widgets, step, await widgets.find(identity))
    return (step.action,)


async def _taken_of_one(widgets: Widgets, step: Step, found: Widget | None) -> Answer:
    if found is None:
        return ("nobody",)
    if step.action == "change":
        for name, value in step.values.items():
            setattr(found, name, value)
    elif step.action == "remove":
        widgets.remove(found)
    return _seen(found)


def _seen(widget: Widget) -> Answer:
    return (widget.id.int, widget.version, str(widget.tenant), repr(widget.model_dump(exclude={"id", "labels"})))


def _attributes(*, code: bool = True) -> SearchStrategy[dict[str, Any]]:
    # A changed key could be refused in one order of writing and not in another, so keys are given when adding only.
    keys = {"code": st.sampled_from(("x", "y", "z"))} if code else {}
    return st.fixed_dictionaries(
        keys,
        optional={
            "name": st.sampled_from(_NAMES),
            "amount": st.integers(0, 3),
            "ratio": st.none() | st.sampled_from((0.0, 0.5)),
            "parts": st.just([{"name": "nut", "price": "0.10"}]),
        },
    )
