"""`prismicx tenant …`: going on with what a failure or a crash has left, taking it back, and deleting."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue
from rich.console import Group

from prismicx.application.planning import Plan
from prismicx.application.reconciling import Reconciled
from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, ExitCode, printable, table
from prismicx.cli.tenant import TenantArgument, contents_table, tenant_answer, tenant_data
from prismicx.domain.errors import PrismicxError, SettingsError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.installations import TenantPlugin

if TYPE_CHECKING:
    from rich.console import RenderableType


@command
async def retry(call: Call, tenant: TenantArgument) -> Answer:
    """Go on at once with making or deleting a tenant's place, after a failure or a crash."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        with call.progress(f"going on with {tenant_id}"):
            return tenant_answer(await services.tenants().retry(tenant_id))


@command
async def abort(call: Call, tenant: TenantArgument) -> Answer:
    """Take back a provisioning that has not come to its end: what was begun is removed, in reverse order."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        with call.progress(f"taking back {tenant_id}"):
            return tenant_answer(await services.tenants().abort(tenant_id))


@command
async def delete(
    call: Call,
    tenant: TenantArgument,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete it; without this, only say what would be removed.")
    ] = False,
) -> Answer:
    """Remove a tenant's place with all the data in it, and print what was removed.

    A record stays, so that the id is never given again. Without --yes nothing is changed.
    """
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        if not yes:
            return _intention(await services.tenants().plan(tenant_id))
        with call.progress(f"deleting {tenant_id}"):
            return tenant_answer(await services.tenants().delete(tenant_id))


@command
async def plan(call: Call, tenant: TenantArgument) -> Answer:
    """Show what `tenant reconcile` would find and do for one tenant, step by step; nothing is changed."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        planned = await services.tenants().plan(tenant_id)
    rows = [
        (step.name, step.deed, "yes" if step.in_place else "no", str(sum(step.contents.values())), step.reason)
        for step in planned.steps
    ]
    due = "It is due." if planned.due else "Nothing is due."
    columns = ("step", "to do", "in place", "rows or documents", "reason")
    return Answer(_plan_data(planned), Group(table(columns, rows, empty="No steps are known."), due))


@command
async def reconcile(
    call: Call,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until SIGTERM or SIGINT.")] = False,
    interval: Annotated[float, typer.Option(min=0.01, help="With --watch: seconds between two rounds.")] = 10.0,
    give_up_after: Annotated[
        int | None, typer.Option(min=1, help="Take back a provisioning that has failed this often in a row.")
    ] = None,
) -> Answer:
    """Carry on whatever a crash or a failure has left: finish it, or take it back. Any number may run at once."""
    async with call.services() as services:
        reconciler = services.tenants().reconciler
        if not watch:
            with call.progress("reconciling"):
                outcomes = await reconciler.reconcile(give_up_after=give_up_after)
                return _reconciled(outcomes, await services.plugins().reconcile())
        rounds = _Rounds()
        with _set_by_signals() as stop:
            await asyncio.gather(
                reconciler.watch(interval=interval, stop=stop, report=rounds.report, give_up_after=give_up_after),
                services.plugins().watch(interval=interval, stop=stop, report=rounds.report_plugins),
            )
    return Answer(rounds.data, f"Stopped after {rounds.data['rounds']} rounds.")


@command
async def renew_logins(call: Call) -> Answer:
    """Make the MongoDB users of all tenants as PRISMICX_MONGO_USER_KEYS says; safe to run again.

    Active and suspended tenants get a user for each key, and users of other keys are dropped.
    """
    from prismicx.adapters.beanie.login_step import LOGIN_STEP  # noqa: PLC0415  # loads the driver

    if call.settings().mongo_user_keys is None:
        raise SettingsError(["tenants have no MongoDB users of their own: PRISMICX_MONGO_USER_KEYS is not set"])
    async with call.services() as services:
        with call.progress("renewing the users of all tenants"):
            outcomes = await services.tenants().renew(LOGIN_STEP)
    rows = [(str(tenant), "failed" if reason else "renewed", reason) for tenant, reason in outcomes.items()]
    data: list[JsonValue] = [
        {"tenant": tenant, "outcome": outcome, "reason": reason or None} for tenant, outcome, reason in rows
    ]
    view = table(("tenant", "outcome", "reason"), rows, empty="There are no tenants.")
    return Answer({"renewed": data}, view, ExitCode.REFUSED if any(outcomes.values()) else ExitCode.DONE)


class _Rounds:
    """Says on standard error what became of each tenant, and counts."""

    def __init__(self) -> None:
        self.data: dict[str, JsonValue] = {
            "rounds": 0,
            "active": 0,
            "deleted": 0,
            "failed": 0,
            "errors": 0,
            "plugins": 0,
        }

    def report(self, outcome: Sequence[Reconciled] | PrismicxError) -> None:
        self._count("rounds")
        if isinstance(outcome, PrismicxError):
            self._count("errors")
            typer.echo(f"error: {printable(str(outcome))}", err=True)
            return
        for one in outcome:
            self._count(one.outcome)
            typer.echo(printable(f"{one.tenant_id}: {one.outcome} {one.reason}".rstrip()), err=True)

    def report_plugins(self, outcome: Sequence[TenantPlugin] | PrismicxError) -> None:
        if isinstance(outcome, PrismicxError):
            self._count("errors")
            typer.echo(f"error: {printable(str(outcome))}", err=True)
            return
        for one in outcome:
            self._count("plugins")
            line = f"{one.subject}: {one.status.value} {one.error_message or ''}"
            typer.echo(printable(line.rstrip()), err=True)

    def _count(self, name: str) -> None:
        before = self.data[name]
        assert isinstance(before, int), "they are numbers"
        self.data[name] = before + 1


def _reconciled(outcomes: Sequence[Reconciled], plugins: Sequence[TenantPlugin]) -> Answer:
    data: list[JsonValue] = [
        {"tenant": str(one.tenant_id), "outcome": one.outcome, "reason": one.reason or None} for one in outcomes
    ]
    data += [
        {
            "tenant": str(one.tenant_id),
            "plugin": one.plugin_name,
            "outcome": one.status.value,
            "reason": one.error_message,
        }
        for one in plugins
    ]
    rows: list[tuple[str, str, str, str]] = [(str(one.tenant_id), "", one.outcome, one.reason) for one in outcomes]
    rows += [(str(one.tenant_id), one.plugin_name, one.status.value, one.error_message or "") for one in plugins]
    failed = any(outcome == "failed" for _, _, outcome, _ in rows)
    view = table(("tenant", "plugin", "outcome", "reason"), rows, empty="Nothing was due.")
    return Answer({"reconciled": data}, view, ExitCode.REFUSED if failed else ExitCode.DONE)


def _intention(planned: Plan) -> Answer:
    contents: dict[str, int] = {name: count for step in planned.steps for name, count in step.contents.items()}
    view: RenderableType = Group(contents_table(contents), "Nothing was deleted: say --yes to delete this for good.")
    return Answer({"tenant": tenant_data(planned.tenant), "would_remove": dict(contents)}, view, ExitCode.REFUSED)


def _plan_data(planned: Plan) -> dict[str, JsonValue]:
    return {
        "tenant": tenant_data(planned.tenant),
        "due": planned.due,
        "steps": [
            {
                "name": step.name,
                "to_do": step.deed,
                "in_place": step.in_place,
                "reason": step.reason or None,
                "contents": dict(step.contents),
            }
            for step in planned.steps
        ],
    }


@contextmanager
def _set_by_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set, for the length of the block."""
    stop, loop, signals = asyncio.Event(), asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
