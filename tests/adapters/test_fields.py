"""What an entity's attributes become in storage, and what is refused on the way."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, JsonValue

from prismicx.adapters.fields import Kind, entity_from, fields_of, plain_values, stored_specification
from prismicx.domain.entity import AggregateRoot, Entity
from prismicx.domain.errors import InvalidSpecificationError, MappingError, UnstorableValueError
from prismicx.domain.identifiers import TenantId, Version
from prismicx.domain.specification import Attribute, Conjunction, Specification


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mood(StrEnum):
    FINE = "fine"


class Mixed(Enum):
    NUMBER = 1
    TEXT = "one"


class Address(BaseModel):
    street: str = ""
    number: float = 0.0


class Sample(Entity):
    text: Annotated[str, Field(min_length=1)] = "t"
    maybe_text: str | None = None
    whole: int = 1
    number: float = 1.5
    truth: bool = True
    raw: bytes = b"\x00"
    amount: Decimal | None = Decimal("1.50")
    moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    day: date = date(2026, 1, 1)
    reference: UUID = UUID(int=1)
    level: Level = Level.LOW
    mood: Mood | None = None
    mixed: Mixed = Mixed.NUMBER
    choice: Literal["a", "b"] = "a"
    odd_choice: Literal["a", 1] = 1
    owner: TenantId = TenantId("acme")
    release: Version | None = Version("1.0.0")
    either: int | str = 1
    address: Address = Address()
    addresses: list[Address] = Field(default_factory=list)
    anything: JsonValue = None


KINDS = {
    "id": Kind.UUID,
    "text": Kind.TEXT,
    "maybe_text": Kind.TEXT,
    "whole": Kind.INTEGER,
    "number": Kind.FLOAT,
    "truth": Kind.BOOLEAN,
    "raw": Kind.BYTES,
    "amount": Kind.DECIMAL,
    "moment": Kind.TIMESTAMP,
    "day": Kind.DATE,
    "reference": Kind.UUID,
    "level": Kind.INTEGER,
    "mood": Kind.TEXT,
    "mixed": Kind.STRUCTURE,
    "choice": Kind.TEXT,
    "odd_choice": Kind.STRUCTURE,
    "owner": Kind.TEXT,
    "release": Kind.TEXT,
    "either": Kind.STRUCTURE,
    "address": Kind.STRUCTURE,
    "addresses": Kind.STRUCTURE,
    "anything": Kind.STRUCTURE,
}
NULLABLE = {"maybe_text", "amount", "mood", "release", "anything"}


def test_every_attribute_has_a_kind_in_the_order_of_declaration() -> None:
    fields = fields_of(Sample)

    assert {field.name: field.kind for field in fields} == KINDS
    assert [field.name for field in fields] == list(KINDS)
    assert {field.name for field in fields if field.nullable} == NULLABLE


def test_an_entity_becomes_plain_values_and_comes_back() -> None:
    sample = Sample(mood=Mood.FINE, addresses=[Address(street="Low Road")], anything={"deep": [1, 2.5, None, True]})

    plain = plain_values(sample)
    back = entity_from(Sample, plain, version=7, tenant=TenantId("globex"))

    assert back == sample
    assert (back.version, back.tenant) == (7, TenantId("globex"))
    assert (plain["level"], plain["mood"], plain["owner"], plain["release"]) == (1, "fine", "acme", "1.0.0")
    assert (plain["mixed"], plain["odd_choice"], plain["addresses"]) == (1, 1, [{"street": "Low Road", "number": 0.0}])


def test_nulls_stay_nulls() -> None:
    sample = Sample(amount=None, release=None)

    plain = plain_values(sample)

    assert {name for name, value in plain.items() if value is None} == NULLABLE
    assert entity_from(Sample, plain, version=1, tenant=None) == sample


def test_plain_structures_are_fresh() -> None:
    sample = Sample(anything={"list": [1]})

    plain_values(sample)["anything"]["list"].append(2)

    assert sample.anything == {"list": [1]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "\x00"),
        ("maybe_text", "\ud800"),
        ("whole", 2**63),
        ("level", 2**63),
        ("amount", Decimal("NaN")),
        ("amount", Decimal("Infinity")),
        ("amount", Decimal("1" * 35)),
        ("anything", {"key": "\x00"}),
        ("anything", {"\ud800": 1}),
        ("anything", [{"deep": 2**63}]),
        ("anything", float("nan")),
        ("address", Address.model_construct(street="", number=float("inf"))),
        ("addresses", ["no address"]),
    ],
)
def test_what_not_every_database_can_keep_is_refused(name: str, value: Any) -> None:
    sample = Sample.model_construct(**{name: value})

    with pytest.raises(UnstorableValueError) as refused:
        plain_values(sample)

    assert (refused.value.entity, refused.value.attribute) == ("Sample", name)


def test_an_untyped_infinity_is_refused_and_never_becomes_a_null() -> None:
    class Loose(Entity):
        extras: dict[str, Any] = Field(default_factory=dict)

    with pytest.raises(UnstorableValueError):
        plain_values(Loose(extras={"height": float("inf")}))


def test_what_is_stored_and_no_longer_fits_is_named() -> None:
    plain = plain_values(Sample()) | {"whole": "many", "address": {"number": "low"}}

    with pytest.raises(MappingError) as refused:
        entity_from(Sample, plain, version=1, tenant=None)

    assert len(refused.value.problems) == 2
    assert str(plain["id"]) in refused.value.problems[0]
    assert "address.number" in refused.value.problems[1]


def test_a_specification_gets_plain_values_at_every_depth() -> None:
    level, owner, mood = Attribute(Sample, "level"), Attribute(Sample, "owner"), Attribute(Sample, "mood")
    asked = ~((level == Level.HIGH) | owner.in_([TenantId("acme")])) & mood.is_null() & (mood != Mood.FINE)

    stored = stored_specification(Sample, asked)

    assert stored.values == (2, ("acme",), "fine")
    assert stored.shape == asked.shape


def test_a_specification_with_a_value_too_large_is_refused() -> None:
    with pytest.raises(UnstorableValueError):
        stored_specification(Sample, Attribute(Sample, "whole") == 2**63)


def test_an_unknown_kind_of_specification_is_refused() -> None:
    class Odd(Conjunction):
        pass

    class Homemade(Specification):
        @property
        def entities(self) -> frozenset[type]:
            return frozenset()

        @property
        def shape(self) -> tuple[str, ...]:
            return ()

        @property
        def values(self) -> tuple[object, ...]:
            return ()

        def holds(self, value_of: Any) -> bool:
            return True

    assert stored_specification(Sample, Odd(())) == Conjunction(())
    with pytest.raises(InvalidSpecificationError, match="Homemade"):
        stored_specification(Sample, Homemade())


class Rated(BaseModel):
    score: float


class Weighed(AggregateRoot):
    """Its value objects have a configuration of their own, which lets infinities in."""

    ratings: tuple[Rated, ...] = ()


def test_an_infinity_inside_a_value_object_is_refused_and_does_not_become_a_null() -> None:
    with pytest.raises(UnstorableValueError):
        plain_values(Weighed(ratings=(Rated(score=float("inf")),)))


class Part(Entity):
    value: int


class Assembly(AggregateRoot):
    part: Part


def test_a_nested_entity_with_an_attribute_called_value_is_a_structure() -> None:
    stored = plain_values(Assembly(part=Part(value=3)))

    assert stored["part"]["value"] == 3
