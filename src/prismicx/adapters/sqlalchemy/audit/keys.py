"""Keys of shared tables: without the tenant they tell, by what they refuse, what other tenants have."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import Catalogue, Place, Relation
from prismicx.adapters.sqlalchemy.mapping import constraint_name
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_KINDS: Final = {
    "p": Hole.PRIMARY_KEY_NO_TENANT,
    "u": Hole.UNIQUE_NO_TENANT,
    "x": Hole.EXCLUSION_NO_TENANT,
    None: Hole.UNIQUE_NO_TENANT,
}
_ACTIONS: Final = {"a": "", "r": "RESTRICT", "c": "CASCADE"}
"""What stays of ON DELETE and ON UPDATE; SET NULL and SET DEFAULT become the default, which refuses."""


async def key_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield the keys that lack the tenant, and the foreign keys that unset it or lead to another one."""
    relations = {relation.oid: relation for relation in catalogue.relations}
    for oid, constraint, kind, index, definition, method in await catalogue.connection.fetch(
        _UNIQUE, catalogue.scope.tenant_column
    ):
        table = relations.get(oid)
        if table is not None and table.place is Place.SHARED and table.tenant is not None:
            name = index if constraint is None else constraint
            fix = _with_tenant(table, name, kind=kind, definition=definition, method=method)
            yield Finding(_KINDS[kind], f"{table.label} {name}", fix)
    for row in await catalogue.connection.fetch(_FOREIGN):
        finding = _foreign_key(relations, ForeignKey(*row))
        if finding is not None:
            yield finding


def _with_tenant(table: Relation, name: str, *, kind: str | None, definition: str, method: str) -> tuple[str, ...]:
    assert table.tenant is not None
    tenant = table.tenant.quoted
    if kind is None:
        made = definition.replace(f" USING {method} (", f" USING {method} ({tenant}, ", 1)
        return (f"DROP INDEX {quoted(table.schema)}.{quoted(name)}", made)
    named = f"{tenant} WITH =, " if kind == "x" else f"{tenant}, "
    made = definition.replace("(", f"({named}", 1)
    replaced = f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted(name)}, ADD CONSTRAINT {quoted(name)} {made}"
    # Equality of texts in a GiST index comes with an extension.
    needed = ("CREATE EXTENSION IF NOT EXISTS btree_gist",) if kind == "x" and method == "gist" else ()
    return (*needed, replaced)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key, as the catalogue has it.

    Attributes:
        on_delete: PostgreSQL's letter: a no action, r restrict, c cascade, n set null, d set default.
        unique_keys: of the parent, each the JSON array of its columns.
    """

    child: int
    parent: int
    name: str
    columns: Sequence[str]
    referenced: Sequence[str]
    on_delete: str
    on_update: str
    unique_keys: Sequence[str]

    @property
    def rules(self) -> str:
        """What its definition keeps of the actions."""
        actions = (("ON DELETE", self.on_delete), ("ON UPDATE", self.on_update))
        return "".join(f" {event} {_ACTIONS[action]}" for event, action in actions if _ACTIONS.get(action))


def _foreign_key(relations: Mapping[int, Relation], key: ForeignKey) -> Finding | None:
    child, parent = relations.get(key.child), relations.get(key.parent)
    if child is None or parent is None:
        return None
    label, drop = f"{child.label} {key.name}", f"ALTER TABLE {child.sql} DROP CONSTRAINT {quoted(key.name)}"
    if child.place is Place.OWN and parent.place is Place.OWN and child.schema != parent.schema:
        return Finding(Hole.FOREIGN_KEY_ACROSS, label, (drop,), f"to {parent.label}")
    if not (child.place is parent.place is Place.SHARED and child.tenant and parent.tenant):
        return None
    tenants = (child.tenant.name, parent.tenant.name)
    pairs = list(zip(key.columns, key.referenced, strict=True))
    has_tenant = tenants in pairs
    if has_tenant and key.on_delete in _ACTIONS and key.on_update in _ACTIONS:
        return None
    pairs = [tenants, *((mine, theirs) for mine, theirs in pairs if mine != tenants[0] and theirs != tenants[1])]
    mine, theirs = (", ".join(map(quoted, side)) for side in zip(*pairs, strict=True))
    made = f"FOREIGN KEY ({mine}) REFERENCES {parent.sql} ({theirs}){key.rules}"
    fix = [f"{drop}, ADD CONSTRAINT {quoted(key.name)} {made}"]
    referenced = {column for _, column in pairs}
    if not any(set(json.loads(unique)) == referenced for unique in key.unique_keys):
        name = constraint_name("uq", parent.name, *(column for _, column in pairs))
        fix.insert(0, f"ALTER TABLE {parent.sql} ADD CONSTRAINT {quoted(name)} UNIQUE ({theirs})")
    hole = Hole.FOREIGN_KEY_SET_NULL if has_tenant else Hole.FOREIGN_KEY_NO_TENANT
    return Finding(hole, label, tuple(fix), f"to {parent.label}")


# Columns that an index only includes are not part of its key.
_UNIQUE: Final = """
SELECT i.indrelid::int8, k.conname::text, k.contype::text, x.relname::text,
    COALESCE(pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.pg_get_indexdef(i.indexrelid)), m.amname::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = x.relam
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE (i.indisunique OR i.indisexclusion) AND NOT x.relispartition
AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attname = $1
                AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]))
ORDER BY 1, 4"""

_FOREIGN: Final = """
SELECT f.conrelid::int8, f.confrelid::int8, f.conname::text,
    ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS one(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = one.number ORDER BY one.place),
    ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS one(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = one.number ORDER BY one.place),
    CASE WHEN f.confdelsetcols IS NULL THEN f.confdeltype::text WHEN f.confdelsetcols && f.conkey[1:1] THEN 'n'
         ELSE 'a' END,
    f.confupdtype::text,
    ARRAY(SELECT array_to_json(ARRAY(
              SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid
              AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])))::text
          FROM pg_catalog.pg_index i WHERE i.indrelid = f.confrelid AND i.indisunique AND i.indimmediate
          AND i.indpred IS NULL AND i.indexprs IS NULL)
FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.conparentid = 0 ORDER BY 1, 3"""
