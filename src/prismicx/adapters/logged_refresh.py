"""What goes wrong while a directory keeps itself fresh, as log events by structlog."""

from __future__ import annotations

import structlog

from prismicx.application.refreshing import RefreshObserver
from prismicx.domain.errors import PrismicxError

_log = structlog.get_logger(__name__)


class LoggedRefresh(RefreshObserver):
    """Logs a warning for each failure; of an error that is not prismicx's own it tells the class alone."""

    def not_refreshed(self, error: Exception) -> None:
        _log.warning("registry.not_refreshed", error=_told(error))

    def not_listening(self, error: Exception, *, wait: float) -> None:
        _log.warning("registry.not_listening", error=_told(error), again_in=round(wait, 1))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, PrismicxError) else type(error).__name__
