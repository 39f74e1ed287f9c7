"""The reference service's composition: what it keeps where, and its own repositories for each database."""

from __future__ import annotations

from prismicx import EntityMapping
from prismicx.container import Container
from prismicx.demo.documents import DOCUMENT_CLASSES, DOCUMENT_REPOSITORIES
from prismicx.demo.mappings import DOCUMENTS, RELATIONAL
from prismicx.demo.relational import RELATIONAL_REPOSITORIES, TABLES
from prismicx.demo.service import ReferenceService
from prismicx.settings import Settings


def container(settings: Settings) -> Container:
    """Return the service's container: `prismicx … --mappings prismicx.demo.wiring:container` works on it.

    With one database only, that one keeps everything.
    """
    return Container(
        settings=settings,
        postgres_mappings=_kept(RELATIONAL, DOCUMENTS, alone=settings.mongo_uri is None),
        postgres_tables=TABLES,
        postgres_repositories=RELATIONAL_REPOSITORIES,
        mongo_mappings=_kept(DOCUMENTS, RELATIONAL, alone=settings.postgres_dsn is None),
        mongo_documents=DOCUMENT_CLASSES,
        mongo_repositories=DOCUMENT_REPOSITORIES,
    )


def reference_service(wired: Container) -> ReferenceService:
    """Return the service over the container's databases."""
    relational, documents = wired.backends()[0], wired.backends()[-1]
    return ReferenceService(relational=relational, documents=documents)


def _kept(
    own: tuple[EntityMapping, ...], others: tuple[EntityMapping, ...], *, alone: bool
) -> tuple[EntityMapping, ...]:
    return own + others if alone else own
