"""`prismicx outbox …` on real servers: what the registry records is delivered, listed and asked for again."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

PUBLISHERS = """
from prismicx.adapters.publishers import CallablePublisher

def refusing(settings):
    async def refuse(events):
        raise ValueError(f"nobody wants {events[0].name}")
    return CallablePublisher(refuse)

async def ignore(events):
    pass

ignoring = CallablePublisher(ignore)
something = 7
"""


@pytest.fixture
def storing(servers: Any) -> Any:
    """Both databases with an outbox, and a tenant, of which the registry's aggregates have recorded two events."""
    program = replace(servers, environment={**servers.environment, "PRISMICX_OUTBOX": "true"})
    assert program("db", "init").exit_code == 0
    assert program("tenant", "create", "Acme Ltd", "--id", "acme").exit_code == 0
    return program


@pytest.fixture
def publishers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "publishing.py").write_text(PUBLISHERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("registry", ["postgres", "mongo"])
def test_recorded_events_are_listed_and_delivered(storing: Any) -> None:
    events = storing.data("outbox", "list", "--pending")["events"]

    assert [event["name"] for event in events][-1] == "TenantActivated"
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert {(event["tenant"], event["status"], event["attempts"]) for event in events} == {(None, "pending", 0)}
    assert "(registry)" in storing("outbox", "list").stdout
    assert storing.data("outbox", "list", "--tenant", "acme") == {"events": []}
    assert storing.data("outbox", "run", "--publisher", "log", "--once") == {"delivered": len(events)}
    assert "The outbox is empty." in storing("outbox", "list").stdout


@pytest.mark.usefixtures("publishers")
def test_a_dead_event_is_listed_with_its_reason_and_asked_for_again(storing: Any) -> None:
    refused = ("outbox", "run", "--publisher", "publishing:refusing", "--once", "--tries", "1", "--batch", "1")
    assert storing.data(*refused) == {"delivered": 0}

    (dead,) = storing.data("outbox", "list", "--dead")["events"]
    assert (dead["attempts"], dead["reason"]) == (1, f"nobody wants {dead['name']}")
    assert storing.data("outbox", "run", "--publisher", "publishing:ignoring", "--once") == {"delivered": 0}
    assert storing.data("outbox", "retry", "--tenant", "acme") == {"retried": 0}
    assert storing.data("outbox", "retry", dead["id"]) == {"retried": 1}
    assert storing.data("outbox", "run", "--publisher", "publishing:ignoring", "--once")["delivered"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_relay(storing: Any, number: signal.Signals) -> None:
    def stop_once_it_is_empty() -> None:
        os.kill(os.getpid(), number)

    timer = threading.Timer(1.0, stop_once_it_is_empty)
    timer.start()

    assert storing.data("outbox", "run", "--publisher", "log", "--interval", "0.05") == {"stopped": True}
    assert storing.data("outbox", "list") == {"events": []}


@pytest.mark.usefixtures("publishers")
def test_wrong_usage_is_said(storing: Any, platform: Any) -> None:
    for arguments in (
        ("outbox", "list", "--dead", "--pending"),
        ("outbox", "retry"),
        ("outbox", "retry", "01890a5d-ac96-774b-bcce-b302099a8057", "--tenant", "acme"),
        ("outbox", "run", "--publisher", "publishing:something"),
        ("outbox", "run", "--publisher", "publishing:nothing"),
        ("outbox", "run", "--publisher", "nowhere:publisher"),
    ):
        assert storing(*arguments).exit_code == 2, arguments

    without = platform("outbox", "list")
    assert without.exit_code == 1
    assert "PRISMICX_OUTBOX" in without.stderr


def test_the_statements_of_the_outbox_are_shown(storing: Any) -> None:
    shown = storing("db", "init", "--dry-run").stdout

    assert "CREATE TABLE IF NOT EXISTS prismicx.outbox " in shown
    assert "collection prismicx_outbox_heads" in shown
