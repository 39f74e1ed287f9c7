"""The points at which a process can be killed, found by running: each is passed by name, one of them is the last.

A deed is a function that one process carries out: `async def deed(points: Points, **arguments: str) -> None`. It says
what its points are: `watch_commits` makes one before and one after each commit to the registry, `watch` before and
after each call of an object's methods, `watch_sends` before each message to a server, of whatever it may be part of;
it is called before the clients are made. `points.begin()` says where the deed begins.
`tests.crash.killing` runs a deed once to learn its points, and then once for each of them, to be killed there.
"""

from __future__ import annotations

import asyncio.selector_events
import functools
import os
import re
import signal
from typing import Any

from pymongo import monitoring

from prismicx.adapters.unit_of_work import TrackedUnitOfWork


class Points:
    """The points that were passed so far, in order; at the one of this number, from 0 on, the process is killed."""

    def __init__(self, deadly: int | None) -> None:
        self.passed: list[str] = []
        self._deadly = deadly
        self._begun = False

    def begin(self) -> None:
        """Begin to count: what was passed before, such as connecting, is no part of the deed."""
        self._begun = True

    def reach(self, label: str) -> None:
        """Pass a point, or die there."""
        if not self._begun:
            return
        if len(self.passed) == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed.append(label)


def watch(points: Points, subject: object, *names: str) -> None:
    """Make a point before and one after each call of these asynchronous methods of an object."""
    title = getattr(subject, "name", type(subject).__name__)
    for name in names:
        setattr(subject, name, _between(points, getattr(subject, name), f"{name} of {title}"))


def watch_commits(points: Points) -> None:
    """Make a point before and one after each commit of a unit of work over the registry."""
    commit = TrackedUnitOfWork.commit

    async def commit_between(unit: TrackedUnitOfWork) -> None:
        if unit.tenant is not None:
            await commit(unit)
            return
        points.reach("before a commit to the registry")
        await commit(unit)
        points.reach("after a commit to the registry")

    setattr(TrackedUnitOfWork, "commit", commit_between)  # noqa: B010  # mypy lets nobody assign to a method


def watch_sends(points: Points) -> None:
    """Make a point before each message to a server: PostgreSQL's as they are written, MongoDB's by command."""
    # asyncpg writes to asyncio's transport and has no hook of its own that is asked before a message is sent.
    transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]  # a private name
    write = transport.write

    def write_after(self: Any, data: Any) -> None:
        if _is_postgres(self.get_protocol()):
            points.reach(f"before sending {_words(bytes(data))}")
        write(self, data)

    transport.write = write_after
    monitoring.register(_Commands(points))


class _Commands(monitoring.CommandListener):
    def __init__(self, points: Points) -> None:
        self._points = points

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        subject = event.command.get(event.command_name)
        self._points.reach(f"before sending {event.command_name} {subject if isinstance(subject, str) else ''}".strip())

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Pass: what is between this and the next command changes nothing on the server."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Pass likewise."""


def _between(points: Points, method: Any, label: str) -> Any:
    @functools.wraps(method)
    async def called(*args: Any, **named: Any) -> Any:
        points.reach(f"before {label}")
        answer = await method(*args, **named)
        points.reach(f"after {label}")
        return answer

    return called


def _is_postgres(protocol: object) -> bool:
    return type(protocol).__module__.startswith("asyncpg")


def _words(message: bytes) -> str:
    readable = re.findall(rb"[A-Za-z_]{2}[ -~]{2,}", message)
    return b" ".join(readable)[:80].decode("ascii")
