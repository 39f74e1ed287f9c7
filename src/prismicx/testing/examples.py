"""The aggregates that the contracts speak about, and the two doors that a backend under contract is wired to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import TenantNotActiveError, TenantNotFoundError
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier, new_id
from prismicx.domain.leases import Lease
from prismicx.domain.moments import utc_now
from prismicx.domain.placement import EntityMapping, Shared, TenantDatabase, TenantSchema
from prismicx.domain.ports import Repository, TenantAdmission
from prismicx.domain.tenancy import DatabaseConfig, Tenant


class Color(Enum):
    """A closed choice, stored as its value."""

    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Maker(BaseModel):
    """A value object."""

    model_config = ConfigDict(frozen=True)

    name: str
    founded: date | None = None


class Part(BaseModel):
    """A value object that can change in place, as values in lists do."""

    name: str
    quantity: int = 1
    price: Decimal = Decimal("0.00")


class Mailbox:
    """Where a test finds what was handed over: each delivery with its tenant, and its events in order."""

    def __init__(self, *, failing: bool = False) -> None:
        self.deliveries: list[tuple[TenantId | None, list[str]]] = []
        self._failing = failing

    def receive(self, tenant: TenantId | None, subjects: list[str]) -> None:
        """Keep a delivery; a failing mailbox keeps it and raises."""
        self.deliveries.append((tenant, subjects))
        if self._failing:
            raise RuntimeError("this mailbox is broken on purpose")


class Announced(DomainEvent):
    """An aggregate has something to say, addressed to the mailbox that a test reads."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    subject: str
    mailbox: Mailbox


class Product(AggregateRoot):
    """What the examples of all placements have in common; itself it is not stored."""

    code: str = Field(default_factory=lambda: str(new_id()))
    name: str = ""
    amount: int = 0

    def announce(self, subject: str, mailbox: Mailbox) -> None:
        """Record an event."""
        self.record(Announced(subject=subject, mailbox=mailbox))


class Widget(Product):
    """One attribute of every kind; `order` is a word that SQL keeps to itself."""

    note: str | None = None
    order: int | None = None
    weight: float = 0.0
    ratio: float | None = None
    in_stock: bool = True
    checksum: bytes = b""
    price: Decimal = Decimal("0.00")
    discount: Decimal | None = None
    made_at: datetime = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    sold_at: datetime | None = None
    released_on: date = date(2026, 1, 2)
    recalled_on: date | None = None
    serial: UUID = UUID(int=0)
    successor: UUID | None = None
    color: Color = Color.RED
    grade: Literal["a", "b", "c"] = "a"
    maker: Maker | None = None
    parts: list[Part] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    extras: dict[str, Any] = Field(default_factory=dict)


def full_widget() -> Widget:
    """Return a widget with something in every attribute."""
    return Widget(
        code="full",
        name="Full",
        amount=3,
        note="a note",
        order=4,
        weight=1.5,
        ratio=-0.25,
        in_stock=False,
        checksum=b"\x00\xff",
        price=Decimal("12.340"),
        discount=Decimal("-0.5"),
        made_at=datetime(2026, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC),
        sold_at=datetime(2027, 5, 6, 5, 8, 9, 999_000, tzinfo=UTC),
        released_on=date(2026, 5, 6),
        recalled_on=date(2026, 12, 31),
        serial=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
        successor=UUID(int=2**128 - 1),
        color=Color.BLUE,
        grade="c",
        maker=Maker(name="Wright & Sons", founded=None),
        parts=[Part(name="nut", quantity=2, price=Decimal("0.10")), Part(name="bolt")],
        labels={"a.b": "dots", "$c": "dollars", "": "nothing"},
        extras={"list": [1, "two", None, 4.5, True], "map": {"deep": [{"deeper": []}]}},
    )


class Gadget(Product):
    """An aggregate in a tenant's schema."""


class Gizmo(Product):
    """An aggregate in a tenant's database."""


class Widgets(Repository[Widget]):
    """The widgets, with one query of the domain's own."""

    async def by_code(self, code: str) -> Widget | None:
        """Return the widget of this code."""
        return await self.find_one(Widget.code == code)


class Gadgets(Repository[Gadget]):
    """The gadgets."""


class Gizmos(Repository[Gizmo]):
    """The gizmos."""


EXAMPLE_PLUGIN_TYPE: Final = PluginType("crm")
"""The plugin type whose schema holds the gadgets."""

EXAMPLE_MAPPINGS: Final = (
    EntityMapping(
        entity=Widget, name="widgets", placement=Shared(), unique=(("code",), ("note", "order")), indexes=(("name",),)
    ),
    EntityMapping(entity=Gadget, name="gadgets", placement=TenantSchema(EXAMPLE_PLUGIN_TYPE), unique=(("code",),)),
    EntityMapping(entity=Gizmo, name="gizmos", placement=TenantDatabase(), unique=(("code",),)),
)
"""What a backend under contract is wired with."""


class AdmissionByName(TenantAdmission):
    """Admits every tenant but those whose ids begin with `unknown-` and `suspended-`."""

    async def admit(self, tenant: TenantId) -> None:
        if tenant.value.startswith("unknown-"):
            raise TenantNotFoundError(tenant.value)
        if tenant.value.startswith("suspended-"):
            raise TenantNotActiveError(tenant.value, "suspended")


async def deliver(tenant: TenantId | None, events: Sequence[DomainEvent]) -> None:
    """Hand the events of one unit of work to the mailbox that they are addressed to."""
    announced = [event for event in events if isinstance(event, Announced)]
    for mailbox in {id(event.mailbox): event.mailbox for event in announced}.values():
        mailbox.receive(tenant, [event.subject for event in announced if event.mailbox is mailbox])


def example_tenant(tenant_id: TenantId) -> Tenant:
    """Return a tenant as the registry has it, with a schema for the gadgets, in the hands of its first worker."""
    tenant = Tenant.register(
        tenant_id,
        name=f"Example {tenant_id}",
        region=Region("eu-central-1"),
        tier=Tier("standard"),
        database_config=DatabaseConfig.of(tenant_id, connection="example"),
        plugin_types=(EXAMPLE_PLUGIN_TYPE,),
        steps=(),
    )
    overtake(tenant)
    return tenant


def overtake(tenant: Tenant) -> Lease:
    """Give the tenant's operation into the hands of a new worker, as if the last one's time were over."""
    tenant.let_go()
    now = utc_now()
    return tenant.claim(f"worker {new_id()}", now=now, until=now + timedelta(minutes=5))
