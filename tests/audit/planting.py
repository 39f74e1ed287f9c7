"""A hole to plant in a sound PostgreSQL database."""

from __future__ import annotations

from dataclasses import dataclass

from prismicx.testing.databases import APPLICATION_ROLE, OWNER_ROLE

CONTEXT = "NULLIF(current_setting('app.current_tenant_id', true), '')"
SHARED = "CREATE TABLE public.orders (tenant_id text NOT NULL CHECK (tenant_id <> ''), id uuid NOT NULL, name text"
WALL = f"""
ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.orders FORCE ROW LEVEL SECURITY;
CREATE POLICY orders ON public.orders USING (tenant_id = {CONTEXT}) WITH CHECK (tenant_id = {CONTEXT});
"""


@dataclass(frozen=True)
class Planted:
    """A hole, as SQL of a superuser, and the codes by which the audit must name it: one, where one can be alone."""

    name: str
    sql: str
    code: str
    others: frozenset[str] = frozenset()
    since: int = 15

    @property
    def statements(self) -> str:
        """The SQL, with the names of the test roles."""
        return self.sql.replace("app_role", APPLICATION_ROLE).replace("owner_role", OWNER_ROLE)
