"""The servers of one test run: each started when the first test asks for it, all stopped with the run.

They belong to pytest's controlling process. The workers of pytest-xdist end at different times, so none of them may
own what the others use: a worker asks the controller for an address over a Unix socket that only its user can open.
"""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from multiprocessing.connection import Listener

# The names that services use too: what tests make on such a server has names of its own, roles included.
POSTGRES_VARIABLE: Final = "PRISMICX_POSTGRES_DSN"
MONGO_VARIABLE: Final = "PRISMICX_MONGO_URI"
POSTGRES15_VARIABLE: Final = "PRISMICX_TEST_POSTGRES15_BINARIES"

_DEBIAN_POSTGRES15: Final = "/usr/lib/postgresql/15/bin"


def postgres15_binaries() -> Path:
    """Return where PostgreSQL 15 would be: what the environment says, or where Debian puts it."""
    return Path(os.environ.get(POSTGRES15_VARIABLE, _DEBIAN_POSTGRES15))


class Servers(Protocol):
    """Where a test's process gets its servers from."""

    @property
    def run(self) -> str:
        """A name for this run, the same in all its processes, part of the name of every database it makes."""
        ...

    def address(self, kind: str, owner: str = "") -> str:
        """Return the address of the server of this kind, started now if it was not; `owner` tells several apart.

        Kinds: `postgres`, `postgres15`, `mongo`, `mongo-standalone`.
        """
        ...


class OwnServers:
    """Servers that are this process's own."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._real_postgres = os.environ.get(POSTGRES_VARIABLE)
        self._addresses: dict[tuple[str, str], str] = {}
        self._running = ExitStack()

    @property
    def run(self) -> str:
        """See `Servers`."""
        return self._run

    def address(self, kind: str, owner: str = "") -> str:
        """See `Servers`."""
        key = (kind, owner)
        if key not in self._addresses:
            self._addresses[key] = self._start(kind)
        return self._addresses[key]

    def listen(self) -> str:
        """Answer the other processes of this run from now on; return the address for their `BorrowedServers`."""
        from multiprocessing.connection import Listener  # noqa: PLC0415  # only a parallel run pays for it

        listener = Listener(family="AF_UNIX")
        thread = Thread(target=self._answer, args=(listener,), daemon=True)
        thread.start()
        address = str(listener.address)
        self._running.callback(thread.join)
        self._running.callback(_request, address, None)
        return address

    def close(self) -> None:
        """Stop every server."""
        self._running.close()

    def _answer(self, listener: Listener) -> None:
        with listener:
            while True:
                with listener.accept() as connection:
                    asked = connection.recv()
                    if asked is None:
                        connection.send("")
                        return
                    try:
                        connection.send(self.address(*asked))
                    except Exception as error:  # noqa: BLE001  # raised again by the worker that asked
                        connection.send(error)

    def _start(self, kind: str) -> str:
        from prismicx.embedded import EmbeddedMongo, EmbeddedPostgres  # noqa: PLC0415  # only who needs a server pays

        if kind in ("postgres", "postgres15"):
            real = self._real_postgres if kind == "postgres" else None
            if real:
                from prismicx.testing.databases import drop_databases_of_run  # noqa: PLC0415  # loads a driver

                self._running.callback(drop_databases_of_run, real, self._run)
                return real
            binaries = postgres15_binaries() if kind == "postgres15" else None
            return self._running.enter_context(EmbeddedPostgres(binaries=binaries)).dsn()
        return self._running.enter_context(EmbeddedMongo(standalone=kind == "mongo-standalone", test_commands=True)).uri


class BorrowedServers:
    """Servers of the process that listens at an address."""

    def __init__(self, run: str, address: str) -> None:
        self._run = run
        self._address = address

    @property
    def run(self) -> str:
        """See `Servers`."""
        return self._run

    def address(self, kind: str, owner: str = "") -> str:
        """See `Servers`."""
        return _request(self._address, (kind, owner))


def _request(address: str, asked: tuple[str, str] | None) -> str:
    from multiprocessing.connection import Client  # noqa: PLC0415  # only a parallel run pays for it

    with Client(address, family="AF_UNIX") as connection:
        connection.send(asked)
        answer = connection.recv()
    if isinstance(answer, Exception):
        raise answer
    return str(answer)
