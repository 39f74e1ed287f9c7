"""Values come back as they were, or are refused before anything is sent; no text ever means more than itself."""

from __future__ import annotations

import operator
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest
from pydantic import ValidationError

from prismicx.domain.errors import InvalidSpecificationError, UnstorableValueError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.specification import asc, attribute
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import listed, named, store, stored, stored_count
from prismicx.testing.examples import Part, Widget, Widgets

HOSTILE_TEXTS: Final = (
    "",
    " padded ",
    "O'Brien\"; DROP TABLE widgets; --",
    "${schema} $1 %s %(name)s {0} :name ?",
    "100%",
    "a_b",
    "back\\slash\\%\\_",
    "^.*$",
    "(a+)+$",
    "[a-z]{2,}|x?",
    "\\Q\\E",
    "$where",
    "$ne",
    '{"$gt": ""}',
    "a.b.$[].c",
    "line\nfeed\r\ttab",
    "\x01\x1f\x7f\u200b\ufeff",
    "emoji 🧰👩‍🔧",
    "شحنة עברית",
    "\u202eright to left",
    "e\u0301 and é",
    "ß SS ẞ ﬁ",
    "\U0010ffff",
    "null",
    "x" * 3_000,
)
"""Texts that mean something to SQL, LIKE, regular expressions, MongoDB, JSON, or to those who fold and trim."""

_EXTREMES: Final[dict[str, tuple[Any, ...]]] = {
    "amount": (0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)),
    "weight": (0.0, -1.5, 5e-324, sys.float_info.max, -sys.float_info.max, 0.1 + 0.2, 1e-7),
    "price": tuple(
        map(
            Decimal,
            ("0", "0.00", "-0.10", "1.000", "9" * 34, "0." + "9" * 34, "-1E-6000", "123456789012345678.90", "1E-7"),
        )
    ),
    "made_at": (
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ),
    "released_on": (date.min, date(1582, 10, 15), date(1969, 12, 31), date(2024, 2, 29), date.max),
    "serial": (UUID(int=0), UUID(int=2**128 - 1), UUID("00112233-4455-6677-8899-aabbccddeeff")),
    "checksum": (b"", b"\x00", bytes(range(256))),
    "extras": (
        {"n": 2**63 - 1, "m": -(2**63), "f": 0.1, "t": True, "none": None, "deep": [[[{"x": []}]]]},
        {text: text for text in HOSTILE_TEXTS},
    ),
}

_UNSTORABLE: Final[tuple[dict[str, Any], ...]] = (
    {"name": "a NUL \x00"},
    {"name": "half a pair \ud800"},
    {"note": "\x00"},
    {"amount": 2**63},
    {"amount": -(2**63) - 1},
    {"price": Decimal("1" * 35)},
    {"price": Decimal("1E-6177")},
    {"price": Decimal("1E+6112")},
    {"labels": {"key": "\x00"}},
    {"labels": {"\x00": "value"}},
    {"extras": {"deep": [{"n": 2**63}]}},
    {"extras": {"deep": ["\ud800"]}},
    {"extras": {"thing": object()}},
    {"extras": {"infinite": float("inf")}},
    {"parts": [Part(name="\x00")]},
)


