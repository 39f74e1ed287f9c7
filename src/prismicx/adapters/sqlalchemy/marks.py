"""Owner marks: what tells a tenant's schema that prismicx has made from one that merely has its name.

The mark is the comment on the role that owns the schema. The schema has the same comment, for people to read; it is not
believed, for plugin scripts run as that role and could rewrite it. A role's comment is out of their reach: only who may
make roles can write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.tenancy import literal, quoted
from prismicx.domain.errors import ForeignObjectError
from prismicx.domain.identifiers import TenantId


def mark_of(tenant: TenantId) -> str:
    """Return the comment on what belongs to this tenant."""
    return f"prismicx: tenant {tenant}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands under the names of a schema and its role.

    Attributes:
        owner: of the schema; `None` where there is no schema.
        has_role: whether the role is there.
        comments: on the role and on the schema.
        is_usable: whether the role that asks may use the schema.
    """

    schema: str
    role: str
    owner: str | None
    has_role: bool
    comments: tuple[str | None, str | None]
    is_usable: bool

    @property
    def has_schema(self) -> bool:
        """Whether the schema is there."""
        return self.owner is not None

    def require_own(self, tenant: TenantId) -> None:
        """Return if what is there is this tenant's, or if nothing is.

        Raises:
            ForeignObjectError: it is not.
        """
        foreignness = self.foreignness(tenant)
        if foreignness is not None:
            raise foreignness

    def foreignness(self, tenant: TenantId) -> ForeignObjectError | None:
        """Return why what is there is not this tenant's; `None` if it is, or if nothing is there.

        A role without a mark counts if it owns the schema: that is how places were left before there were marks. Its
        name holds a hash of the database's and the schema's, so nobody has it by chance.
        """
        mark, found = mark_of(tenant), self.comments[0]
        if self.owner not in (None, self.role):
            return ForeignObjectError("schema", self.schema, f"it belongs to role {self.owner}")
        if found is None and self.has_role and not self.has_schema:
            return ForeignObjectError("role", self.role, "it bears no mark, and owns no schema of its name")
        if found not in (None, mark):
            return ForeignObjectError("role", self.role, f"its comment reads {found!r}, not {mark!r}")
        return None

    def marking_statements(self, tenant: TenantId) -> list[str]:
        """Return the statements that mark the role and the schema, as far as they are not."""
        mark = mark_of(tenant)
        objects = (f"ROLE {quoted(self.role)}", f"SCHEMA {quoted(self.schema)}")
        pairs = zip(objects, self.comments, strict=True)
        return [f"COMMENT ON {named} IS {literal(mark)}" for named, comment in pairs if comment != mark]


async def standings(connection: Connection, names: Sequence[tuple[str, str]]) -> list[Standing]:
    """Return what stands under each of these names, of a schema and its role."""
    rows = await connection.fetch(_STANDINGS, [schema for schema, _ in names], [role for _, role in names])
    return [
        Standing(schema, role, owner, has_role, (of_role, of_schema), usable)
        for schema, role, owner, has_role, of_role, of_schema, usable in rows
    ]


_STANDINGS: Final = """
SELECT wanted.schema, wanted.role, pg_get_userbyid(n.nspowner)::text, r.oid IS NOT NULL,
    pg_catalog.shobj_description(r.oid, 'pg_authid'), pg_catalog.obj_description(n.oid, 'pg_namespace'),
    COALESCE(has_schema_privilege(n.oid, 'USAGE'), false)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted(schema, role, place)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = wanted.role
ORDER BY wanted.place"""
