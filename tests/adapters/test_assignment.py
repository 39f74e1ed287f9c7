"""New values without an entity: checked as an assignment checks them, one attribute at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator

from prismicx.adapters.assignment import checked_changes
from prismicx.domain.entity import AggregateRoot


class Chapter(BaseModel):
    title: str
    parts: list[Chapter] = []


class Book(AggregateRoot):
    title: str = Field(min_length=2)
    isbn: str = Field(default="none", frozen=True)
    printed_at: datetime | None = None
    outline: Chapter | None = None
    pages: int = 1
    pages_read: int = 0

    @field_validator("title")
    @classmethod
    def capitalized(cls, title: str, info: ValidationInfo) -> str:
        return title.capitalize() if info.field_name == "title" else title

    @model_validator(mode="before")
    @classmethod
    def whole(cls, values: Any) -> Any:
        return values

    @model_validator(mode="after")
    def read_no_more_than_there_is(self) -> Book:
        if self.pages_read > self.pages:
            raise ValueError("nobody reads more pages than there are")
        return self


def test_values_become_what_an_assignment_makes_of_them() -> None:
    book = Book(title="before")
    changes = {
        "title": "after",
        "pages": "7",
        "printed_at": datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
        "outline": {"title": "all", "parts": [{"title": "one"}]},
    }

    checked = checked_changes(Book, changes)

    for name, value in changes.items():
        setattr(book, name, value)
        assert checked[name] == getattr(book, name)
    assert checked["title"] == "After"
    assert checked["printed_at"].microsecond == 678_000


@pytest.mark.parametrize(
    ("name", "value"), [("title", "x"), ("title", None), ("isbn", "new"), ("outline", {"title": 3}), ("pages", 1.5)]
)
def test_what_cannot_be_assigned_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as by_assignment:
        setattr(Book(title="before"), name, value)
    with pytest.raises(ValidationError) as refused:
        checked_changes(Book, {name: value})

    assert [found["type"] for found in refused.value.errors()] == [
        found["type"] for found in by_assignment.value.errors()
    ]


def test_what_several_attributes_have_to_agree_on_is_not_checked() -> None:
    assert checked_changes(Book, {"pages_read": 2}) == {"pages_read": 2}
