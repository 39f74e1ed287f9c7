"""PostgreSQL: statements written and compiled once by SQLAlchemy, carried by asyncpg."""

from prismicx.adapters.sqlalchemy.backend import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.proof import TenantProof
from prismicx.adapters.sqlalchemy.repository import SqlAlchemyRepository
from prismicx.adapters.sqlalchemy.scope import raw_sql
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork

__all__ = [
    "DatabaseClient",
    "SqlAlchemyBackend",
    "SqlAlchemyRepository",
    "SqlAlchemyUnitOfWork",
    "TenantProof",
    "raw_sql",
]
