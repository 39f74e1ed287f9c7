"""The clients of dedicated tenants: opened at first use, shared while in use, closed when others need their room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

from prismicx.domain.errors import BackendNotStartedError

DEFAULT_LIMIT: Final = 16
"""How many clients of dedicated tenants are kept open."""

_log = structlog.get_logger(__name__)


class Closable(Protocol):
    """What every backend's client can do."""

    async def close(self) -> None: ...


ClientT = TypeVar("ClientT", bound=Closable)


class Lease(Generic[ClientT]):
    """A client that stays open until it is released."""

    __slots__ = ("_release", "client")

    def __init__(self, client: ClientT, release: Callable[[], None]) -> None:
        self.client = client
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Let the client be closed, as far as this lease is concerned; a second time does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()


class DedicatedClients(Generic[ClientT]):
    """The open clients of one backend, by connection.

    Several tasks that ask for a connection at once share one opening, and its failure; a failure is forgotten, so that
    the next one who asks tries again. Over the limit, the client that was used longest ago is closed, but none that is
    leased: for as long as more are in use than the limit allows, more are open.
    """

    def __init__(
        self,
        open_client: Callable[[str], Coroutine[Any, Any, ClientT | None]],
        *,
        limit: int,
        name: str = "this backend",
        kind: str = "dedicated",
    ) -> None:
        """Wire it up; nothing is opened before the first lease.

        Args:
            open_client: returns a client of a connection that is started and has passed every check, or `None` where
                the connection leaves its tenants on the backend's own database. Where it raises, nothing stays open.
            limit: clients kept open, 1 or more.
            name: what errors call the backend.
            kind: what the log calls the clients.

        Raises:
            ValueError: the limit is less than 1.
        """
        if limit < 1:
            raise ValueError(f"the limit of dedicated clients must be 1 or more, and is {limit}")
        self._open_client = open_client
        self._limit = limit
        self._name = name
        self._kind = kind
        self._entries: OrderedDict[str, _Entry[ClientT]] = OrderedDict()
        self._among_others: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._running = False

    def start(self) -> None:
        """Lend from now on."""
        self._running = True

    async def close(self) -> None:
        """Close every client, those in use too, and lend no more. Closing twice does nothing."""
        self._running = False
        entries, self._entries = self._entries, OrderedDict()
        self._among_others.clear()
        for entry in entries.values():
            entry.opening.cancel()
        await asyncio.gather(*(entry.opening for entry in entries.values()), return_exceptions=True)
        for connection, entry in entries.items():
            self._close_soon(connection, entry)
        while self._closing:
            await asyncio.wait(self._closing)

    @property
    def connections(self) -> tuple[str, ...]:
        """The connections that are open or being opened, the one used longest ago first."""
        return tuple(self._entries)

    async def lease(self, connection: str) -> Lease[ClientT] | None:
        """Return the client of a connection, opened if need be, or `None` where it leaves its tenants among others.

        Raises:
            BackendNotStartedError: the backend is not running, or is closed while this task waits.
            SecretNotFoundError: there is no address behind the connection's name.
            DatabaseUnavailableError, MappingError, UnsafeRoleError and others: as a backend's own `start`.
        """
        if not self._running:
            raise BackendNotStartedError(self._name)
        if connection in self._among_others:
            return None
        entry = self._entry(connection)
        entry.users += 1
        try:
            self._shrink()
            # Shielded: whoever is cancelled here leaves the opening to the others who wait for it.
            client = await asyncio.shield(entry.opening)
        except BaseException as error:
            self._leave(entry)
            if entry.opening.cancelled() and not _is_being_cancelled():
                raise BackendNotStartedError(self._name) from error
            raise
        if client is None:
            return None
        return Lease(client, lambda: self._leave(entry))

    def _entry(self, connection: str) -> _Entry[ClientT]:
        entry = self._entries.get(connection)
        if entry is None:
            entry = self._entries[connection] = _Entry(asyncio.create_task(self._open_client(connection)))
            entry.opening.add_done_callback(lambda _: self._keep_or_forget(connection, entry))
        self._entries.move_to_end(connection)
        return entry

    def _keep_or_forget(self, connection: str, entry: _Entry[ClientT]) -> None:
        """Keep what was opened; forget what failed, and what has no client of its own."""
        if entry.client is not None:
            _log.info(f"{self._kind}.opened", connection=connection)
        elif self._entries.get(connection) is entry:
            del self._entries[connection]
            if not entry.has_failed:
                self._among_others.add(connection)

    def _leave(self, entry: _Entry[ClientT]) -> None:
        entry.users -= 1
        self._shrink()

    def _shrink(self) -> None:
        """Close what is over the limit and not in use, the one used longest ago first."""
        over = max(0, len(self._entries) - self._limit)
        idle = [connection for connection, entry in self._entries.items() if not entry.users and entry.client]
        for connection in idle[:over]:
            self._close_soon(connection, self._entries.pop(connection))

    def _close_soon(self, connection: str, entry: _Entry[ClientT]) -> None:
        if entry.client is not None:
            closing = asyncio.create_task(self._closed(connection, entry.client))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _closed(self, connection: str, client: Closable) -> None:
        await client.close()
        _log.info(f"{self._kind}.closed", connection=connection)


class _Entry(Generic[ClientT]):
    """A client that is open or being opened, and how many use it or wait for it."""

    __slots__ = ("opening", "users")

    def __init__(self, opening: asyncio.Task[ClientT | None]) -> None:
        self.opening = opening
        self.users = 0

    @property
    def has_failed(self) -> bool:
        """Whether the opening has ended in an error, or was cancelled."""
        return self.opening.done() and (self.opening.cancelled() or self.opening.exception() is not None)

    @property
    def client(self) -> ClientT | None:
        """What was opened; `None` before, and where nothing was."""
        return self.opening.result() if self.opening.done() and not self.has_failed else None


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
