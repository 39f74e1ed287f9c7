"""The audit of a MongoDB: the database that tenants share, each tenant's own ones, and who may enter them."""

from prismicx.adapters.beanie.audit.report import audit_deployment, registered_places

__all__ = ["audit_deployment", "registered_places"]
