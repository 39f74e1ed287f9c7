"""Views, materialized views, rules and triggers: what reads or writes tenants' rows with somebody else's rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import Catalogue
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole


async def object_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield the objects around tables that lead past their policies."""
    for relation in catalogue.relations:
        if relation.kind == "v" and not relation.is_invoker:
            fix = f"ALTER VIEW {relation.sql} SET (security_invoker = true)"
            yield Finding(Hole.VIEW_NOT_INVOKER, relation.label, (fix,))
        elif relation.kind == "m" and relation.grants:
            yield Finding(Hole.MATVIEW_REACHABLE, relation.label, catalogue.revocation(relation))
    relations = {relation.oid: relation for relation in catalogue.relations}
    for oid, rule in await catalogue.connection.fetch(_RULES):
        if oid in relations:
            fix = f"DROP RULE {quoted(rule)} ON {relations[oid].sql}"
            yield Finding(Hole.RULE, f"{relations[oid].label} rule {rule}", (fix,))
    for oid, trigger, runs_as_owner in await catalogue.connection.fetch(_TRIGGERS):
        if oid in relations and relations[oid].has_tenants:
            fix = f"DROP TRIGGER {quoted(trigger)} ON {relations[oid].sql}"
            hole = Hole.TRIGGER_DEFINER if runs_as_owner else Hole.TRIGGER
            yield Finding(hole, f"{relations[oid].label} trigger {trigger}", (fix,))


_RULES: Final = """
SELECT ev_class::int8, rulename::text FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN' ORDER BY 1, 2"""

# A trigger on a partition that comes with its parent's goes with it, too.
_TRIGGERS: Final = """
SELECT t.tgrelid::int8, t.tgname::text, p.prosecdef
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY 1, 2"""
