"""What histories write by a unique key and by criteria: each put to the unit, and to its oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prismicx.adapters.fields import fields_of
from prismicx.domain.specification import Attribute
from prismicx.testing.isolation.actor import Actor
from prismicx.testing.isolation.play import OpenUnit, Play
from prismicx.testing.isolation.recipes import Criterion, Draft
from prismicx.testing.isolation.world import Port

BY_KEY: Final = ("upsert", "get_or_create")
"""How something can be written by a key."""


def write_by_key(play: Play, unit: OpenUnit, port: Port, draft: Draft, *, how: str, which: int) -> None:
    """Upsert an aggregate, or get or create it, by its identity or by one of its unique keys."""
    entity = play.make(draft, unit.tenant)
    if entity is None or not play.may_write(unit):
        return
    keys: list[tuple[str, ...]] = [("id",), *map(tuple, port.subject.mapping.unique)]
    key = keys[which % len(keys)]
    wanted = entity.model_copy(deep=True)  # the unit may write into the entity before the oracle is asked

    async def written(actor: Actor) -> Any:
        repository = actor.unit.repository(port.repository)
        on = [Attribute(port.subject.kind, name) for name in key]
        return await (repository.upsert(entity, on=on) if how == "upsert" else repository.get_or_create(entity, on=on))

    def expected() -> Any:
        return unit.oracle.upsert(wanted, key) if how == "upsert" else unit.oracle.get_or_create(wanted, key)

    play.act(unit, f"{port.name}.{how}", written, expected, given=(wanted, *key))


def update_where(play: Play, unit: OpenUnit, port: Port, criterion: Criterion, recipes: Mapping[str, Any]) -> None:
    """Set an attribute of all that meet a criterion.

    Kinds that check several attributes together are left alone: a statement cannot, so what it stores may be refused
    when it is read.
    """
    kind = port.subject.kind
    criteria, values = play.make((criterion, recipes), unit.tenant)
    if not values or kind.__pydantic_decorators__.model_validators or not play.may_write(unit):
        return
    plain = {found.name: found.plain(values[found.name]) for found in fields_of(kind) if found.name in values}
    play.act(
        unit,
        f"{port.name}.update_where",
        lambda actor: actor.unit.repository(port.repository).update_where(criteria, **values),
        lambda: unit.oracle.update_where(kind, criteria, plain),
        given=(criteria, values),
    )


def delete_where(play: Play, unit: OpenUnit, port: Port, criterion: Criterion) -> None:
    """Delete all that meet a criterion."""
    criteria = play.make(criterion, unit.tenant)
    if not play.may_write(unit):
        return
    play.act(
        unit,
        f"{port.name}.delete_where",
        lambda actor: actor.unit.repository(port.repository).delete_where(criteria),
        lambda: unit.oracle.delete_where(port.subject.kind, criteria),
        given=(criteria,),
    )
