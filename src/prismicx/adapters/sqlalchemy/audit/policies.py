"""Policies: whom they let in, to what, and whether the tenant alone decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import PUBLIC, Catalogue, Relation
from prismicx.adapters.sqlalchemy.audit.conditions import Condition
from prismicx.adapters.sqlalchemy.outbox_scope import OUTBOX_POLICY
from prismicx.adapters.sqlalchemy.system import SYSTEM_POLICY
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_COMMANDS: Final = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Policy:
    """A permissive policy; a restrictive one can only take rows away."""

    table: Relation
    name: str
    command: str
    """`*`, or PostgreSQL's letter: r select, a insert, w update, d delete."""
    is_applications: bool
    is_systems: bool
    """Whether it lets in work over all tenants, or those who deliver events, and nobody else."""
    using: Condition | None
    check: Condition | None

    @property
    def label(self) -> str:
        """The policy for people."""
        return f"{self.table.label} policy {self.name}"

    @property
    def is_sound(self) -> bool:
        """Whether what it lets in is one tenant's."""
        return all(condition is None or condition.is_sound for condition in (self.using, self.check))


async def policy_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield what is wrong with the policies of tables that are behind row-level security."""
    policies: dict[int, list[Policy]] = {}
    relations = {relation.oid: relation for relation in catalogue.relations}
    for row in await catalogue.connection.fetch(_POLICIES):
        policies.setdefault(row[0], []).append(_policy(catalogue, relations[row[0]], row[1:]))
    for table in catalogue.tables:
        if table.secured:
            of_table = policies.get(table.oid, [])
            for policy in of_table:
                for finding in _openings(catalogue, policy, of_table):
                    yield finding
            for finding in _coverage(catalogue, table, of_table):
                yield finding


def _policy(catalogue: Catalogue, table: Relation, row: Sequence[object]) -> Policy:
    name, command, roles, using, using_tree, check, check_tree, functions = row
    assert isinstance(functions, list)
    assert isinstance(roles, list)

    def condition(text: object, tree: object) -> Condition | None:
        if text is None:
            return None
        return Condition(catalogue, table, str(text), str(tree), tuple(functions))

    return Policy(
        table,
        str(name),
        str(command),
        any(role in (PUBLIC, *catalogue.roles) for role in roles),
        _lets_only_system_in(catalogue, str(name), roles) or _serves_outbox(catalogue, table, str(name), roles),
        condition(using, using_tree),
        condition(check, check_tree),
    )


def _lets_only_system_in(catalogue: Catalogue, name: str, roles: Sequence[str]) -> bool:
    """Whether a policy is for the system's role alone, which its name tells where no configuration does."""
    if len(roles) != 1 or roles[0] in (PUBLIC, catalogue.application):
        return False
    expected = catalogue.scope.system_role
    return name == SYSTEM_POLICY if expected is None else roles[0] == expected


def _serves_outbox(catalogue: Catalogue, table: Relation, name: str, roles: Sequence[str]) -> bool:
    """Whether a policy of the outbox is for its owner and its relays, and not for the application."""
    return table.is_outbox and name == OUTBOX_POLICY and not {PUBLIC, *catalogue.roles} & set(roles)


def _openings(catalogue: Catalogue, policy: Policy, others: Sequence[Policy]) -> Iterator[Finding]:
    if policy.is_systems:  # who can become the system's role is a matter of roles
        return
    fix = _mending(catalogue, policy, others)
    if not policy.is_applications:
        if not policy.is_sound:
            yield Finding(Hole.POLICY_OTHER_ROLE, policy.label, fix)
        return
    if policy.using is not None and not policy.using.is_sound:
        is_extra = any(other.is_sound and other.is_applications for other in others)
        hole = policy.using.hole(is_extra=is_extra)
        yield Finding(hole, policy.label, fix, f"USING {policy.using.text}")
    elif policy.check is not None and not policy.check.is_sound:
        yield Finding(Hole.POLICY_CHECK_OPEN, policy.label, fix, f"WITH CHECK {policy.check.text}")
    elif policy.check is None and policy.command in (_ALL, "w"):
        yield Finding(Hole.POLICY_CHECK_MISSING, policy.label, fix)


def _mending(catalogue: Catalogue, policy: Policy, others: Sequence[Policy]) -> tuple[str, ...]:
    table = policy.table
    covering = (other for other in others if other is not policy and other.is_sound and other.is_applications)
    if not policy.is_sound and any(other.command in (_ALL, policy.command) for other in covering):
        return (f"DROP POLICY {quoted(policy.name)} ON {table.sql}",)
    condition = catalogue.condition(table)
    using = f" USING ({condition})" if policy.command != "a" else ""
    check = f" WITH CHECK ({condition})" if policy.command not in ("r", "d") else ""
    return (f"ALTER POLICY {quoted(policy.name)} ON {table.sql}{using}{check}",)


def _coverage(catalogue: Catalogue, table: Relation, policies: Sequence[Policy]) -> Iterator[Finding]:
    """Find out whether the policies let the application do what it is granted."""
    protection = catalogue.protection(table)
    if not policies:
        yield Finding(Hole.POLICY_MISSING, table.label, protection)
        return
    mine = [policy for policy in policies if policy.is_applications and not policy.is_systems]
    if not mine:
        yield Finding(Hole.POLICY_ROLES, table.label, protection)
        return
    covered = {command for policy in mine for command in (_COMMANDS if policy.command == _ALL else policy.command)}
    missing = [name for letter, name in _COMMANDS.items() if letter not in covered and name in table.privileges]
    if missing:
        yield Finding(Hole.POLICY_COMMANDS, table.label, protection, ", ".join(missing))


_POLICIES: Final = """
SELECT p.polrelid::int8, p.polname::text, p.polcmd::text,
    ARRAY(SELECT COALESCE(r.rolname::text, 'PUBLIC')
          FROM unnest(p.polroles) AS one(role) LEFT JOIN pg_catalog.pg_roles r ON r.oid = one.role),
    pg_catalog.pg_get_expr(p.polqual, p.polrelid), p.polqual::text,
    pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), p.polwithcheck::text,
    ARRAY(SELECT f.provolatile::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid
          JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
          WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid
          AND d.refclassid = 'pg_catalog.pg_proc'::regclass
          AND n.nspname || '.' || f.proname <> 'prismicx.current_tenant')
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.polpermissive AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2"""
