"""Killing a process at every point of a deed: a harness for crash tests, of tenants, plugins or anything else.

    async with Killing("tests.crash.deeds") as killing:
        points = await killing.points_of("tests.crash.deeds:create", dsn=..., tenant="probe")
        for number in range(len(points)):
            await killing.kill("tests.crash.deeds:create", number, dsn=..., tenant=f"t{number}")

The children are forked from a process that has imported the modules named, so that each costs a fork and the deed
itself. What a deed is, and how it says what its points are, is in `tests.crash.points`. Nothing is known here of what
it does: preparing, reconciling afterwards, and comparing with an undisturbed run are the test's.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).parents[2]
_LONGEST_ANSWER = 2**20


class Killing:
    """Runs deeds in children, and has them killed; several at once if several tasks ask."""

    def __init__(self, *modules: str, processes: int = 2) -> None:
        self._modules = modules
        self._processes = processes
        self._idle: asyncio.Queue[Process] = asyncio.Queue()
        self._started: list[Process] = []

    async def __aenter__(self) -> Self:
        for _ in range(self._processes):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.crash.zygote", *self._modules),
                stdin=PIPE,
                stdout=PIPE,
                cwd=_ROOT,
                limit=_LONGEST_ANSWER,
                env={name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PRISMICX_"))},
            )
            self._started.append(process)
        for process in self._started:
            assert await _answer_of(process) == "ready"
            self._idle.put_nowait(process)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    async def points_of(self, deed: str, **arguments: str) -> list[str]:
        """Carry a deed out undisturbed in a child, and return the points that it passed."""
        fate = await self._run(deed, None, arguments)
        assert not fate["killed"], f"{deed} was killed by somebody else"
        assert not fate["error"], fate["error"]
        passed: list[str] = fate["passed"]
        return passed

    async def kill(self, deed: str, point: int, **arguments: str) -> None:
        """Carry a deed out in a child that is killed with SIGKILL at the point of this number, from 0 on."""
        assert await self.kill_or_finish(deed, point, **arguments), f"{deed} was not killed at point {point}"

    async def kill_or_finish(self, deed: str, point: int, **arguments: str) -> bool:
        """Carry a deed out likewise, and return whether it was killed: it may end before it has passed so many points.

        For points that are not the same in each run, such as messages of which some are sent in the background.
        """
        fate = await self._run(deed, point, arguments)
        assert fate["killed"] or not fate["error"], fate["error"]
        killed: bool = fate["killed"]
        return killed

    async def _run(self, deed: str, deadly: int | None, arguments: dict[str, str]) -> dict[str, Any]:
        process = await self._idle.get()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"deed": deed, "arguments": arguments, "deadly": deadly}).encode() + b"\n")
        fate: dict[str, Any] = await _answer_of(process)
        self._idle.put_nowait(process)
        return fate


async def _answer_of(process: Process) -> Any:
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, "the process that forks children has ended; see its standard error"
    return json.loads(line)
