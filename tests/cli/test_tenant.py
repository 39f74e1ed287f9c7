"""`prismicx tenant …` on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from prismicx.application.provisioning import TenantProvisioning
from prismicx.application.reconciling import Reconciled, TenantReconciler
from prismicx.domain.errors import DatabaseUnavailableError, PrismicxError
from prismicx.domain.identifiers import TenantId


def created(platform: Any, *options: str) -> dict[str, Any]:
    tenant: dict[str, Any] = platform.data("tenant", "create", "Acme Ltd", "--id", "acme", *options)["tenant"]
    return tenant


@pytest.mark.parametrize("registry", ["postgres", "mongo"])
def test_a_tenant_is_created_listed_shown_suspended_and_resumed(platform: Any) -> None:
    tenant = created(platform, "--region", "eu-central-1", "--tier", "gold")

    assert tenant["id"] == "acme"
    assert tenant["status"] == "active"
    assert {step["status"] for step in tenant["steps"]} == {"done"}
    assert platform.data("tenant", "list") == {"tenants": [tenant]}
    assert platform.data("tenant", "show", "acme") == {"tenant": tenant}
    assert platform.data("tenant", "suspend", "acme")["tenant"] == tenant | {"status": "suspended"}
    assert platform.data("tenant", "list", "--status", "active") == {"tenants": []}
    assert platform.data("tenant", "resume", "acme")["tenant"] == tenant


def test_the_answer_has_a_stable_shape(platform: Any) -> None:
    tenant = created(platform, "--plugin-type", "crm")

    created_at, steps = datetime.fromisoformat(tenant.pop("created_at")), tenant.pop("steps")
    operation = tenant.pop("operation")
    for moment in (created_at, *(datetime.fromisoformat(operation.pop(name)) for name in ("begun_at", "ended_at"))):
        assert moment.utcoffset() is not None
    assert UUID(operation.pop("id")).version == 7
    assert operation == {"kind": "provisioning", "failures": 0, "due_at": None, "lease": None, "fence": 1}
    assert all(set(step) == {"name", "status", "attempts", "error"} for step in steps)
    assert tenant == {
        "id": "acme",
        "name": "Acme Ltd",
        "status": "active",
        "region": "default",
        "tier": "standard",
        "plugin_types": ["crm"],
        "database": {"type": "shared", "connection": "default", "name": "tenant_acme_db"},
        "receipt": None,
        "failure": None,
    }


def test_people_get_tables(platform: Any) -> None:
    assert "There are no tenants." in platform("tenant", "list").stdout

    made = platform("tenant", "create", "Acme [bold]Ltd")

    assert made.exit_code == 0
    assert "Acme [bold]Ltd" in made.stdout
    assert "active" in made.stdout
    assert "tenant-" in platform("tenant", "list").stdout


def test_a_new_id_is_made_where_none_is_given(platform: Any) -> None:
    first = platform.data("tenant", "create", "First")["tenant"]["id"]
    second = platform.data("tenant", "create", "Second")["tenant"]["id"]

    assert TenantId(first) != TenantId(second)


def test_the_same_id_is_refused_the_second_time(platform: Any) -> None:
    created(platform)

    refused = platform.data("tenant", "create", "Other", "--id", "acme", exit_code=1)

    assert refused["error"]["code"] == "duplicate_entity"


def fail_to_create(platform: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from prismicx.adapters.beanie.provisioning import TenantDatabaseStep

    async def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(TenantDatabaseStep, "ensure", fail)
        return platform("tenant", "create", "Acme Ltd", "--id", "acme", "--plugin-type", "crm")


@pytest.mark.parametrize("registry", ["postgres", "mongo"])
def test_retry_goes_on_with_a_place_that_is_not_finished(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = fail_to_create(platform, monkeypatch)
    shown = platform.data("tenant", "show", "acme")["tenant"]

    assert failed.exit_code == 1
    assert "the disk is full" in failed.stderr
    assert shown["status"] == "provisioning"
    assert "the disk is full" in shown["failure"]
    assert (shown["operation"]["failures"], shown["operation"]["lease"]) == (1, None)
    assert shown["operation"]["due_at"] > shown["operation"]["begun_at"]
    people = platform("tenant", "show", "acme").stdout
    assert "the disk is full" in people
    assert "tried again" in people
    assert platform.data("tenant", "retry", "acme")["tenant"]["status"] == "active"


def test_the_plan_shows_what_is_missing_and_changes_nothing(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_create(platform, monkeypatch)
    before = platform.data("tenant", "show", "acme")

    planned = platform.data("tenant", "plan", "acme")

    deeds = {step["name"]: (step["to_do"], step["in_place"]) for step in planned["steps"]}
    assert deeds["postgresql.tenant_database"] == ("none", True)
    assert deeds["mongodb.tenant_database"] == ("ensure", False)
    assert planned["due"] is False
    assert "mongodb.tenant_database" in platform("tenant", "plan", "acme").stdout
    assert platform.data("tenant", "show", "acme") == before


def test_an_aborted_provisioning_is_taken_back(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_create(platform, monkeypatch)

    aborted = platform.data("tenant", "abort", "acme")["tenant"]

    assert (aborted["status"], aborted["operation"]["kind"]) == ("deleted", "deletion")
    assert aborted["receipt"]["operation"] == aborted["operation"]["id"]


def test_a_deletion_is_meant(platform: Any) -> None:
    created(platform, "--plugin-type", "crm")

    asked = platform.data("tenant", "delete", "acme", exit_code=1)

    assert asked["tenant"]["status"] == "active"
    assert isinstance(asked["would_remove"], dict)
    assert "say --yes" in platform("tenant", "delete", "acme").stdout
    deleted = platform.data("tenant", "delete", "acme", "--yes")["tenant"]
    assert deleted["status"] == "deleted"
    assert deleted["receipt"]["removed"]["registry.tenant_plugins"] == 0
    assert "registry.tenant_plugins" in platform("tenant", "show", "acme").stdout
    assert platform.data("tenant", "create", "Acme", "--id", "acme", exit_code=1)["error"]["code"] == "duplicate_entity"


# --- Reconciling. ---


def an_hour_from_now() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_what_is_due_is_reconciled(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_create(platform, monkeypatch)
    assert platform.data("tenant", "reconcile") == {"reconciled": []}
    assert "Nothing was due." in platform("tenant", "reconcile").stdout
    monkeypatch.setattr(TenantProvisioning.__init__, "__kwdefaults__", _with_clock(an_hour_from_now))

    assert platform.data("tenant", "reconcile") == {
        "reconciled": [{"tenant": "acme", "outcome": "active", "reason": None}]
    }


def test_a_failure_while_reconciling_is_an_exit_code(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_create(platform, monkeypatch)
    monkeypatch.setattr(TenantProvisioning.__init__, "__kwdefaults__", _with_clock(an_hour_from_now))

    async def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("prismicx.adapters.beanie.provisioning.TenantDatabaseStep.ensure", fail)

    (outcome,) = platform.data("tenant", "reconcile", exit_code=1)["reconciled"]
    assert (outcome["outcome"], outcome["reason"]) == ("failed", "the disk is full")
    monkeypatch.setattr(
        TenantProvisioning.__init__, "__kwdefaults__", _with_clock(lambda: an_hour_from_now() + timedelta(hours=1))
    )
    taken_back = platform.data("tenant", "reconcile", "--give-up-after", "2")
    assert taken_back["reconciled"] == [{"tenant": "acme", "outcome": "deleted", "reason": None}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_watching_ends_with_a_signal(platform: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    rounds: list[Sequence[Reconciled] | PrismicxError] = [
        [Reconciled(TenantId("acme"), "active"), Reconciled(TenantId("globex"), "failed", "the disk is full")],
        DatabaseUnavailableError("db:5432", "is it running?"),
    ]

    async def watch(
        self: TenantReconciler, *, stop: asyncio.Event, report: Callable[[object], None], **_: object
    ) -> None:
        for outcome in rounds:
            report(outcome)
        os.kill(os.getpid(), number)
        await stop.wait()

    monkeypatch.setattr(TenantReconciler, "watch", watch)

    result = platform("tenant", "reconcile", "--watch", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"rounds": 2, "active": 1, "deleted": 0, "failed": 1, "errors": 1, "plugins": 0}
    assert "acme: active\nglobex: failed the disk is full\nerror: no database answers at db:5432" in result.stderr


def _with_clock(clock: Callable[[], datetime]) -> dict[str, object]:
    """Return what the service is made with where nothing else is said, with this clock."""
    return {**(TenantProvisioning.__init__.__kwdefaults__ or {}), "clock": clock}


def test_a_tenant_that_does_not_exist_is_refused(platform: Any) -> None:
    for verb in ("show", "suspend", "resume", "retry", "plan", "abort"):
        assert platform.data("tenant", verb, "nobody", exit_code=1)["error"] == {
            "code": "tenant_not_found",
            "message": "there is no tenant nobody",
        }
