"""docs/audit.md has every code, and each code is planted somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.audit.planted import PLANTED
from tests.audit.planted_mongodb import PLANTED as PLANTED_IN_MONGODB

from prismicx.domain.findings import AuditReport, Finding, Severity
from prismicx.domain.holes import Hole

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
ROW = re.compile(r"^\| `([A-Z_]+)` \| (\w+) \| (.+) \|$", re.MULTILINE)

ELSEWHERE = {"USER_ADMINISTERS", "POLICY_UNPROVEN"}
"""Planted by tests of their own: they need a connection that has logged in, and a database that asks for proof."""


def test_the_page_has_every_code_with_its_severity_and_meaning() -> None:
    assert ROW.findall(PAGE) == [(hole.name, str(hole.severity), hole.meaning) for hole in Hole]


def test_every_code_is_planted() -> None:
    planted = {one.code for one in PLANTED} | {one.code for one in PLANTED_IN_MONGODB} | ELSEWHERE
    residual = {hole.name for hole in Hole if hole.severity is Severity.INFO and hole is not Hole.SEQUENCE_SHARED}

    assert planted == {hole.name for hole in Hole} - residual


def test_a_report_has_the_worst_first_and_each_finding_once() -> None:
    low = Finding(Hole.TRIGGER, "b", ("DROP TRIGGER t ON b",))
    also_low = Finding(Hole.TRIGGER, "a", (), "on a view")
    critical = Finding(Hole.RLS_OFF, "z", ())

    report = AuditReport.of([low, critical, also_low, low])

    assert report.findings == (critical, also_low, low)
    assert report.at_least(Severity.LOW) == report.findings
    assert report.at_least(Severity.MEDIUM) == (critical,)
    assert also_low.explanation == f"{Hole.TRIGGER.meaning} (on a view)"
