"""What databases need before they can keep tenants, for reading and for doing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.beanie.deployment import Deployment
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.database import Database
from prismicx.domain.ports import Backend


@dataclass(frozen=True, slots=True)
class Preparation:
    """What one database needs before it can keep tenants: SQL statements in order, or the names of collections."""

    database: Literal["postgres", "mongo"]
    address: str
    statements: tuple[str, ...]
    collections: tuple[str, ...]
    carry_out: Callable[[], Awaitable[None]]


def shared_preparations(backends: Iterable[Backend], *, without_tenant_proof: bool) -> tuple[Preparation, ...]:
    """Return what the databases that tenants share need; nothing is connected before `carry_out`."""
    prepared: list[Preparation] = []
    for backend in backends:
        match backend:
            case SqlAlchemyBackend():
                prepared.append(_of_database(backend.database, without_tenant_proof=without_tenant_proof))
            case BeanieBackend():
                prepared.append(_of_deployment(backend.deployment))
    return tuple(prepared)


async def dedicated_preparations(
    backends: Iterable[Backend], connection: str, *, without_tenant_proof: bool
) -> tuple[Preparation, ...]:
    """Return what the databases of a connection need; nothing is connected before `carry_out`.

    Raises:
        SecretNotFoundError: there is no address behind the connection's name.
    """
    return tuple(
        _of_database(own, without_tenant_proof=without_tenant_proof)
        if isinstance(own, Database)
        else _of_deployment(own)
        for own in await dedicated_databases(backends, connection)
    )


async def dedicated_databases(backends: Iterable[Backend], connection: str) -> tuple[Database | Deployment, ...]:
    """Return the databases behind a connection, not connected; none of a backend where it says `shared`.

    Raises:
        SecretNotFoundError: there is no address behind the connection's name.
    """
    found: list[Database | Deployment | None] = []
    for backend in backends:
        match backend:
            case SqlAlchemyBackend():
                found.append(await backend.database_of(connection))
            case BeanieBackend():
                found.append(await backend.deployment_of(connection))
    return tuple(own for own in found if own is not None)


async def key_rotations(backend: Backend, connection: str | None) -> tuple[Preparation, ...]:
    """Return what makes PostgreSQL accept the service's keys of the tenant proof alone.

    Args:
        backend: the service's on PostgreSQL.
        connection: of dedicated tenants; `None` for the database that tenants share.

    Raises:
        SecretNotFoundError: there is no address behind the connection's name.
        SettingsError: the service has no tenant proof.
    """
    assert isinstance(backend, SqlAlchemyBackend), "nobody has put another backend in its place"
    database = backend.database if connection is None else await backend.database_of(connection)
    if database is None:
        return ()
    return (Preparation("postgres", database.address, tuple(database.rotation_sql), (), database.rotate_keys),)


def _of_database(database: Database, *, without_tenant_proof: bool) -> Preparation:
    statements = (*database.setup_sql, *(database.removal_sql if without_tenant_proof else ()))
    carry_out = partial(database.initialise, without_tenant_proof=without_tenant_proof)
    return Preparation("postgres", database.address, statements, (), carry_out)


def _of_deployment(deployment: Deployment) -> Preparation:
    return Preparation("mongo", deployment.address, (), tuple(deployment.collections), deployment.initialise)
