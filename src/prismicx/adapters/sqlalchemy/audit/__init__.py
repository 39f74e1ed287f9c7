"""The audit of a PostgreSQL database: one file for each theme, all over one reading of the catalogue."""

from prismicx.adapters.sqlalchemy.audit.registry import registered_places
from prismicx.adapters.sqlalchemy.audit.report import audit_connection

__all__ = ["audit_connection", "registered_places"]
