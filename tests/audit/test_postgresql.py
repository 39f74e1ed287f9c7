"""Every hole that is planted alone in a sound PostgreSQL database is found, named, and mended by its own fix."""

from __future__ import annotations

import pytest
from tests.audit.planted import PLANTED
from tests.audit.planting import Planted
from tests.audit.sound import AuditedPostgres, audited

from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.findings import AuditScope

ONE_OF_EACH = {one.code: one for one in PLANTED if one.since <= 15}.values()


def test_there_are_enough_holes_to_believe_it() -> None:
    assert len({planted.name for planted in PLANTED}) == len(PLANTED) >= 45


async def finds_and_mends(planted: Planted, superuser: Connection) -> None:
    await superuser.execute(planted.statements)
    found = (await audited(superuser)).findings
    for finding in found:
        for statement in finding.fix:
            await superuser.execute(statement)

    assert {finding.code for finding in found} == {planted.code} | planted.others
    assert all(finding.fix for finding in found)
    assert (await audited(superuser)).findings == ()


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
async def test_a_planted_hole_is_found_and_its_fix_mends_it(planted: Planted, superuser: Connection) -> None:
    await finds_and_mends(planted, superuser)


@pytest.mark.parametrize("planted", ONE_OF_EACH, ids=lambda planted: planted.name)
async def test_it_is_on_postgresql_15_too(planted: Planted, superuser15: Connection) -> None:
    await finds_and_mends(planted, superuser15)


async def test_nothing_is_found_in_what_prismicx_makes(sound: AuditedPostgres, sound15: AuditedPostgres) -> None:
    for made in (sound, sound15):
        places = await made.backend.registered_places()
        for scope in (AuditScope(), AuditScope(places=places)):
            report = await made.backend.audit(scope)

            assert report.findings == ()
