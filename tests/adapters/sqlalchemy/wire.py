"""A TCP proxy before PostgreSQL that counts round trips, and can cut the wire."""

from __future__ import annotations

import asyncio
from typing import Self


class Wire:
    """Counts how often somebody asked the server and waited, over all connections through it.

    Attributes:
        trips: how often the direction turned from answers to questions.
        answered: how many bytes the server sent.
        cut_before: a question that holds these bytes never reaches the server; the connection is cut instead.
        cut_after: as `cut_before`, but the server gets the question; nobody hears the answer.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._pumps: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self.trips = 0
        self.answered = 0
        self.cut_before: bytes | None = None
        self.cut_after: bytes | None = None

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def say_goodbye(self) -> None:
        """Tell each client what a server that shuts down tells an idle one, and a notice; leave the sockets open."""
        goodbye = _message(b"E", severity=b"FATAL", code=b"57P01") + _message(b"N", severity=b"LOG", code=b"00000")
        for client in self._clients:
            client.write(goodbye)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of its own: one that asyncio makes of a coroutine, Python 3.11 complains of when it is cancelled.
        pump = asyncio.create_task(self._serve(reader, writer))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection(*self._target)
        asked = asyncio.Event()
        self._clients.add(writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(reader, questions, asked))
                group.create_task(self._answer(answers, writer, asked))
        except* (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()
            questions.transport.abort()
            self._clients.discard(writer)

    async def _ask(self, reader: asyncio.StreamReader, questions: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await reader.read(1 << 16):
            if self.cut_before is not None and self.cut_before in data:
                raise ConnectionResetError
            if not asked.is_set():
                asked.set()
                self.trips += 1
            questions.write(data)
            await questions.drain()
            if self.cut_after is not None and self.cut_after in data:
                raise ConnectionResetError
        raise EOFError

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await answers.read(1 << 16):
            if not self._lets_hear(asked):
                raise ConnectionResetError
            asked.clear()
            self.answered += len(data)
            writer.write(data)
            await writer.drain()
        raise EOFError

    def _lets_hear(self, asked: asyncio.Event) -> bool:
        """Tell whether the client hears the answer to what was asked; its connection is cut where it does not."""
        return True


def _message(kind: bytes, *, severity: bytes, code: bytes) -> bytes:
    """Return an ErrorResponse (`E`) or a NoticeResponse (`N`), as PostgreSQL's protocol 3 writes them."""
    body = b"S%b\0V%b\0C%b\0Mterminating connection\0\0" % (severity, severity, code)
    return kind + (len(body) + 4).to_bytes(4, "big") + body
