"""What a backend supplies to the reading of its repositories."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from prismicx.domain.locking import Lock
from prismicx.domain.ports import Repository, RootT
from prismicx.domain.specification import Order, Specification


class StoredRows(Repository[RootT]):
    """The few things that each backend reads in its own way; `Reading` says when. A row is whatever its driver returns.

    Attributes:
        has_locks: whether rows can be locked as they are read; no other backend is asked for `_locked`.
    """

    has_locks: ClassVar[bool] = False

    @abstractmethod
    async def _row(self, identity: UUID) -> Any | None:
        """Return the row of this identity."""

    @abstractmethod
    async def _rows(self, specification: Specification, order: tuple[Order, ...], limit: int | None) -> Sequence[Any]:
        """Return the rows that meet the specification, in this order: a total one, or none at all."""

    async def _locked(
        self, lock: Lock, specification: Specification, order: tuple[Order, ...], limit: int | None
    ) -> Sequence[Any]:
        """Return what `_rows` does, locked until the transaction ends."""
        raise NotImplementedError

    @abstractmethod
    async def _projected(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...], limit: int | None
    ) -> Sequence[Mapping[str, Any]]:
        """Return these attributes of the rows that meet the specification, as they are stored, in this total order."""

    @abstractmethod
    def _batches(self, specification: Specification, order: tuple[Order, ...]) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the rows that meet the specification, in this total order, some at a time."""

    @abstractmethod
    def _projected_batches(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...]
    ) -> AsyncGenerator[Sequence[Mapping[str, Any]], None]:
        """Yield what `_projected` returns, some at a time."""

    @abstractmethod
    async def _count(self, specification: Specification) -> int:
        """Return how many rows meet the specification."""

    @abstractmethod
    async def _any(self, specification: Specification) -> bool:
        """Tell whether a row meets the specification."""

    @abstractmethod
    def _identity(self, row: Any) -> Hashable:
        """Return what the identity map knows the row's aggregate by, among those of its kind: its id."""

    @abstractmethod
    def _version(self, row: Any) -> int:
        """Return the version of the row."""

    @abstractmethod
    def _plain(self, row: Any, names: tuple[str, ...]) -> Sequence[Any]:
        """Return what these attributes of the row are, as they are stored."""

    @abstractmethod
    def _entity(self, row: Any) -> RootT:
        """Return the aggregate of the row, stamped with its version and the unit's tenant."""

    def _entities(self, rows: Iterable[Any]) -> Iterator[RootT]:
        """Yield the aggregates of rows, each as `_entity` returns it."""
        return map(self._entity, rows)
