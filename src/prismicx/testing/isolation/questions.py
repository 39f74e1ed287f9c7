"""How a team's own methods are put to the test: no oracle knows their answers; no other tenant must change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prismicx.domain.identifiers import TenantId
from prismicx.testing.isolation import deeds, reads
from prismicx.testing.isolation.actor import Actor
from prismicx.testing.isolation.findings import in_words
from prismicx.testing.isolation.oracle import Key
from prismicx.testing.isolation.play import OpenUnit, Outcome, Play
from prismicx.testing.isolation.queries import Query
from prismicx.testing.isolation.recipes import NOBODY, Draft, Text
from prismicx.testing.isolation.world import Port


def ask(play: Play, unit: OpenUnit, port: Port, query: Query, recipes: Mapping[str, Any]) -> None:
    """Ask an open unit. From then on it can only be asked more, and ended: what it holds is no longer known."""
    given = play.make(dict(recipes), unit.tenant)
    if given is None or unit.oracle.broken or (query.writes and not play.may_write(unit)):
        return
    if not unit.is_asked and not deeds.flush(play, unit):
        return
    unit.is_asked = True
    unit.is_commanded |= query.writes
    raw = _put(play, unit, port, query, given)
    unit.oracle.broken = raw.error is not None
    if not unit.is_commanded:
        play.require_known(unit, _name(port, query), raw)


def ask_twice(
    play: Play, unit: OpenUnit | None, port: Port, query: Query, recipes: Mapping[str, Any], *, draft: Draft, pair: int
) -> None:
    """Ask, let another tenant store or remove an aggregate, and ask again: the answer must be the same."""
    asking, writing = play.tenant(pair), play.tenant(pair + 1)
    draft = _resembling(draft, recipes) if pair % 3 else draft
    given, aggregate = play.make(dict(recipes), asking), play.make(draft, writing)
    if given is None or aggregate is None or query.writes or writing in play.writers:
        return
    before = _asked_once(play, asking, port, query, given)
    key = Key(port.subject.kind, aggregate.id)
    writer = play.open(writing, read_only=False)
    if writer.oracle.sees(key) is None:
        deeds.add(play, writer, port, [draft])
    else:
        reads.find(play, writer, port, key.identity, get=True)
        deeds.remove(play, writer, port, which=0)
    deeds.commit(play, writer)
    after = _asked_once(play, asking, port, query, given)
    if str(before) != str(after):
        play.fail(
            _name(port, query),
            f"answered {asking} {before}, and {after} once {writing} had written; {asking} had written nothing",
        )


def _asked_once(play: Play, tenant: TenantId, port: Port, query: Query, given: Mapping[str, Any]) -> Outcome:
    unit = play.open(tenant, read_only=False)
    raw = _put(play, unit, port, query, given)
    play.require_known(unit, _name(port, query), raw)
    play.close(unit)
    return raw


def _put(play: Play, unit: OpenUnit, port: Port, query: Query, given: Mapping[str, Any]) -> Outcome:
    async def put(actor: Actor) -> Any:
        return await query.ask(actor.unit.repository(port.repository), given)

    raw = play.ask(unit, _name(port, query), put, tuple(given.values()))
    witness = play.world.witness
    if raw.error is None:
        witness.answered.add(_name(port, query))
    else:
        witness.refused[_name(port, query)] = f"{raw.error}: {in_words(raw.value)}"
    return raw


def _resembling(draft: Draft, recipes: Mapping[str, Any]) -> Draft:
    """Return the aggregate with what is asked for in the places of what is like it."""

    def chosen(value: Any) -> Any:
        alike = [asked for asked in recipes.values() if type(asked) is type(value) and _whose(asked) == _whose(value)]
        return alike[0] if alike else value

    return Draft(draft.kind, {name: chosen(value) for name, value in draft.values.items()})


def _whose(recipe: Any) -> int:
    return recipe.whose if isinstance(recipe, Text) else NOBODY


def _name(port: Port, query: Query) -> str:
    return f"{port.name}.{query.name}"
