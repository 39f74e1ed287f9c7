"""What histories do with units of work, and what they write: each deed in the unit, and in its oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from prismicx.adapters.fields import fields_of
from prismicx.domain.errors import CrossTenantError, ReadOnlyUnitOfWorkError
from prismicx.testing.isolation.actor import Actor
from prismicx.testing.isolation.oracle import Key, Seen
from prismicx.testing.isolation.play import MOST_UNITS, OpenUnit, Play
from prismicx.testing.isolation.reads import find
from prismicx.testing.isolation.recipes import Draft
from prismicx.testing.isolation.world import Port

SMUGGLING: Final = ("add", "remove", "upsert", "get_or_create")
"""How a unit can be given an aggregate."""


def open_unit(play: Play, unit: OpenUnit | None, tenant: int, *, read_only: bool) -> None:
    """Open a unit of work, if not too many are open."""
    if len(play.units) < MOST_UNITS:
        play.open(play.tenant(tenant), read_only=read_only)


def settle(play: Play, unit: OpenUnit | None, port: Port, draft: Draft, *, tenant: int) -> None:
    """Have a tenant store an aggregate in a unit of its own."""
    settler = play.open(play.tenant(tenant), read_only=False)
    add(play, settler, port, [draft])
    commit(play, settler)


def look(play: Play, unit: OpenUnit | None, tenant: int) -> None:
    """Look at everything that a tenant has committed."""
    play.look(play.tenant(tenant))


def flush(play: Play, unit: OpenUnit) -> bool:
    """Write what is pending, and tell whether the unit has survived it."""
    return play.act(unit, "flush", lambda actor: actor.unit.flush(), unit.oracle.flush).error is None


def commit(play: Play, unit: OpenUnit) -> None:
    """Commit, or roll a broken unit back; look at what a command of the team's own has made of the tenant's data."""
    if unit.oracle.broken:
        roll_back(play, unit)
    elif unit.is_commanded:
        play.ask(unit, "commit", lambda actor: actor.unit.commit(), ())
        play.close(unit)
        play.adopt(unit.tenant)
    else:
        outcome = play.act(unit, "commit", lambda actor: actor.unit.commit(), unit.oracle.commit)
        if outcome.error is None:
            stored = {(play.world.port_of(key.kind).name, unit.tenant) for key in unit.oracle.tenant.rows}
            play.world.witness.stored |= stored
        play.close(unit)


def roll_back(play: Play, unit: OpenUnit) -> None:
    """Roll back: the oracle forgets the unit."""
    play.act(unit, "rollback", lambda actor: actor.unit.rollback(), lambda: None)
    play.close(unit)


def begin_savepoint(play: Play, unit: OpenUnit) -> None:
    """Open a savepoint."""
    play.act(unit, "savepoint", lambda actor: actor.begin_savepoint(), unit.oracle.begin_savepoint)


def end_savepoint(play: Play, unit: OpenUnit, *, keep: bool) -> None:
    """Leave the innermost savepoint; a broken unit can only discard it."""
    keeps = keep and not unit.oracle.broken
    play.act(
        unit,
        "release of the savepoint" if keeps else "rollback to the savepoint",
        lambda actor: actor.end_savepoint(keep=keeps),
        unit.oracle.keep_savepoint if keeps else unit.oracle.discard_savepoint,
    )


def add(play: Play, unit: OpenUnit, port: Port, drafts: Sequence[Draft]) -> None:
    """Add one aggregate, or several at once."""
    entities = play.make(list(drafts), unit.tenant)
    if entities is None or not play.may_write(unit):
        return

    async def added(actor: Actor) -> None:
        repository = actor.unit.repository(port.repository)
        if len(entities) == 1:
            repository.add(entities[0])
        else:
            repository.add_many(entities)

    name = "add" if len(entities) == 1 else "add_many"
    play.act(unit, f"{port.name}.{name}", added, lambda: unit.oracle.add(entities), given=entities)


def change(play: Play, unit: OpenUnit, port: Port, recipes: Mapping[str, Any], *, which: int) -> None:
    """Change an attribute of a held aggregate; one of a unique key alone, between two flushes.

    The order in which a database checks keys that change together is its own affair.
    """
    key = _held(play, unit, port, which)
    if key is None or not play.may_write(unit):
        return
    values = play.make(recipes, unit.tenant)
    touches_key = any(name in port.subject.keys for name in values)
    if touches_key and not flush(play, unit):
        return
    plain = {found.name: found.plain(values[found.name]) for found in fields_of(key.kind) if found.name in values}
    taken = []

    async def changed(actor: Actor) -> Any:
        entity = await actor.unit.repository(port.repository).find(key.identity)
        if entity is not None:
            try:
                for name, value in values.items():
                    setattr(entity, name, value)
                taken.append(plain)
            except ValidationError:
                pass  # the entity does not take the value together with its others
        return entity

    def expected() -> Seen:
        return unit.oracle.change(key, taken[0] if taken else {})

    play.act(unit, f"{port.name}.find and change", changed, expected, given=(key.identity, values))
    if touches_key:
        flush(play, unit)


def remove(play: Play, unit: OpenUnit, port: Port, *, which: int) -> None:
    """Remove a held aggregate."""
    key = _held(play, unit, port, which)
    if key is None or not play.may_write(unit):
        return

    async def removed(actor: Actor) -> None:
        repository = actor.unit.repository(port.repository)
        repository.remove(await repository.get(key.identity))

    play.act(unit, f"{port.name}.remove", removed, lambda: unit.oracle.remove(key), given=(key.identity,))


def overtake(play: Play, unit: OpenUnit, port: Port, recipes: Mapping[str, Any], *, which: int, removes: bool) -> None:
    """Have another unit of the same tenant write what this one has read, and this one write it too: too late."""
    key = _held(play, unit, port, which)
    if key is None or unit.tenant in play.writers or unit.oracle.read_only:
        return
    other = play.open(unit.tenant, read_only=False)
    find(play, other, port, key.identity, get=False)
    if removes:
        remove(play, other, port, which=0)
    else:
        change(play, other, port, recipes, which=0)
    commit(play, other)
    change(play, unit, port, recipes, which=which)
    if not unit.oracle.broken:
        flush(play, unit)


def smuggle(play: Play, unit: OpenUnit, which: int, *, how: str) -> None:
    """Give a unit an aggregate of another tenant, in one of the ways `SMUGGLING`."""
    strays = [stray for stray in play.strays if stray.tenant != unit.tenant]
    if not strays:
        return
    stray = strays[which % len(strays)]
    port = play.world.port_of(type(stray.aggregate))

    async def given(actor: Actor) -> None:
        answer = getattr(actor.unit.repository(port.repository), how)(stray.aggregate)
        if answer is not None:
            await answer

    def expected() -> None:
        if unit.oracle.read_only:
            raise ReadOnlyUnitOfWorkError("")
        raise CrossTenantError(unit="", other="", subject="")

    play.act(unit, f"{port.name}.{how}", given, expected, given=(stray.aggregate, str(stray.tenant)))


def _held(play: Play, unit: OpenUnit, port: Port, which: int) -> Key | None:
    """Return an aggregate that the unit holds; where it holds none, it reads one first."""
    kind = port.subject.kind
    held = [key for key in unit.oracle.held if key.kind is kind]
    if held:
        return held[which % len(held)]
    there = [key for key in unit.oracle.tenant.rows if key.kind is kind]
    if there:
        find(play, unit, port, there[which % len(there)].identity, get=False)
    return next((key for key in unit.oracle.held if key.kind is kind), None)
