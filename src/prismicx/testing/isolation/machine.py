"""The state machine: histories of steps, drawn by Hypothesis."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from prismicx.testing.isolation.play import Play
from prismicx.testing.isolation.steps import Step
from prismicx.testing.isolation.world import World


class TenantIsolationMachine(RuleBasedStateMachine):
    """Histories of two or more tenants whose units of work are open side by side.

    Every operation of units and repositories, the team's own query methods included, is asked in them, on identities
    and unique keys that all tenants have. Each answer must be what the tenant's own dictionary says it is: nothing that
    another tenant wrote is ever seen, changed, counted, or betrayed by a different error or by waiting for it.

    `assert_isolated` runs it. It has one rule, because Hypothesis leaves some rules out of each history, and a history
    without `commit` proves little; `steps` says what is drawn, and how often. A subclass sets `world`,
    `openings` and `steps`.
    """

    world: ClassVar[World]
    openings: ClassVar[st.SearchStrategy[list[Step]]]
    steps: ClassVar[st.SearchStrategy[Step]]

    def __init__(self) -> None:
        super().__init__()
        if self.world.is_spoiled:
            self.world.fail()
        self.play = Play(self.world)
        self.world.history = []

    @initialize(opening=st.runner().flatmap(lambda machine: machine.openings))
    def begin(self, opening: list[Step]) -> None:
        """Have the tenants store something, so that there is something to leak."""
        for step in opening:
            self._take(step)

    @rule(step=st.runner().flatmap(lambda machine: machine.steps))
    def take(self, step: Step) -> None:
        """Have one of the units take a step."""
        self._take(step)

    def teardown(self) -> None:
        """End what is open, look at every tenant once more, and leave nothing behind."""
        self.play.finish()

    def _take(self, step: Step) -> None:
        self.world.history.append(step)
        step.take(self.play)
