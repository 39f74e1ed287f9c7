"""One server as a process: started on a free port, found ready by asking it, stopped with its block or its parent."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from prismicx.domain.errors import EmbeddedServerError, MissingExtraError

HOST: Final = "127.0.0.1"

_KEEPER: Final = Path(__file__).with_name("keeper.py")
_LAST_LINES: Final = 12


def free_port() -> int:
    """Return a port of 127.0.0.1 that a server may bind and that nobody else is given by chance for a minute.

    A connection that the listening side closes first leaves the port in TIME_WAIT: the system then hands it out to
    nobody, while a server that sets SO_REUSEADDR, as servers do, can take it.

    Source: Yelp, `ephemeral-port-reserve`.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()):
            listener.accept()[0].close()
        port: int = listener.getsockname()[1]
    return port


def installed(package: str) -> Path:
    """Return the directory of a package of the extra `embedded`, without importing it.

    Raises:
        MissingExtraError: it is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise MissingExtraError(package.replace("_", "-"), extra="embedded")
    return Path(found.origin).parent


@contextlib.contextmanager
def running(
    server: str,
    command: Sequence[str],
    *,
    temporary: Path,
    is_ready: Callable[[], bool],
    owner: tuple[int, int] | None = None,
    stop: signal.Signals = signal.SIGINT,
    patience: float = 60.0,
    grace: float = 20.0,
) -> Iterator[None]:
    """Keep a server running during the block, which begins once the server is ready.

    Args:
        server: its name, for errors.
        command: the program and its arguments.
        temporary: a directory for its log; a keeper removes it if this process is killed.
        is_ready: asks the server; an `OSError` counts as no.
        owner: user and group id to run it as; `None` for those of this process.
        stop: asks the server to end, without waiting for its clients.
        patience: seconds for it to become ready.
        grace: seconds for it to end when asked, before it is killed.

    Raises:
        EmbeddedServerError: it ended at once, or did not become ready; its last lines are in the error.
    """
    log = temporary / "log"
    order = {"command": command, "owner": owner, "temporary": str(temporary), "stop": stop, "grace": grace}
    with log.open("ab") as sink:
        keeper = subprocess.Popen(
            [sys.executable, "-I", _KEEPER, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            start_new_session=True,  # a Ctrl-C in the terminal is for the parent alone
        )
    try:
        _wait_until_ready(server, keeper, is_ready=is_ready, patience=patience, log=log)
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):  # the server, and so its keeper, may have ended by itself
            keeper.communicate(b"s")
        keeper.wait()


def _wait_until_ready(
    server: str, keeper: subprocess.Popen[bytes], *, is_ready: Callable[[], bool], patience: float, log: Path
) -> None:
    deadline = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError):
            if is_ready():
                return
        if keeper.poll() is not None:
            raise EmbeddedServerError(
                server, "ended instead of starting", log=last_lines(log.read_text("utf-8", "replace"))
            )
        if time.monotonic() > deadline:
            reason = f"was not ready after {patience:g} seconds"
            raise EmbeddedServerError(server, reason, log=last_lines(log.read_text("utf-8", "replace")))
        time.sleep(0.02)


def last_lines(text: str) -> tuple[str, ...]:
    """Return the end of what a server wrote, at most twelve lines of it."""
    return tuple(text.rstrip().splitlines()[-_LAST_LINES:])


def ask(port: int, message: bytes) -> bytes:
    """Send a message to a port of 127.0.0.1 and return the first part of the answer.

    Raises:
        OSError: nothing listens there, or nothing is answered within a second.
    """
    with socket.create_connection((HOST, port), timeout=1.0) as connection:
        connection.sendall(message)
        return connection.recv(65536)
