"""A unit of work that does what it is told, step by step, in the one task that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, TypeAlias

from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, UnitOfWork

Action: TypeAlias = Callable[["Actor"], Awaitable[Any]]
"""Something to do with the actor's unit of work."""

_LOOKS: Final = 10


class DiscardedError(Exception):
    """The savepoint's block ends badly, as the history wants it."""


class Actor:
    """One open unit of work in a task of its own.

    Args:
        in_scope: it is a read scope.
        patience: seconds to wait for one answer.
    """

    def __init__(self, backend: Backend, tenant: TenantId, *, read_only: bool, in_scope: bool, patience: float) -> None:
        opened: Any = backend.read(tenant) if in_scope else backend.unit_of_work(tenant, read_only=read_only)
        self._unit: UnitOfWork = opened  # of a read scope nothing is asked but its repositories
        self._patience = patience
        self._orders: asyncio.Queue[tuple[Action, asyncio.Future[Any]] | None] = asyncio.Queue()
        self._savepoints: list[AbstractAsyncContextManager[None]] = []
        self._task = asyncio.create_task(self._live())

    @property
    def unit(self) -> UnitOfWork:
        """The unit of work; only what the actor is told to do may touch it."""
        return self._unit

    async def do(self, order: Action) -> Any:
        """Return, or raise, what the order returns or raises.

        Raises:
            TimeoutError: there is no answer in time; the unit is given up.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._orders.put((order, answer))
        await self._first_of(answer, self._task)
        if answer.done():
            return answer.result()
        if self._task.done():
            answer.cancel()
            return self._task.result()  # it could not be entered, or left
        answer.cancel()
        await self._give_up()
        raise TimeoutError(f"no answer within {self._patience:g} seconds")

    async def begin_savepoint(self) -> None:
        """Open a savepoint, inside of those that are open."""
        savepoint = self._unit.savepoint()
        await savepoint.__aenter__()
        self._savepoints.append(savepoint)

    async def end_savepoint(self, *, keep: bool) -> None:
        """Leave the innermost savepoint, with or without what was done in it."""
        savepoint = self._savepoints.pop()
        if keep:
            await savepoint.__aexit__(None, None, None)
            return
        reason = DiscardedError()
        try:
            await savepoint.__aexit__(DiscardedError, reason, None)
        except DiscardedError as error:
            if error is not reason:
                raise

    async def leave(self) -> None:
        """Leave the unit, and every savepoint in it; without effect where it has been left."""
        if self._task.done():
            return
        await self._orders.put(None)
        await self._first_of(self._task)
        await self._give_up()

    async def _live(self) -> None:
        async with self._unit:
            try:
                while (order := await self._orders.get()) is not None:
                    action, answer = order
                    try:
                        found = await action(self)
                    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
                        answer.set_exception(error)
                    else:
                        answer.set_result(found)
            finally:  # also where it is given up: no unit ends inside of a savepoint
                while self._savepoints:
                    with suppress(Exception):  # what breaks the savepoint has broken the unit, which ends next
                        await self.end_savepoint(keep=False)

    async def _first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Return when one of these is done, or patience is over.

        It is measured out in parts, each looked at by itself: what stops the whole process for a while, such as the
        collection of a great deal of garbage, makes nobody late.
        """
        for _ in range(_LOOKS):
            done, _ = await asyncio.wait(awaited, timeout=self._patience / _LOOKS, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return

    async def _give_up(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
