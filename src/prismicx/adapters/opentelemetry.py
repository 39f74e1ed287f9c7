"""Telemetry as OpenTelemetry's spans and metrics. Needs the extra `otel`; nothing else of prismicx imports it.

The service configures OpenTelemetry itself (exporters, sampling, resources), as it does for its other libraries.
"""

from __future__ import annotations

import time
from contextvars import Token
from typing import Final

from prismicx.domain.errors import MissingExtraError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.telemetry import Activity, Fact, Observation, Telemetry

try:
    from opentelemetry import context, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter, MeterProvider, get_meter
    from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider
except ImportError as error:
    raise MissingExtraError("opentelemetry-api", extra="otel") from error

INSTRUMENTATION: Final = "prismicx"

_TENANT: Final = "prismicx.tenant"
_OF_METRICS: Final = frozenset({"backend", "read_only", "step", "action", "plugin"})
"""The facts of which there are few: each value of a metric's label is a time series of its own."""


class OpenTelemetry(Telemetry):
    """Makes a span of everything, and histograms of how long each took, in seconds.

    Spans: `prismicx.unit_of_work` and so on, with the tenant and all facts as attributes. Metrics:
    `prismicx.unit_of_work.duration` and so on by outcome, error's class and those facts that have few values,
    `prismicx.unit_of_work.pool_wait`, and `prismicx.unit_of_work.tries`.

    Args:
        tracer_provider: the global one by default.
        meter_provider: the global one by default.
        tenant_labels: label metrics with the tenant too. Each tenant is then a set of time series of its own, and its
            name is known wherever the metrics go.

    Raises:
        MissingExtraError: at the import of the module: the extra `otel` is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        tenant_labels: bool = False,
    ) -> None:
        self._tracer: Tracer = trace.get_tracer(INSTRUMENTATION, tracer_provider=tracer_provider)
        meter: Meter = get_meter(INSTRUMENTATION, meter_provider=meter_provider)
        self._tenant_labels = tenant_labels
        self._durations = {activity: _histogram(meter, activity, "duration", "s") for activity in Activity}
        self._further = {
            "pool_wait": _histogram(meter, Activity.UNIT, "pool_wait", "s"),
            "try": _histogram(meter, Activity.UNIT, "tries", "1"),
        }

    def begin(self, activity: Activity, *, tenant: TenantId | None, **facts: Fact) -> Observation:
        attributes = {f"prismicx.{name}": value for name, value in facts.items()}
        if tenant is not None:
            attributes[_TENANT] = tenant.value
        span = self._tracer.start_span(f"prismicx.{activity.value}", attributes=attributes)
        labels = {name: value for name, value in facts.items() if name in _OF_METRICS}
        if tenant is not None and self._tenant_labels:
            labels["tenant"] = tenant.value
        return _Traced(span, self._durations[activity], self._further, labels=labels, facts=facts)


class _Traced(Observation):
    __slots__ = ("_began", "_duration", "_facts", "_further", "_labels", "_span", "_token")

    def __init__(
        self,
        span: Span,
        duration: Histogram,
        further: dict[str, Histogram],
        *,
        labels: dict[str, Fact],
        facts: dict[str, Fact],
    ) -> None:
        self._span = span
        self._duration = duration
        self._further = further
        self._labels = labels
        self._facts = facts
        self._token: Token[Context] = context.attach(trace.set_span_in_context(span))
        self._began = time.perf_counter()

    def note(self, **facts: Fact) -> None:
        self._facts.update(facts)
        for name, value in facts.items():
            self._span.set_attribute(f"prismicx.{name}", value)

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        seconds = time.perf_counter() - self._began
        self._span.set_attribute("prismicx.outcome", outcome)
        labels: dict[str, Fact] = {**self._labels, "outcome": outcome}
        if error is not None:
            labels["error.type"] = type(error).__name__
            # Its class and not its text, which may hold a tenant's data.
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self._duration.record(seconds, labels)
        for name, histogram in self._further.items():
            value = self._facts.get(name)
            if isinstance(value, int | float):
                histogram.record(value, labels)
        context.detach(self._token)
        self._span.end()


def _histogram(meter: Meter, activity: Activity, what: str, unit: str) -> Histogram:
    return meter.create_histogram(f"prismicx.{activity.value}.{what}", unit=unit)
