"""Which steps histories consist of, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from prismicx.testing.isolation import deeds, questions, reads, several, writes
from prismicx.testing.isolation.play import OpenUnit, Play
from prismicx.testing.isolation.recipes import IDENTITIES, Criterion
from prismicx.testing.isolation.world import Port

_NUMBERS: Final = st.integers(0, 11)
_FLAGS: Final = st.booleans()
_SEVERAL: Final = st.lists(st.sampled_from(IDENTITIES), max_size=4).map(tuple)
_SELDOM: Final = st.sampled_from((False, False, False, True))

ChooseUnit = Callable[[Play, int], OpenUnit | None]


class Step(NamedTuple):
    """One step: who does it, by number, what, and with which recipes."""

    choose: ChooseUnit | None
    number: int
    deed: Callable[..., Any]
    arguments: Sequence[Any]
    options: dict[str, Any]

    def take(self, play: Play) -> None:
        """Do it, if there is a unit that can."""
        unit = None if self.choose is None else self.choose(play, self.number)
        if unit is not None or self.choose is None:
            self.deed(play, unit, *self.arguments, **self.options)


def steps_of(ports: Sequence[Port], *, tenants: int, has_savepoints: bool) -> SearchStrategy[Step]:
    """Return the steps of histories over these repositories: writing and reading often, the rest now and then."""
    workable, endable, any_port = Play.workable, Play.endable, st.tuples(st.sampled_from(list(ports)))
    drafts, changes, criteria, pages = [], [], [], []
    keyed, changed, met, ordered = [], [], [], []
    for port in ports:
        this, subject = st.just(port), port.subject
        drafts.append(st.tuples(this, st.lists(subject.drafts(), min_size=1, max_size=2)))
        of_others = st.tuples(this, subject.changes(of_keys=False))
        changes += [of_others, of_others, st.tuples(this, subject.changes(of_keys=True))]
        criteria.append(st.tuples(this, subject.criteria(tenants), subject.orders()))
        keyed.append(st.tuples(this, subject.drafts()))
        of_any = st.one_of(subject.changes(of_keys=False), subject.changes(of_keys=True))
        changed.append(st.tuples(this, subject.criteria(tenants), of_any))
        met.append(st.tuples(this, subject.criteria(tenants)))
        ordered.append(st.tuples(this, subject.orders()))
        everything = st.just(Criterion(subject.kind, "id", "any", None))
        pages.append(st.tuples(this, st.one_of(everything, subject.criteria(tenants)), subject.orders()))
    identities = st.tuples(st.sampled_from(list(ports)), st.sampled_from(IDENTITIES))
    weighted = [
        (2, _step(None, deeds.open_unit, st.tuples(_NUMBERS), read_only=_SELDOM)),
        (8, _step(workable, deeds.add, st.one_of(drafts))),
        (3, _step(workable, deeds.change, st.one_of(changes), which=_NUMBERS)),
        (2, _step(workable, deeds.overtake, st.one_of(changes), which=_NUMBERS, removes=_FLAGS)),
        (2, _step(workable, deeds.remove, any_port, which=_NUMBERS)),
        (3, _step(workable, reads.find, identities, get=_FLAGS)),
        (6, _step(workable, reads.query, st.one_of(criteria), how=st.sampled_from(reads.HOW))),
        (2, _step(workable, several.fetch, st.tuples(st.sampled_from(list(ports)), _SEVERAL))),
        (2, _step(workable, several.list_by, st.one_of(ordered), which=_NUMBERS)),
        (3, _step(workable, reads.page, st.one_of(pages), size=st.sampled_from((1, 1, 2)), lent=_NUMBERS)),
        (1, _step(workable, deeds.flush)),
        (5, _step(endable, deeds.commit)),
        (1, _step(endable, deeds.roll_back)),
        (1, _step(workable, deeds.smuggle, which=_NUMBERS, how=st.sampled_from(deeds.SMUGGLING))),
        (4, _step(workable, writes.write_by_key, st.one_of(keyed), how=st.sampled_from(writes.BY_KEY), which=_NUMBERS)),
        (2, _step(workable, writes.update_where, st.one_of(changed))),
        (1, _step(workable, writes.delete_where, st.one_of(met))),
        (1, _step(None, deeds.look, st.tuples(_NUMBERS))),
    ]
    if has_savepoints:
        weighted.append((1, _step(workable, deeds.begin_savepoint)))
        weighted.append((2, _step(Play.in_savepoint, deeds.end_savepoint, keep=_FLAGS)))
    # Not one_of, which takes a strategy that is given several times for one.
    each = [step for weight, step in [*weighted, *_questions(ports)] for _ in range(weight)]
    return st.sampled_from(each).flatmap(lambda step: step)


def openings_of(ports: Sequence[Port], *, tenants: int) -> SearchStrategy[list[Step]]:
    """Return what histories begin with: aggregates that tenants have already."""
    numbers = st.integers(0, tenants - 1)
    settled = [
        _step(None, deeds.settle, st.tuples(st.just(port), port.subject.drafts()), tenant=numbers) for port in ports
    ]
    return st.lists(st.one_of(settled), max_size=4 * tenants)


def _questions(ports: Sequence[Port]) -> list[tuple[int, SearchStrategy[Step]]]:
    asked, asked_twice = [], []
    for port in ports:
        for query in port.queries:
            question = st.tuples(st.just(port), st.just(query), query.arguments)
            asked.append(_step(Play.workable, questions.ask, question))
            twice = _step(None, questions.ask_twice, question, draft=port.subject.drafts(), pair=_NUMBERS)
            asked_twice.append(twice)
    return [(3, st.one_of(asked)), (3, st.one_of(asked_twice))] if asked else []


def _step(
    choose: ChooseUnit | None,
    deed: Callable[..., Any],
    arguments: SearchStrategy[tuple[Any, ...]] | None = None,
    **options: SearchStrategy[Any],
) -> SearchStrategy[Step]:
    return st.builds(
        Step,
        st.just(choose),
        st.just(0) if choose is None else _NUMBERS,
        st.just(deed),
        st.just(()) if arguments is None else arguments,
        st.fixed_dictionaries(options),
    )
