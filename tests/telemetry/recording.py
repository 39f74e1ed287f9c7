"""A telemetry that remembers what it has heard."""

from __future__ import annotations

from dataclasses import dataclass, field

from prismicx.domain.identifiers import TenantId
from prismicx.domain.telemetry import Activity, Fact, Observation, Telemetry


@dataclass
class Heard(Observation):
    activity: Activity
    tenant: TenantId | None
    facts: dict[str, Fact]
    outcome: str = ""
    error: BaseException | None = None

    def note(self, **facts: Fact) -> None:
        self.facts.update(facts)

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        assert not self.outcome, "an observation ends once"
        self.outcome, self.error = outcome, error


@dataclass
class Recording(Telemetry):
    heard: list[Heard] = field(default_factory=list)

    def begin(self, activity: Activity, *, tenant: TenantId | None, **facts: Fact) -> Observation:
        self.heard.append(Heard(activity, tenant, dict(facts)))
        return self.heard[-1]

    def outcomes(self) -> list[str]:
        return [heard.outcome for heard in self.heard]
