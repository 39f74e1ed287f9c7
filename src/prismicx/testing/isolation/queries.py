"""A team's own query methods: found on its repository classes, and their parameters filled from the type hints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from prismicx.domain.cursors import Cursor
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Repository
from prismicx.domain.specification import Order, Specification
from prismicx.testing.isolation.recipes import Whose
from prismicx.testing.isolation.values import Subject, arguments
from prismicx.testing.strategies import values_of

_PORTS_OWN: Final = frozenset(name for name in vars(Repository) if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class Query:
    """One method of a repository, with recipes for its arguments."""

    port: type[Repository[Any]]
    name: str
    arguments: SearchStrategy[dict[str, Any]]
    writes: bool

    async def ask(self, repository: Any, given: Mapping[str, Any]) -> object:
        """Return what the method returns; of an asynchronous generator, all that it yields."""
        asked = getattr(repository, self.name)(**given)
        if inspect.isasyncgen(asked):
            return [item async for item in asked]
        return await asked


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a team says about its methods.

    Args:
        values: strategies for parameters by name, `by_email.email`.
        skip: methods that are not called.
        commands: methods that write on purpose.
    """

    values: Mapping[str, SearchStrategy[Any]]
    skip: Collection[str] = ()
    commands: Collection[str] = ()


def queries_of(
    port: type[Repository[Any]], implementation: type[Any], subject: Subject, wishes: Wishes, *, tenants: int
) -> list[Query]:
    """Return the public asynchronous methods that a team has added to a repository, by name.

    Args:
        port: what units of work are asked for.
        implementation: the class that they answer with.
        subject: the repository's aggregate.
        wishes: what the team says about its methods.
        tenants: how many there are.

    Raises:
        TypeError: a parameter has no type hint, or one that nobody knows values of; name it in `values`.
    """
    names = [
        name
        for name in sorted(_added_names(implementation))
        if name not in wishes.skip and _is_asynchronous(inspect.getattr_static(implementation, name))
    ]
    return [
        Query(
            port,
            name,
            _arguments(f"{port.__name__}.{name}", getattr(implementation, name), subject, wishes.values, tenants),
            writes=name in wishes.commands,
        )
        for name in names
    ]


def _added_names(implementation: type[Any]) -> set[str]:
    return {
        name
        for ancestor in implementation.__mro__
        if issubclass(ancestor, Repository) and not _is_ours(ancestor)
        for name in vars(ancestor)
        if not name.startswith("_") and name not in _PORTS_OWN
    }


def _is_ours(ancestor: type[Any]) -> bool:
    # What the framework's own classes offer (`entities`, say) is for repositories to use, not for their callers.
    return ancestor.__module__.startswith(("prismicx.domain.ports", "prismicx.adapters."))


def _is_asynchronous(member: object) -> bool:
    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


def _arguments(
    where: str,
    method: Callable[..., Any],
    subject: Subject,
    values: Mapping[str, SearchStrategy[Any]],
    tenants: int,
) -> SearchStrategy[dict[str, Any]]:
    hints = _hints(method)
    name = where.rpartition(".")[2]
    required: dict[str, SearchStrategy[Any]] = {}
    optional: dict[str, SearchStrategy[Any]] = {}
    parameters = list(inspect.signature(method).parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        drawn = values.get(f"{name}.{parameter.name}")
        if drawn is None and parameter.name in hints:
            drawn = _values(hints[parameter.name], subject, tenants)
        if drawn is None and parameter.default is parameter.empty:
            raise TypeError(
                f"{where}: nothing is known to fill {parameter.name!r} with; give "
                f"values={{'{name}.{parameter.name}': a Hypothesis strategy}}, or skip=['{name}']"
            )
        if drawn is not None:
            (required if parameter.default is parameter.empty else optional)[parameter.name] = drawn
    return st.fixed_dictionaries(required, optional=optional)


def _hints(method: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(method, localns={"Criteria": Specification})
    except NameError:  # a name for type checkers only: nothing is known of any parameter
        return {}


def _values(hint: Any, subject: Subject, tenants: int) -> SearchStrategy[Any] | None:
    mentioned = {hint, *get_args(hint)}
    if Specification in mentioned:
        return subject.criteria(tenants)
    if Cursor in mentioned or hint is Any:
        return None
    if hint is Order:
        return subject.orders().filter(bool).map(lambda found: found[0])
    if Order in mentioned or tuple[Order, ...] in mentioned:
        return subject.orders()
    if TenantId in mentioned:
        return st.builds(Whose, st.integers(0, tenants - 1))
    if isinstance(hint, type) and issubclass(hint, AggregateRoot):
        return subject.drafts() if hint is subject.kind else None
    pool = arguments(hint, subject.texts, tenants)
    if pool:
        return st.sampled_from(pool)
    if get_origin(hint) in (list, Sequence):
        inner = _values(get_args(hint)[0], subject, tenants)
        return None if inner is None else st.lists(inner, max_size=2)
    return _known(hint)


def _known(hint: Any) -> SearchStrategy[Any] | None:
    strategy = values_of(hint)
    try:
        strategy.validate()
    except Exception:  # noqa: BLE001  # whatever the type is, Hypothesis cannot make it
        return None
    return strategy
