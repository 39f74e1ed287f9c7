"""A small domain for the tests of the language that domains are written in."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from prismicx.domain.entity import AggregateRoot, Entity
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import Region


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Address(BaseModel):
    city: str


class CustomerWon(DomainEvent):
    customer_id: UUID


class Customer(AggregateRoot):
    email: Annotated[str, Field(min_length=3)] = "ada@acme.test"
    nickname: str | None = None
    status: Literal["lead", "won", "lost"] = "lead"
    age: int = 30
    score: float = 0.0
    balance: Decimal = Decimal(0)
    vip: bool = False
    born: date | None = None
    seen_at: datetime | None = None
    referrer: UUID | None = None
    token: bytes = b""
    colour: Colour = Colour.RED
    size: Size = Size.SMALL
    region: Region = Region("eu-central-1")
    address: Address | None = None
    tags: tuple[str, ...] = ()
    mixed: int | str = 0
    motto: Annotated[str, Field(max_length=80)] | None = None
    either: Literal[1, "one"] = 1

    def win(self) -> None:
        self.status = "won"
        self.record(CustomerWon(customer_id=self.id))


class Patron(Customer):
    """A kind of customer."""

    since: int = 2020


class Parcel(Entity):
    weight: int = 1
