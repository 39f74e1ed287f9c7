"""Telemetry as log events, by structlog: one at debug level for each thing that has ended."""

from __future__ import annotations

import time
from typing import Any, Final

import structlog

from prismicx.domain.identifiers import TenantId
from prismicx.domain.telemetry import Activity, Fact, Observation, Telemetry

_ENDED: Final = {activity: f"{activity.value}.ended" for activity in Activity}


class LogTelemetry(Telemetry):
    """Logs the end of everything: `unit_of_work.ended`, with tenant, facts, outcome, seconds, and the error's class.

    An error's text is left out, for it may hold a tenant's data; whoever handles the error has it.

    Args:
        logger: structlog's by default, as the service has configured it.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: Any = None) -> None:
        self._logger = structlog.get_logger("prismicx") if logger is None else logger

    def begin(self, activity: Activity, *, tenant: TenantId | None, **facts: Fact) -> Observation:
        known: dict[str, Fact] = dict(facts) if tenant is None else {"tenant": tenant.value, **facts}
        return _Logged(self._logger, activity, known)


class _Logged(Observation):
    __slots__ = ("_activity", "_began", "_facts", "_logger")

    def __init__(self, logger: Any, activity: Activity, facts: dict[str, Fact]) -> None:
        self._logger = logger
        self._activity = activity
        self._facts = facts
        self._began = time.perf_counter()

    def note(self, **facts: Fact) -> None:
        self._facts.update(facts)

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        if error is not None:
            self._facts["error"] = type(error).__name__
        seconds = round(time.perf_counter() - self._began, 6)
        self._logger.debug(_ENDED[self._activity], outcome=outcome, seconds=seconds, **self._facts)
