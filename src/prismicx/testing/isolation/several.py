"""What histories read of several aggregates at once: by identity, by what they have in common, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, create_model

from prismicx.adapters.fields import once_per_kind, plain_value
from prismicx.adapters.projecting import projection
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.specification import Attribute, Order, Specification, scalar_type
from prismicx.testing.isolation.actor import Actor
from prismicx.testing.isolation.oracle import Key, UnitOracle
from prismicx.testing.isolation.play import OpenUnit, Play
from prismicx.testing.isolation.world import Port


def fetch(play: Play, unit: OpenUnit, port: Port, identities: Sequence[UUID]) -> None:
    """Fetch several by identity, which writes nothing first."""

    async def fetched(actor: Actor) -> Any:
        return list((await actor.unit.repository(port.repository).fetch(identities)).items())

    def expected() -> Any:
        found = [[each, unit.oracle.find(Key(port.subject.kind, each))] for each in dict.fromkeys(identities)]
        return [pair for pair in found if pair[1] is not None]

    play.act(unit, f"{port.name}.fetch", fetched, expected, given=identities)


def list_by(play: Play, unit: OpenUnit, port: Port, order: tuple[Order, ...], *, which: int) -> None:
    """List by an attribute that is some tenant's, among others the unit's own."""
    kind = port.subject.kind
    names = [name for name in kind.model_fields if scalar_type(kind, name) is not None]
    by = Attribute(kind, names[which % len(names)])
    strays = [stray.aggregate for stray in play.strays if type(stray.aggregate) is kind]
    keys = tuple(dict.fromkeys(getattr(aggregate, by.name) for aggregate in strays[-4:]))

    async def listed(actor: Actor) -> Any:
        found = await actor.unit.repository(port.repository).list_by(by, keys, order_by=order)
        return list(found.items())

    def expected() -> Any:
        if not keys:
            return []
        criteria, found = by.in_(keys), {plain_value(kind, by.name, key): [key, []] for key in keys}
        stored = unit.oracle.select(kind, criteria, order, held=False)
        for row, one in zip(stored, unit.oracle.select(kind, criteria, order), strict=True):
            found[row.values[by.name]][1].append(one)
        return list(found.values())

    play.act(unit, f"{port.name}.list_by", listed, expected, given=(by.name, *keys, *order))


async def listed_smaller(repository: Any, kind: type[AggregateRoot], criteria: Specification, order: Any) -> list[Any]:
    """Return what a list of smaller models says."""
    return [each.model_dump() for each in await repository.list(criteria, into=_smaller(kind), order_by=order)]


async def streamed_smaller(
    repository: Any, kind: type[AggregateRoot], criteria: Specification, order: Any
) -> list[Any]:
    """Return what a stream of smaller models says."""
    return [each.model_dump() async for each in repository.stream(criteria, into=_smaller(kind), order_by=order)]


def select_smaller(
    oracle: UnitOracle, kind: type[AggregateRoot], criteria: Specification, order: Sequence[Order]
) -> list[Any]:
    """Return what smaller models of what is stored must say."""
    model = projection(kind, _smaller(kind))
    stored = oracle.select(kind, criteria, order, held=False)
    return [model.made({name: row.values[name] for name in model.names}).model_dump() for row in stored]


@once_per_kind
def _smaller(kind: type[AggregateRoot]) -> type[BaseModel]:
    """Return a model of all attributes but the identity."""
    attributes: Any = {name: (info.annotation, ...) for name, info in kind.model_fields.items() if name != "id"}
    return create_model(f"Smaller{kind.__name__}", __config__=ConfigDict(arbitrary_types_allowed=True), **attributes)
