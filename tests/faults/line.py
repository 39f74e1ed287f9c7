"""A wire that is cut at the n-th question from now, whatever the protocol, and that can be led to another server."""

from __future__ import annotations

import asyncio

from tests.adapters.sqlalchemy.wire import Wire


class Line(Wire):
    """Carries the questions of clients and the answers of a server, until it is told not to.

    It also cuts what a `Wire` cuts: each question that holds the bytes of `cut_before` or `cut_after`.

    Attributes:
        awaits_answers: where a question still reaches the server, cut only when its answer comes, so that the server
            is done before anybody can ask again. Otherwise whoever asks again may meet the first question at work.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.awaits_answers = False
        self._unheard: set[asyncio.Event] = set()
        self._until_cut = 0
        self._lets_pass = False
        self._is_open = True
        self._is_dumb = False

    def lead_to(self, host: str, port: int) -> None:
        """Bring new connections to another server."""
        self._target = (host, port)

    def cut_at(self, question: int, *, after: bool) -> None:
        """Cut the connection of the n-th question from now on, 1 for the next one.

        Args:
            after: let the server have the question; nobody hears the answer. Otherwise the server never sees it.
        """
        self._until_cut = question
        self._lets_pass = after

    def heal(self) -> None:
        """Cut nothing any more, and let everybody in."""
        self._until_cut = 0
        self._is_open = True
        self._is_dumb = False
        self.awaits_answers = False
        self.cut_before = self.cut_after = None

    def close_the_door(self) -> None:
        """Cut all connections, and each new one at once, until `heal`."""
        self._is_open = False
        self.hang_up()

    def say_nothing(self) -> None:
        """Let questions vanish and leave the connections open, until `heal`."""
        self._is_dumb = True

    def hang_up(self) -> None:
        """Cut all connections."""
        for client in tuple(self._clients):
            client.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.transport.abort()
            return
        try:
            await super()._serve(reader, writer)
        except (OSError, asyncio.CancelledError):  # nobody listens where it leads to, or the line is taken down
            writer.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, questions: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await reader.read(1 << 16):
            if self._is_dumb:
                continue
            counted = self._until_cut == 1
            self._until_cut = max(0, self._until_cut - 1)
            before = _holds(data, self.cut_before) or (counted and not self._lets_pass)
            after = _holds(data, self.cut_after) or (counted and self._lets_pass)
            if not before:
                questions.write(data)
                await questions.drain()
            if before or (after and not self.awaits_answers):
                raise ConnectionResetError
            if after:
                self._unheard.add(asked)
        raise EOFError

    def _lets_hear(self, asked: asyncio.Event) -> bool:
        return asked not in self._unheard


def _holds(data: bytes, wanted: bytes | None) -> bool:
    return wanted is not None and wanted in data
