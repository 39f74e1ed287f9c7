"""A server of one's own that speaks MongoDB's protocol: SecantusDB, as a process, never imported (it is GPL-2.0)."""

from __future__ import annotations

import signal
import struct
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from prismicx.embedded.process import HOST, ask, free_port, installed, running


class EmbeddedMongo:
    """A server that runs during a `with` block on 127.0.0.1, as a replica set of one member."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        durable: bool = False,
        standalone: bool = False,
        test_commands: bool = False,
        access_control: bool = False,
    ) -> None:
        """Describe the server; nothing is started yet.

        Args:
            directory: where its data stays after the block, and is found again; `None` for a temporary directory.
            durable: flush each write to the disk before it is acknowledged; without it a crash loses writes.
            standalone: be no replica set, hence without transactions.
            test_commands: allow `configureFailPoint`, with which tests plant faults.
            access_control: let nobody in without a login. The first user must be in `directory` already, made while
                everybody was let in. SecantusDB then keeps users to their databases; the collections that a role
                names in one it takes for all of that database, as MongoDB does not.
        """
        self._directory = directory
        flags = {
            "--sync-on-commit": durable,
            "--standalone": standalone,
            "--enable-test-commands": test_commands,
            "--auth": access_control,
        }
        self._flags = [flag for flag, wanted in flags.items() if wanted]
        self._running = ExitStack()
        self.port = 0

    @property
    def uri(self) -> str:
        """The server's address."""
        return f"mongodb://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            MissingExtraError: the extra `embedded` is not installed.
            EmbeddedServerError: it did not start; its last lines are in the error.
        """
        installed("secantus")
        with ExitStack() as stack:
            temporary = Path(stack.enter_context(TemporaryDirectory(prefix="prismicx-mongo-")))
            data = self._directory.absolute() if self._directory else temporary / "data"
            data.mkdir(parents=True, exist_ok=True)
            configuration = temporary / "secantusd.toml"  # its own, so that it looks for nobody else's
            configuration.touch()
            self.port = free_port()
            place = ["--config", configuration, "--host", HOST, "--port", self.port, "--storage-path", data]
            command = [sys.executable, "-m", "secantus", *map(str, place), "--cache-size", "256M", *self._flags]
            # Ending in good order takes two seconds, which data that goes with it is not worth.
            stop = signal.SIGINT if self._directory else signal.SIGKILL
            stack.enter_context(running("SecantusDB", command, temporary=temporary, is_ready=self._answers, stop=stop))
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server; a temporary directory is removed."""
        self._running.close()

    def _answers(self) -> bool:
        import bson  # noqa: PLC0415  # the driver's, and this package must be importable without loading it

        body = b"\0\0\0\0\0" + bson.encode({"hello": 1, "$db": "admin"})  # OP_MSG: no flags, one body section
        answer = ask(self.port, struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body)
        return b"isWritablePrimary" in answer
