"""What there is of each tenant on a server, in words that are the same for two tenants with the same place.

A line for each object, of everything whose name or content names the tenant. What differs from run to run, and should,
is left out: ids, times, fencing numbers, how often a step was tried.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
from pymongo import AsyncMongoClient

from prismicx.adapters.beanie.accounts import roles_with_inherited, users
from prismicx.adapters.beanie.logins import role_name
from prismicx.domain.ports import Backend
from prismicx.domain.registry import TenantRepository
from prismicx.domain.tenancy import Tenant

Snapshots = Mapping[str, Sequence[str]]

_TENANT = re.compile(r"\b(?:tenant_)?(k[0-9a-f]{6}\d{4})(?=\b|_)")

_OF_POSTGRES = (
    r"""
    SELECT format('role %s %s of %s: %s', rolname,
                  ARRAY[rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls],
                  ARRAY(SELECT member::regrole::text FROM pg_auth_members WHERE roleid = r.oid ORDER BY 1),
                  shobj_description(oid, 'pg_authid'))
    FROM pg_roles r WHERE rolname ~ '^tenant_'
    """,
    r"""
    SELECT format('schema %s of %s %s: %s', nspname, nspowner::regrole,
                  ARRAY(SELECT unnest(nspacl)::text ORDER BY 1), obj_description(oid, 'pg_namespace'))
    FROM pg_namespace WHERE nspname ~ '^tenant_'
    """,
    r"""
    SELECT format('%s %s.%s of %s %s row security %s %s', relkind, nspname, relname, relowner::regrole,
                  ARRAY(SELECT unnest(relacl)::text ORDER BY 1), relrowsecurity, relforcerowsecurity)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname ~ '^tenant_'
    """,
    r"""
    SELECT format('column %s.%s.%s %s %s', nspname, relname, attname, format_type(atttypid, atttypmod), attnotnull)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname ~ '^tenant_' AND attnum > 0 AND relkind = 'r'
    """,
    r"""
    SELECT format('constraint %s.%s %s', nspname, conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = connamespace WHERE nspname ~ '^tenant_'
    """,
    r"SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname ~ '^tenant_'",
    r"""
    SELECT format('policy %s.%s %s %s %s %s %s', schemaname, tablename, policyname, roles, cmd, qual, with_check)
    FROM pg_policies WHERE schemaname ~ '^tenant_'
    """,
    r"SELECT format('%s shared widgets of %s', count(*), tenant_id) FROM public.widgets GROUP BY tenant_id",
)


async def of_postgres(superuser_dsn: str, backend: Backend) -> Snapshots:
    """Return what there is of each tenant of a PostgreSQL database."""
    connection: asyncpg.Connection = await asyncpg.connect(superuser_dsn)
    try:
        lines = [line for query in _OF_POSTGRES for (line,) in await connection.fetch(query)]
        tables = await connection.fetch("SELECT schemaname, tablename FROM pg_tables WHERE schemaname ~ '^tenant_'")
        for schema, table in tables:
            count = await connection.fetchval(f'SELECT count(*) FROM "{schema}"."{table}"')
            lines.append(f"{count} rows in {schema}.{table}")
    finally:
        await connection.close()
    return _by_tenant([*lines, *_of_registry(await _registered(backend))])


async def of_mongo(uri: str, database: str, backend: Backend) -> Snapshots:
    """Return what there is of each tenant on a MongoDB server."""
    tenants, lines = await _registered(backend), []
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        for name in await client.list_database_names():
            if not name.startswith("tenant_"):
                continue
            for collection in await (await client[name].list_collections()).to_list():
                found = client[name][collection["name"]]
                indexes = sorted(str(index) for index in (await found.index_information()).items())
                documents = [document async for document in found.find({"_id": {"$type": "string"}})]
                title = f"collection {name}.{collection['name']} {collection.get('options')}"
                lines.append(f"{title} {indexes} {await found.count_documents({})} {documents}")
        lines += [f"user {user['user']} of {user['db']} {user['roles']}" async for user in users(client, {})]
        named = [{"role": role_name(tenant.tenant_id, database=database), "db": "admin"} for tenant in tenants]
        made = await roles_with_inherited(client, named)
        lines += [f"role {name} {role['roles']} {role['privileges']}" for (name, _), role in made.items()]
        grouped = await client[database]["widgets"].aggregate([{"$group": {"_id": "$tenant_id", "n": {"$sum": 1}}}])
        lines += [f"{group['n']} shared widgets of {group['_id']}" async for group in grouped]
    return _by_tenant([*lines, *_of_registry(tenants)])


async def _registered(backend: Backend) -> Sequence[Tenant]:
    async with backend.registry(read_only=True) as unit:
        return await unit.repository(TenantRepository).list()


def _of_registry(tenants: Iterable[Tenant]) -> list[str]:
    return [
        f"tenant {tenant.tenant_id} is {tenant.status} {tenant.failure} in the hands of {tenant.lease}: "
        f"{[(step.name, step.status.value) for step in (tenant.operation.steps if tenant.operation else ())]} "
        f"{sorted(tenant.receipt.removed.items()) if tenant.receipt else ''}"
        for tenant in tenants
    ]


def _by_tenant(lines: Iterable[str]) -> Snapshots:
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        named = _TENANT.search(line)
        if named is not None:
            found[named.group(1)].append(_without_names(line, named.group(1)))
    return {tenant: sorted(own) for tenant, own in found.items()}


def _without_names(line: str, tenant: str) -> str:
    named = line.replace(tenant, "T")
    return re.sub(r"(tenant_T_(?:crm|db))_[0-9a-z]{17}", r"\1_HASH", named)
