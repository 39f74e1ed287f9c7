"""How a backend is, as one look at it has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_PATIENCE: Final = 5.0
"""Seconds that a look at a backend takes at most."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A pool of connections at one moment.

    Args:
        in_use: connections that units of work have.
        free: open connections that nobody has.
        limit: connections at most.
        waiting: tasks that wait for one.
    """

    in_use: int
    free: int
    limit: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Health:
    """What a look at a backend has found; where nothing could be asked, `None` stands for the answer.

    Args:
        backend: the backend's class.
        address: where its database is, without user and password.
        reachable: whether it answered.
        latency: seconds from question to answer, waiting for a connection included.
        role_safe: whether the application's login is held by the walls around tenants; `None` also where the
            database has no such thing.
        prepared: whether everything that tenants share is there, as this version wants it.
        transactions: whether units of work have transactions.
        pool: of connections; `None` where the driver does not tell.
        problems: what is wrong, in words, for people.
    """

    backend: str
    address: str
    reachable: bool
    latency: float | None = None
    role_safe: bool | None = None
    prepared: bool | None = None
    transactions: bool | None = None
    pool: PoolUse | None = None
    problems: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether units of work can be expected to work."""
        return self.reachable and False not in (self.role_safe, self.prepared, self.transactions)
