"""Telemetry by OpenTelemetry, read back from its exporters in memory."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.opentelemetry import OpenTelemetry
from prismicx.domain.identifiers import TenantId
from prismicx.domain.telemetry import Activity, observed
from prismicx.testing.examples import EXAMPLE_MAPPINGS

ACME = TenantId("acme")


class Collected:
    """A service's OpenTelemetry, and what reaches its exporters."""

    def __init__(self, *, tenant_labels: bool = False) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers, meters = TracerProvider(), MeterProvider(metric_readers=[self._reader])
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = tracers.get_tracer("the service")
        self.telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters, tenant_labels=tenant_labels)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    def points(self, name: str) -> list[HistogramDataPoint]:
        data: Any = self._reader.get_metrics_data()
        metrics = [
            metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
        ]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def collected() -> Collected:
    return Collected()


async def test_a_unit_is_a_span_with_its_tenant_inside_the_services_own(collected: Collected) -> None:
    async with MemoryBackend(EXAMPLE_MAPPINGS, telemetry=collected.telemetry) as backend:
        with collected.tracer.start_as_current_span("request"):
            async with backend.unit_of_work(ACME) as uow:
                with collected.tracer.start_as_current_span("within"):
                    await uow.commit()
        assert not trace.get_current_span().is_recording()

    within, unit, request = collected.spans
    assert unit.name == "prismicx.unit_of_work"
    assert dict(unit.attributes or {}) == {
        "prismicx.tenant": "acme",
        "prismicx.backend": "MemoryBackend",
        "prismicx.read_only": False,
        "prismicx.try": 1,
        "prismicx.outcome": "committed",
    }
    assert unit.parent == request.context
    assert within.parent == unit.context


async def test_metrics_name_no_tenant(collected: Collected) -> None:
    async with MemoryBackend(EXAMPLE_MAPPINGS, telemetry=collected.telemetry) as backend:
        for tenant in ("acme", "globex", "initech"):
            async with backend.unit_of_work(TenantId(tenant)) as uow:
                await uow.commit()

    (point,) = collected.points("prismicx.unit_of_work.duration")
    assert point.count == 3
    assert dict(point.attributes or {}) == {"backend": "MemoryBackend", "read_only": False, "outcome": "committed"}
    (tries,) = collected.points("prismicx.unit_of_work.tries")
    assert tries.sum == 3


async def test_metrics_name_the_tenant_where_they_are_asked_to() -> None:
    collected = Collected(tenant_labels=True)
    with observed(collected.telemetry, Activity.MIGRATION, tenant=ACME, plugin="crm", version="1.0.0"):
        pass

    (point,) = collected.points("prismicx.plugin_migration.duration")
    assert dict(point.attributes or {}) == {"tenant": "acme", "plugin": "crm", "outcome": "done"}


def test_a_failure_marks_its_span_and_tells_the_errors_class_alone(collected: Collected) -> None:
    observation = collected.telemetry.begin(Activity.STEP, tenant=ACME)
    observation.note(step="schemas", pool_wait=0.5)
    observation.end("failed", FileNotFoundError("somebody's name"))

    (span,) = collected.spans
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "FileNotFoundError"
    assert "somebody" not in span.to_json()
    (waited,) = collected.points("prismicx.unit_of_work.pool_wait")
    assert waited.sum == 0.5


def test_without_the_extra_it_says_which_one_is_missing() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from prismicx import MissingExtraError\n"
        "try:\n    import prismicx.adapters.opentelemetry\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    answered = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert 'pip install "prismicx[otel]"' in answered.stdout
