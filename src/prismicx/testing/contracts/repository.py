"""The contract of a repository: a collection that means the same on every database."""

from __future__ import annotations

from prismicx.testing.contracts.collection import CollectionContract
from prismicx.testing.contracts.fetching import FetchingContract
from prismicx.testing.contracts.keyed_writing import KeyedWritingContract
from prismicx.testing.contracts.locking import LockingContract
from prismicx.testing.contracts.pages import PagesContract
from prismicx.testing.contracts.paging import PagingContract
from prismicx.testing.contracts.projecting import ProjectingContract
from prismicx.testing.contracts.values import ValuesContract
from prismicx.testing.contracts.writing_where import WritingWhereContract


class RepositoryContract(
    CollectionContract,
    PagesContract,
    PagingContract,
    FetchingContract,
    ProjectingContract,
    LockingContract,
    KeyedWritingContract,
    WritingWhereContract,
    ValuesContract,
):
    """What every backend's repositories promise; `SpecificationContract` says what criteria mean."""
