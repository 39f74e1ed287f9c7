"""`prismicx plugin upgrade --all`: a version for every tenant, with progress for people and a report for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prismicx.cli.command import Call
from prismicx.cli.output import Answer, ExitCode, printable, record
from prismicx.domain.identifiers import TenantId, Version
from prismicx.domain.rollouts import PluginRollout, RolloutPlan, RolloutStatus

Report = Callable[[PluginRollout], None]


def plan_of(
    *, canary: str | None, waves: str | None, concurrency: int | None, error_budget: str | None
) -> RolloutPlan | None:
    """Return the plan that the options ask for, usual in what they leave open; `None` where they leave everything open.

    Raises:
        InvalidRolloutError: an option does not fit.
        InvalidTenantIdError: a canary is no tenant's id.
    """
    usual = RolloutPlan()
    if canary is None and waves is None and concurrency is None and error_budget is None:
        return None
    return RolloutPlan(
        canaries=[TenantId(name.strip()) for name in canary.split(",")] if canary else (),
        waves=usual.waves if waves is None else _numbers(waves),
        concurrency=usual.concurrency if concurrency is None else concurrency,
        error_budget=usual.error_budget if error_budget is None else error_budget,
    )


async def roll_out(
    call: Call, plugin: str, *, version: Version | None, plan: RolloutPlan | None, resume: bool
) -> Answer:
    """Upgrade every tenant, and say how it went; a rollout that has paused ends with an exit code of its own."""
    async with call.services() as services:
        with _progress(plugin, as_json=call.as_json) as report:
            rollout = await services.rollouts().upgrade_all(
                plugin, version=version, plan=plan, resume=resume, report=report
            )
    if rollout is None:
        return Answer({"rollout": None}, f"There is nothing to do: no tenant has an earlier version of {plugin}.")
    exit_code = ExitCode.PAUSED if rollout.status is RolloutStatus.PAUSED else ExitCode.DONE
    return Answer({"rollout": rollout_data(rollout)}, record(rollout.plugin_name, _facts(rollout)), exit_code)


def rollout_data(rollout: PluginRollout) -> dict[str, JsonValue]:
    """Return what `--json` says of a rollout."""
    return {
        "plugin": rollout.plugin_name,
        "version": str(rollout.target),
        "status": rollout.status.value,
        "tenants": rollout.total,
        "upgraded": rollout.tally.upgraded,
        "failed": rollout.tally.failed,
        "skipped": rollout.tally.skipped,
        "wave": rollout.wave,
        "waves": list(rollout.plan.waves),
        "canaries": [str(canary) for canary in rollout.plan.canaries],
        "concurrency": rollout.plan.concurrency,
        "error_budget": rollout.plan.error_budget,
        "reason": rollout.reason,
    }


def _facts(rollout: PluginRollout) -> dict[str, str]:
    tally = rollout.tally
    return {
        "version": str(rollout.target),
        "status": rollout.status.value,
        "tenants": str(rollout.total),
        "upgraded": str(tally.upgraded),
        "failed": str(tally.failed),
        "skipped": str(tally.skipped),
        "reason": rollout.reason or "",
    }


@contextmanager
def _progress(plugin: str, *, as_json: bool) -> Iterator[Report]:
    """Show a person how far it has come: a bar on a terminal, a line for each wave anywhere else; a script nothing."""
    console = Console(stderr=True)
    if as_json:
        yield lambda rollout: None
    elif console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task(printable(plugin), total=None, failed=0)
            yield lambda rollout: bar.update(
                task, total=rollout.total, completed=rollout.tally.attempted, failed=rollout.tally.failed
            )
    else:
        yield _Lines()


def _bar(console: Console) -> Progress:
    failed = TextColumn("{task.fields[failed]} failed")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), failed, TimeRemainingColumn())
    return Progress(*columns, console=console)


class _Lines:
    """One line whenever another wave begins, and one at the end."""

    def __init__(self) -> None:
        self._said: tuple[int, str] | None = None

    def __call__(self, rollout: PluginRollout) -> None:
        now = (rollout.wave, rollout.status.value)
        if now != self._said:
            self._said = now
            tally = rollout.tally
            wave = f"wave {rollout.wave} of {len(rollout.plan.waves)}"
            counts = f"{tally.upgraded} of {rollout.total} upgraded, {tally.failed} failed, {tally.skipped} skipped"
            typer.echo(f"{rollout.plugin_name} {rollout.target}: {rollout.status.value}, {wave}: {counts}", err=True)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not of the form 1,10,50,100", param_hint="--waves") from None
