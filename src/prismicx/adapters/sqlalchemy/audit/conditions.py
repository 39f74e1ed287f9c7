"""The condition of a policy, as the server prints it: sound if the tenant alone decides, or the kind of hole it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import Catalogue, Place, Relation
from prismicx.adapters.sqlalchemy.tenancy import literal
from prismicx.domain.holes import Hole

_IMMUTABLE: Final = "i"
_SETTINGS: Final = re.compile(r"current_setting\('((?:[^']|'')*)'")
_PATTERN: Final = re.compile(r" !?~{1,2}\*? | SIMILAR TO |regexp_|starts_with\(|position\(")
_TYPE: Final = r"::[a-z][a-z0-9_ ]*(?:\(\d+\))?"
_PROVEN: Final = rf"(?:prismicx\.current_tenant\(\)|\(prismicx\.current_tenant\(\)\){_TYPE})"
_LITERAL: Final = r"'((?:[^']|'')*)'(?:::[a-z][a-z0-9_ ]*)?"


@dataclass(frozen=True, slots=True)
class Condition:
    """The USING or WITH CHECK of a policy on a table.

    Attributes:
        text: as `pg_get_expr` prints it, with names qualified.
        tree: PostgreSQL's own form of the same, in which no literal can be taken for an operator.
        functions: the volatility of each function that somebody made and the policy calls.
    """

    catalogue: Catalogue
    table: Relation
    text: str
    tree: str
    functions: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether a row that it lets in is one of the context's tenant; further conditions may only narrow it."""
        context = _PROVEN if self.catalogue.is_proven else self._plain
        return self._rests_on(context)

    def hole(self, *, is_extra: bool) -> Hole:
        """Return the kind of hole that an unsound condition is.

        Args:
            is_extra: the table has a sound policy besides.
        """
        context = f"(?:{_PROVEN}|{self._plain})"
        constant = re.search(rf"{context} = {_LITERAL}|{_LITERAL} = {context}", self.text)
        settings = {setting.replace("''", "'") for setting in _SETTINGS.findall(self.text)}
        kinds = (
            (Hole.POLICY_TRUE, self.text == "true"),
            (Hole.POLICY_UNPROVEN, self._rests_on(self._plain)),
            (Hole.POLICY_IMMUTABLE_FUNCTION, _IMMUTABLE in self.functions),
            (Hole.POLICY_FUNCTION, bool(self.functions)),
            (Hole.POLICY_OTHER_SETTING, bool(settings - {self.catalogue.scope.tenant_setting})),
            (Hole.POLICY_COALESCE, "{COALESCE" in self.tree),
            (Hole.POLICY_SUBSELECT, "{SUBLINK" in self.tree),
            (Hole.POLICY_OR, "{BOOLEXPR :boolop or" in self.tree),
            (Hole.POLICY_PATTERN, bool(settings) and _PATTERN.search(self.text) is not None),
            (Hole.POLICY_OTHER_TENANT, constant is not None and self.table.place is Place.OWN),
            (Hole.POLICY_CONSTANT, constant is not None),
            (Hole.POLICY_EMPTY_CONTEXT, bool(settings) and "{NULLIFEXPR" not in self.tree),
            (Hole.POLICY_PERMISSIVE_EXTRA, is_extra),
        )
        return next((hole for hole, fits in kinds if fits), Hole.POLICY_NOT_TENANT)

    @property
    def _plain(self) -> str:
        """The pattern of the context as the setting alone has it."""
        setting = re.escape(literal(self.catalogue.scope.tenant_setting))
        plain = rf"NULLIF\(current_setting\({setting}::text, true\), ''::text\)"
        return rf"(?:{plain}|\({plain}\){_TYPE})"

    def _rests_on(self, context: str) -> bool:
        return any(self._names_tenant(part, context) for part in conjuncts(self.text))

    def _names_tenant(self, part: str, context: str) -> bool:
        if part == "false":
            return True
        if self.table.tenant is not None:
            name = re.escape(self.table.tenant.name)
            column = rf'(?:"?{name}"?|\("?{name}"?\)::text)'
            return re.fullmatch(rf"{column} = {context}|{context} = {column}", part) is not None
        owner = self.catalogue.tenant_of(self.table.schema)
        constant = re.fullmatch(rf"{context} = {_LITERAL}|{_LITERAL} = {context}", part)
        return constant is not None and owner is not None and owner.value in constant.groups()


def conjuncts(text: str) -> Iterator[str]:
    """Yield the conditions that a condition, as `pg_get_expr` prints it, is the AND of; at least itself."""
    inner = _bare(text)
    parts = list(_split(inner, " AND "))
    if len(parts) == 1:
        yield inner
        return
    for part in parts:
        yield _bare(part)


def _bare(text: str) -> str:
    """Return the text without parentheses around all of it."""
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1]
    return text


def _closing(text: str) -> int:
    """Return where the parenthesis that the text begins with is closed."""
    return next(place for place, depth in _depths(text) if depth == 0)


def _split(text: str, separator: str) -> Iterator[str]:
    start = 0
    for place, depth in _depths(text):
        if depth == 0 and text.startswith(separator, place):
            yield text[start:place]
            start = place + len(separator)
    yield text[start:]


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Yield each place outside of quotes, and how many parentheses are open after it."""
    depth, quote = 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character == "(") - (character == ")")
            yield place, depth
