"""Databases of different sizes in one server: as many tenants in the registry, as many rows in the shared table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from benchmarks.units.customers import BEGINNING, MAPPINGS, hash_of

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.embedded import EmbeddedPostgres

ROLE: Final = "growth_app"
TEMPLATE: Final = TenantId("template")


@dataclass(frozen=True, slots=True)
class Size:
    """A database: its name, its tenants, and the rows of each."""

    name: str
    tenants: int
    rows: int

    @property
    def total(self) -> int:
        """The rows in the shared table."""
        return self.tenants * self.rows


def more_tenants(counts: Iterable[int]) -> list[Size]:
    """Return databases with more and more tenants of a hundred rows each."""
    return [Size(f"tenants_{count}", count, 100) for count in counts]


def more_rows(counts: Iterable[int]) -> list[Size]:
    """Return databases with more and more rows of ten tenants."""
    return [Size(f"rows_{count}", 10, count // 10) for count in counts]


def tenant_of(number: int) -> TenantId:
    """Return the tenant of this number."""
    return TenantId(f"tenant-{number:05}")


class Server:
    """A server with the databases that are asked for."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    def dsn(self, size: Size) -> str:
        """Return the address for the application's role."""
        return self._server.dsn(size.name, ROLE)

    def admin_dsn(self, size: Size) -> str:
        """Return the address for the owner."""
        return self._server.dsn(size.name)

    async def make(self, size: Size) -> None:
        """Make and fill a database: the owner, a superuser, writes everything in a few statements."""
        owner = await asyncpg.connect(self._server.dsn())
        await owner.execute(f'CREATE DATABASE "{size.name}"')
        await owner.close()
        admin = DatabaseClient.from_dsn(self.admin_dsn(size))
        backend = SqlAlchemyBackend(DatabaseClient.from_dsn(self.dsn(size)), MAPPINGS, admin=admin)
        await backend.initialise_database()
        async with backend:
            service = TenantProvisioning(backend, [])
            await service.create("Template", region=Region("eu"), tier=Tier("standard"), tenant_id=TEMPLATE)
        filling = await asyncpg.connect(self.admin_dsn(size))
        await filling.execute("SET maintenance_work_mem = '512MB'")
        await filling.execute(_REGISTER, size.tenants)
        tenants = [tenant_of(number) for number in range(size.tenants)]
        indexes = await filling.fetch(_INDEXES)
        for index in indexes:
            await filling.execute(index["remove"])
        await filling.execute(
            _FILL,
            [tenant.value for tenant in tenants],
            [hash_of(tenant.value) for tenant in tenants],
            size.rows,
            int(BEGINNING.timestamp() * 1000),
            BEGINNING,
            timeout=600,
        )
        for index in indexes:
            await filling.execute(index["add"], timeout=600)
        await filling.execute("VACUUM ANALYZE", timeout=600)
        await filling.execute("CHECKPOINT", timeout=600)
        await filling.close()


@contextmanager
def server_of_growth() -> Iterator[Server]:
    """Run a server for the length of the block."""
    with EmbeddedPostgres() as server:
        yield Server(server)


_REGISTER: Final = f"""
INSERT INTO prismicx.tenants SELECT (jsonb_populate_record(t, jsonb_build_object(
    'id', gen_random_uuid(), 'tenant_id', 'tenant-' || lpad(number::text, 5, '0')))).*
FROM prismicx.tenants t, generate_series(0, $1::int - 1) AS number
WHERE t.tenant_id = '{TEMPLATE}'"""

_FILL: Final = """
INSERT INTO customers (tenant_id, id, version, email, name, status, score, created_at)
SELECT tenant.name,
    (lpad(to_hex($4::bigint + number), 12, '0') || '7000'
        || lpad(to_hex((-9223372036854775808)::bigint | (tenant.spread << 20) | number), 16, '0'))::uuid,
    1, 'customer-' || number || '@example.test', 'Customer ' || number,
    CASE WHEN number % 3 > 0 THEN 'won' ELSE 'lead' END, number % 100, $5::timestamptz + number * interval '1 second'
FROM unnest($1::text[], $2::bigint[]) AS tenant (name, spread), generate_series(0, $3::bigint - 1) AS number"""

_INDEXES: Final = """
SELECT CASE WHEN c.oid IS NULL THEN format('DROP INDEX %s', i.indexrelid::regclass)
        ELSE format('ALTER TABLE customers DROP CONSTRAINT %I', c.conname) END AS remove,
    CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
        ELSE format('ALTER TABLE customers ADD CONSTRAINT %I %s', c.conname, pg_get_constraintdef(c.oid)) END AS add
FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
WHERE i.indrelid = 'customers'::regclass"""
