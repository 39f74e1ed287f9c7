"""What a tenant's collection finds, and what stands behind the collection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from prismicx.adapters.tenant_guard import TenantGuard, plain_copy, refuse

ResultT = TypeVar("ResultT")
Document = dict[str, Any]


class Access(ABC):
    """What stands behind a tenant's collection: the unit of work that it belongs to, or less."""

    @abstractmethod
    async def reading(self, session: Any) -> Any:
        """Return the session to read in. The caller's own must be that one, or none."""

    @abstractmethod
    async def writing(self, operation: str, session: Any) -> Any:
        """Return the session to write in, its transaction begun. The caller's own must be that one, or none."""

    @abstractmethod
    async def attempt(self, action: Awaitable[ResultT]) -> ResultT:
        """Await what the driver does, and answer for its errors."""


class TenantCursor:
    """What a query finds, read a batch at a time. The query is sent when the first document is asked for.

    What an aggregation finds is sorted and cut by its own stages: there, `sort`, `skip` and `limit` are refused.
    """

    def __init__(
        self, run: Callable[[], Awaitable[Any]], *, guard: TenantGuard, access: Access, of_stages: bool = False
    ) -> None:
        self._run = run
        self._of_stages = of_stages
        self._guard = guard
        self._access = access
        self._cursor: Any = None
        self._shape: list[tuple[str, tuple[Any, ...]]] = []

    def sort(self, *order: Any) -> Self:
        """Set the order: a key and a direction, or a list of such pairs."""
        return self._shaped("sort", *(plain_copy(part) for part in order))

    def skip(self, count: int) -> Self:
        """Pass over the first documents."""
        return self._shaped("skip", count)

    def limit(self, count: int) -> Self:
        """Stop after so many documents; 0 stands for no limit."""
        return self._shaped("limit", count)

    def batch_size(self, count: int) -> Self:
        """Ask for so many documents at a time."""
        return self._shaped("batch_size", count)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Document:
        cursor = await self._opened()
        # The end is no error, so it must not reach `attempt` as one.
        found: Document | None = await self._access.attempt(anext(cursor, None))
        if found is None:
            raise StopAsyncIteration
        return self._guard.bare(found)

    async def to_list(self, length: int | None = None) -> list[Document]:
        """Return what is left, or the next `length` of it; without a length there is no limit."""
        cursor = await self._opened()
        found: list[Document] = await self._access.attempt(cursor.to_list(length))
        return [self._guard.bare(document) for document in found]

    async def close(self) -> None:
        """Let the server forget the query."""
        if self._cursor is not None:
            await self._access.attempt(self._cursor.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _shaped(self, method: str, *arguments: Any) -> Self:
        if self._cursor is not None:
            raise refuse(f"{method} after the query was sent")
        if self._of_stages and method != "batch_size":
            raise refuse(f"{method} of an aggregation; give it the stage ${method}")
        self._shape.append((method, arguments))
        return self

    async def _opened(self) -> Any:
        if self._cursor is None:
            self._cursor = await self._run()
            for method, arguments in self._shape:
                getattr(self._cursor, method)(*arguments)
        else:
            await self._access.reading(None)
        return self._cursor
