"""Marks: whose a text is can be read off it, so that one that leaked is found in whatever a repository returns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.identifiers import TenantId


class Marks:
    """The marks of some tenants. A tenant's mark is its id, standing alone: `ada of acme`, `ada@acme.test`."""

    def __init__(self, tenants: Sequence[TenantId]) -> None:
        self._patterns = {
            tenant: re.compile(rf"(?<![a-z0-9_-]){re.escape(tenant.value)}(?![a-z0-9_-])", re.IGNORECASE)
            for tenant in tenants
        }

    def foreign(self, value: object, *, own: TenantId, given: object = ()) -> tuple[TenantId, str] | None:
        """Return another tenant and a text of it that is somewhere in the value; `None` where there is none.

        Args:
            value: anything; entities, models, rows, mappings, sequences and plain objects are searched to the bottom.
            own: whose value it should be.
            given: what the caller has passed in: such texts are no news to them.
        """
        known = sorted({text for text in texts_in(given) if text}, key=len, reverse=True)
        for text in texts_in(value):
            news = text
            for passed in known:
                news = news.replace(passed, " ")
            for tenant, pattern in self._patterns.items():
                if tenant != own and pattern.search(news):
                    return tenant, text
        return None


def texts_in(value: object) -> Iterator[str]:
    """Yield every text in a value, keys of mappings included; bytes count as texts, and so does what an error says."""
    for part in _parts(value):
        if isinstance(part, str):
            yield part
        elif isinstance(part, bytes):
            yield part.decode(errors="replace")
        elif isinstance(part, (BaseException, TenantId)):
            yield str(part)


def entities_in(value: object) -> Iterator[AggregateRoot]:
    """Yield every aggregate in a value."""
    return (part for part in _parts(value) if isinstance(part, AggregateRoot))


def _parts(value: object) -> Iterator[object]:
    waiting, seen = [value], set[int]()
    alive = []  # an identity is one object's only while it lives
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, (str, bytes, int, float)) or id(part) in seen:
            continue
        seen.add(id(part))
        alive.append(part)
        waiting.extend(_inside(part))


def _inside(part: Any) -> Iterable[object]:
    if isinstance(part, Mapping):
        return [*part.keys(), *part.values()]
    if isinstance(part, (Sequence, AbstractSet)):
        return part
    if isinstance(part, (BaseModel, BaseException)):
        return part.__dict__.values()
    if is_dataclass(part) and not isinstance(part, type):
        return [getattr(part, field.name) for field in fields(part)]
    if type(part).__module__ in _PLAIN_MODULES or isinstance(part, type):
        return ()
    return getattr(part, "__dict__", {}).values()


_PLAIN_MODULES = frozenset({"builtins", "datetime", "decimal", "uuid"})
