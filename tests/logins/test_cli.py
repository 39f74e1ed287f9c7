"""Tenants' MongoDB users from the command line and by settings."""

from __future__ import annotations

from tests.cli.conftest import Program
from tests.logins.platform import KEY, NEXT_KEY


def test_users_are_made_with_a_tenant_and_renewed_for_another_key(guarded: str) -> None:
    settings = {"PRISMICX_MONGO_URI": guarded, "PRISMICX_MONGO_DATABASE": "from_cli"}
    before = Program({**settings, "PRISMICX_MONGO_USER_KEYS": KEY})
    between = Program({**settings, "PRISMICX_MONGO_USER_KEYS": f"{NEXT_KEY},{KEY}"})
    assert before("db", "init").exit_code == 0
    created = before.data("tenant", "create", "Pied Piper", "--id", "piper")["tenant"]

    renewed = between.data("tenant", "renew-logins")
    refused = Program(settings)("tenant", "renew-logins")
    deleted = between.data("tenant", "delete", "piper", "--yes")["tenant"]

    assert [step["name"] for step in created["steps"]][-1] == "mongodb.tenant_login"
    assert renewed == {"renewed": [{"tenant": "piper", "outcome": "renewed", "reason": None}]}
    assert sum("user tenant_piper." in name for name in deleted["receipt"]["removed"]) == 2
    assert refused.exit_code == 2
    assert "PRISMICX_MONGO_USER_KEYS" in refused.stderr