class ValuesContract(TwoTenants):
    """What an attribute can hold."""

    async def test_a_hostile_text_is_stored_found_and_compared_as_it_is(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget(code=text, name=text) for text in HOSTILE_TEXTS]
        await store(backend, acme, *many)

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            for text in HOSTILE_TEXTS:
                assert [each.name for each in await widgets.list(Widget.code == text)] == [text]
                begins = {each for each in HOSTILE_TEXTS if each.startswith(text)}
                assert {each.name for each in await widgets.list(attribute(Widget.name).prefix(text))} == begins
                holds = {each for each in HOSTILE_TEXTS if text in each}
                assert {each.name for each in await widgets.list(attribute(Widget.name).contains(text))} == holds

    async def test_texts_are_ordered_by_code_point(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(name=text) for text in (*HOSTILE_TEXTS, "a", "A", "b", "B", "Ä", "_", "~")))

        found = [each.name for each in await listed(backend, acme, order_by=(asc(Widget.name),))]

        assert found == sorted(found)
        assert await named(backend, acme, attribute(Widget.name) > "\uffff") == {"\U0010ffff"}

    async def test_extremes_come_back_and_are_found(self, backend: Backend, acme: TenantId) -> None:
        many = {Widget(**{name: value}).id: (name, value) for name, values in _EXTREMES.items() for value in values}
        await store(backend, acme, *(Widget(id=identity, **{name: value}) for identity, (name, value) in many.items()))

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            for identity, (name, value) in many.items():
                found = getattr(await widgets.get(identity), name)
                assert found == value
                if name != "extras":
                    assert str(found) == str(value)
                    named_so = getattr(Widget, name) == value
                    assert await widgets.exists(named_so & (Widget.id == identity))

    @pytest.mark.parametrize("name", sorted(_EXTREMES.keys() - {"checksum", "extras"}))
    async def test_extremes_are_ordered(self, backend: Backend, acme: TenantId, name: str) -> None:
        values = _EXTREMES[name]
        await store(backend, acme, *(Widget(**{name: value}) for value in values))

        found = await listed(backend, acme, order_by=(asc(getattr(Widget, name)),))

        assert [getattr(each, name) for each in found] == sorted(values)

    async def test_a_number_in_a_structure_stays_the_kind_of_number_that_it_was(
        self, backend: Backend, acme: TenantId
    ) -> None:
        numbers = {"float": 1e16, "floats": [-1e18, 1e22, sys.float_info.max, 1.0, 1e-7], "whole": 10**16}
        widget = Widget(extras={**numbers, 'text "1e+16': '\\"1e+16'})
        await store(backend, acme, widget)

        found = await stored(backend, acme, widget)

        assert found is not None
        assert found.extras == widget.extras
        assert [type(found.extras[key]) for key in ("float", "whole")] == [float, int]
        assert {type(number) for number in found.extras["floats"]} == {float}

    async def test_times_become_utc_and_whole_milliseconds(self, backend: Backend, acme: TenantId) -> None:
        east = datetime(2026, 3, 29, 2, 30, 0, 123_987, tzinfo=timezone(timedelta(hours=5, minutes=45)))
        widget = Widget(made_at=east)
        await store(backend, acme, widget)

        found = await stored(backend, acme, widget)

        assert found is not None
        assert found.made_at == widget.made_at == datetime(2026, 3, 28, 20, 45, 0, 123_000, tzinfo=UTC)
        assert found.made_at.tzinfo is UTC
        assert len(await listed(backend, acme, Widget.made_at == east)) == 1

    @pytest.mark.parametrize("values", _UNSTORABLE, ids=lambda values: next(iter(values)))
    async def test_what_not_every_database_can_keep_is_refused_before_any_write(
        self, backend: Backend, acme: TenantId, values: dict[str, Any]
    ) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(UnstorableValueError) as refused:
                widgets.add_many((Widget(), Widget(**values)))
            assert (refused.value.entity, refused.value.attribute) == ("Widget", next(iter(values)))
            widgets.add(good := Widget())
            setattr(good, *next(iter(values.items())))
            with pytest.raises(UnstorableValueError):
                await uow.commit()

        assert await stored_count(backend, acme) == 0

    async def test_what_is_no_such_value_never_becomes_an_attribute(self) -> None:
        for values in ({"weight": float("nan")}, {"price": Decimal("NaN")}, {"made_at": datetime(2026, 1, 1)}):  # noqa: DTZ001
            with pytest.raises(ValidationError):
                Widget.model_validate(values)

    async def test_a_criterion_that_no_attribute_could_meet_is_refused(self, backend: Backend, acme: TenantId) -> None:
        for name, value in (("name", "\x00"), ("name", "\ud800"), ("name", 1), ("amount", "1"), ("amount", True)):
            with pytest.raises(InvalidSpecificationError):
                operator.eq(attribute(getattr(Widget, name)), value)

        async with backend.unit_of_work(acme) as uow:
            with pytest.raises(UnstorableValueError):
                await uow.repository(Widgets).count(Widget.amount == 2**63)
