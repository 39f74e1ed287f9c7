"""Where the reference service keeps its aggregates: one declaration for all backends."""

from __future__ import annotations

from typing import Final

from prismicx import EntityMapping, PluginType, Shared, TenantDatabase, TenantSchema
from prismicx.demo.domain import Account, Category, Customer, Note, Task, User, UserInsight

CRM: Final = PluginType("crm")

RELATIONAL: Final = (
    EntityMapping(User, "users", Shared(), unique=[("email",)]),
    EntityMapping(Account, "accounts", Shared(), indexes=[("owner",)]),
    EntityMapping(Customer, "customers", TenantSchema(CRM), unique=[("email",)], migrated=True),
    EntityMapping(Note, "notes", TenantSchema(CRM), migrated=True),
)
"""What is kept in PostgreSQL when there are two databases."""

DOCUMENTS: Final = (
    EntityMapping(Task, "tasks", Shared(), indexes=[("due",)]),
    EntityMapping(Category, "categories", Shared(), unique=[("code",)]),
    EntityMapping(
        UserInsight,
        "user_insights",
        TenantDatabase(),
        unique=[("user_id",)],
        indexes=[("topics.name",), ("updated_at",)],
    ),
)
"""What is kept in MongoDB when there are two databases."""
