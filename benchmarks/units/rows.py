"""The same tables as SQLAlchemy's declarative classes, for those who use its ORM."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from benchmarks.units.customers import Customer, Order, Seen
from sqlalchemy import BigInteger, CheckConstraint, DateTime, PrimaryKeyConstraint, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from prismicx.domain.identifiers import TenantId


class Row(DeclarativeBase):
    """The declarative classes of this benchmark."""

    type_annotation_map: ClassVar = {str: Text(collation="C"), int: BigInteger, datetime: DateTime(timezone=True)}


class CustomerRow(Row):
    """A customer; SQLAlchemy checks the version."""

    __tablename__ = "customers"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id", name="customers_pkey"),
        UniqueConstraint("tenant_id", "email", name="customers_email_key"),
        CheckConstraint("tenant_id <> ''", name="customers_tenant_id_check"),
        {"schema": "public"},
    )

    tenant_id: Mapped[str]
    id: Mapped[UUID]
    version: Mapped[int] = mapped_column()
    email: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]
    score: Mapped[int]
    created_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 -- SQLAlchemy's name and type

    @classmethod
    def of(cls, customer: Customer, tenant: TenantId) -> Self:
        """Return a new row of a customer."""
        return cls(tenant_id=tenant.value, **customer.model_dump())

    @classmethod
    def upsert(cls, customer: Customer, tenant: TenantId) -> Any:
        """Return the statement that stores a customer, or overwrites the one of the same email; it returns the row."""
        new = insert(cls).values(tenant_id=tenant.value, version=1, **customer.model_dump())
        written = {name: new.excluded[name] for name in ("name", "status", "score", "created_at")}
        written["version"] = cls.version + 1
        keyed = new.on_conflict_do_update(index_elements=[cls.tenant_id, cls.email], set_=written)
        return keyed.returning(cls)


class OrderRow(Row):
    """An order; SQLAlchemy checks the version."""

    __tablename__ = "orders"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id", name="orders_pkey"),
        CheckConstraint("tenant_id <> ''", name="orders_tenant_id_check"),
        {"schema": "public"},
    )

    tenant_id: Mapped[str]
    id: Mapped[UUID]
    version: Mapped[int] = mapped_column()
    customer_id: Mapped[UUID]
    amount: Mapped[int]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 -- SQLAlchemy's name and type

    @classmethod
    def of(cls, order: Order, tenant: TenantId) -> Self:
        """Return a new row of an order."""
        return cls(tenant_id=tenant.value, **order.model_dump())


def seen_of(row: Any) -> Seen:
    """Return a customer's row as answers are compared."""
    return row.id, row.email, row.name, row.status, row.score, row.created_at
