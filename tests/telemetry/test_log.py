"""Telemetry by structlog."""

from __future__ import annotations

from structlog.testing import capture_logs

from prismicx.adapters.log_telemetry import LogTelemetry
from prismicx.adapters.memory import MemoryBackend
from prismicx.domain.identifiers import TenantId
from prismicx.domain.telemetry import Activity
from prismicx.testing.examples import EXAMPLE_MAPPINGS

ACME = TenantId("acme")


async def test_the_end_of_a_unit_is_one_event_at_debug_level() -> None:
    with capture_logs() as events:
        async with (
            MemoryBackend(EXAMPLE_MAPPINGS, telemetry=LogTelemetry()) as backend,
            backend.unit_of_work(ACME) as uow,
        ):
            await uow.commit()

    (event,) = events
    assert event.pop("seconds") >= 0
    assert event == {
        "event": "unit_of_work.ended",
        "log_level": "debug",
        "tenant": "acme",
        "backend": "MemoryBackend",
        "read_only": False,
        "try": 1,
        "outcome": "committed",
    }


def test_of_an_error_its_class_is_logged_and_not_its_text() -> None:
    with capture_logs() as events:
        observation = LogTelemetry().begin(Activity.STEP, tenant=None)
        observation.note(step="schemas")
        observation.end("failed", FileNotFoundError("somebody's name"))

    assert events[0]["error"] == "FileNotFoundError"
    assert events[0]["step"] == "schemas"
    assert "somebody" not in str(events)
