"""What the reference service says in PostgreSQL's own language: a declarative class, and a sum that it adds up."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, PrimaryKeyConstraint, Text, UniqueConstraint, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from prismicx.adapters.sqlalchemy import SqlAlchemyRepository
from prismicx.demo.domain import Account, AccountRepository, User


class Base(DeclarativeBase):
    """The declarative classes of the reference service."""


class UserRow(Base):
    """A user as a row. The framework finds that it fits `User`, by the names of the attributes."""

    __tablename__ = "users"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id", name="users_pkey"),
        UniqueConstraint("tenant_id", "email", name="users_email_key"),
        CheckConstraint("tenant_id <> ''", name="users_tenant_id_check"),
        {"schema": "public"},
    )

    tenant_id: Mapped[str] = mapped_column(Text(collation="C"))
    id: Mapped[UUID]
    version: Mapped[int] = mapped_column(BigInteger)
    email: Mapped[str] = mapped_column(Text(collation="C"))
    name: Mapped[str] = mapped_column(Text(collation="C"))


class SqlAccountRepository(AccountRepository, SqlAlchemyRepository[Account]):
    """The tenant's accounts, with the sum left to the database."""

    async def total(self) -> Decimal:
        """Return the sum of all balances, in one statement."""
        of_tenant = self.table.c.tenant_id == str(self.tenant)
        total = await self.session.scalar(select(func.sum(self.table.c.balance)).where(of_tenant))
        return total or Decimal(0)


TABLES: Final = {User: UserRow}
RELATIONAL_REPOSITORIES: Final = {AccountRepository: SqlAccountRepository}
