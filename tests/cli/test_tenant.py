"""`prismicx tenant …` on real servers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

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
    assert created_at.utcoffset() is not None
    assert all(set(step) == {"name", "status", "attempts", "error"} for step in steps)
    assert tenant == {
        "id": "acme",
        "name": "Acme Ltd",
        "status": "active",
        "region": "default",
        "tier": "standard",
        "plugin_types": ["crm"],
        "database": {"type": "shared", "connection": "default", "name": "tenant_acme_db"},
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


@pytest.mark.parametrize("registry", ["postgres", "mongo"])
def test_resume_goes_on_with_a_place_that_is_not_finished(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from prismicx.adapters.beanie.provisioning import TenantDatabaseStep

    async def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(TenantDatabaseStep, "ensure", fail)
        failed = platform("tenant", "create", "Acme Ltd", "--id", "acme")
    shown = platform.data("tenant", "show", "acme")["tenant"]

    assert failed.exit_code == 1
    assert "the disk is full" in failed.stderr
    assert shown["status"] == "provisioning"
    assert "the disk is full" in shown["failure"]
    assert "the disk is full" in platform("tenant", "show", "acme").stdout
    assert platform.data("tenant", "resume", "acme")["tenant"]["status"] == "active"


def test_a_tenant_that_does_not_exist_is_refused(platform: Any) -> None:
    for verb in ("show", "suspend", "resume"):
        assert platform.data("tenant", verb, "nobody", exit_code=1)["error"] == {
            "code": "tenant_not_found",
            "message": "there is no tenant nobody",
        }
