"""The ledger of plugin migrations in memory."""

from __future__ import annotations

import pytest

from prismicx.adapters.memory import MemoryPluginSchemas
from prismicx.domain.errors import ChecksumMismatchError
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.plugins import SchemaMigration

ACME, GLOBEX, CRM = TenantId("acme"), TenantId("globex"), PluginType("crm")


def migration(version: str, script: str = "CREATE TABLE ${schema}.t (id int)") -> SchemaMigration:
    return SchemaMigration(version_to=Version(version), script=script)


async def test_it_remembers_what_was_applied_in_order() -> None:
    schemas = MemoryPluginSchemas()

    await schemas.migrate(ACME, CRM, "leads", [migration("1.0.0")], fence=1)
    await schemas.migrate(ACME, CRM, "leads", [migration("1.0.0"), migration("1.1.0")], fence=2)

    assert await schemas.applied(ACME, CRM, "leads") == ["1.0.0", "1.1.0"]
    assert await schemas.applied(ACME, CRM, "deals") == []
    assert await schemas.applied(GLOBEX, CRM, "leads") == []


async def test_a_changed_script_is_refused_and_nothing_is_recorded() -> None:
    schemas = MemoryPluginSchemas()
    await schemas.migrate(ACME, CRM, "leads", [migration("1.0.0")], fence=1)

    with pytest.raises(ChecksumMismatchError):
        await schemas.migrate(
            ACME, CRM, "leads", [migration("1.1.0"), migration("1.0.0", "DROP TABLE ${schema}.t")], fence=1
        )

    assert await schemas.applied(ACME, CRM, "leads") == ["1.0.0"]
