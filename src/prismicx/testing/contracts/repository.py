"""The contract of a repository: a collection that means the same on every database."""

from __future__ import annotations

from prismicx.testing.contracts.collection import CollectionContract
from prismicx.testing.contracts.pages import PagesContract
from prismicx.testing.contracts.values import ValuesContract


class RepositoryContract(CollectionContract, PagesContract, ValuesContract):
    """What every backend's repositories promise; `SpecificationContract` says what criteria mean."""
