"""The MongoDB backend: Beanie documents and entities over PyMongo's asynchronous driver."""

from prismicx.adapters.beanie.backend import BeanieBackend
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.collection import BeanieCollection
from prismicx.adapters.beanie.document import TenantDocument
from prismicx.adapters.beanie.logins import TenantLogins
from prismicx.adapters.beanie.provisioning import BeaniePluginSchemas
from prismicx.adapters.beanie.repository import BeanieRepository
from prismicx.adapters.beanie.system import system_privileges
from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork

__all__ = [
    "BeanieBackend",
    "BeanieCollection",
    "BeaniePluginSchemas",
    "BeanieRepository",
    "BeanieUnitOfWork",
    "MongoDBClient",
    "TenantDocument",
    "TenantLogins",
    "system_privileges",
]
