"""The CRM plugin of the reference service: two good versions, and one whose migration fails."""

from __future__ import annotations

from typing import Final

from prismicx.demo.mappings import CRM
from prismicx.domain.identifiers import Version
from prismicx.domain.plugins import Plugin, PluginVersion, SchemaMigration

NAME: Final = "crm-customers"

FIRST: Final = Version("1.0.0")
WITH_NOTES: Final = Version("1.1.0")
BROKEN: Final = Version("1.2.0")

_CUSTOMERS: Final = """
CREATE TABLE ${schema}.customers (
    tenant_id text COLLATE "C" NOT NULL CONSTRAINT customers_tenant_id_check CHECK (tenant_id <> ''),
    id uuid NOT NULL,
    version integer NOT NULL,
    email text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    CONSTRAINT customers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT customers_email_key UNIQUE (tenant_id, email)
);
CREATE INDEX customers_status_idx ON ${schema}.customers (tenant_id, status);
"""

_NOTES: Final = """
CREATE TABLE ${schema}.notes (
    tenant_id text COLLATE "C" NOT NULL CONSTRAINT notes_tenant_id_check CHECK (tenant_id <> ''),
    id uuid NOT NULL,
    version integer NOT NULL,
    customer_id uuid NOT NULL,
    text text COLLATE "C" NOT NULL,
    CONSTRAINT notes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT notes_customer_fkey FOREIGN KEY (tenant_id, customer_id)
        REFERENCES ${schema}.customers (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX notes_customer_idx ON ${schema}.notes (tenant_id, customer_id);
"""

_BROKEN: Final = """
ALTER TABLE ${schema}.customers ADD COLUMN rating integer;
ALTER TABLE ${schema}.customers_of_yesterday ADD COLUMN rating integer;
"""


def crm_plugin() -> Plugin:
    """Return the plugin with its two good versions."""
    plugin = Plugin.named(NAME, CRM)
    plugin.publish(
        PluginVersion(version=FIRST, features=("import", "export"), defaults={"currency": "EUR"}),
        SchemaMigration(version_to=FIRST, script=_CUSTOMERS),
    )
    plugin.publish(
        PluginVersion(version=WITH_NOTES, features=("import", "export", "notes"), defaults={"currency": "EUR"}),
        SchemaMigration(version_from=FIRST, version_to=WITH_NOTES, script=_NOTES),
    )
    return plugin


def broken_version() -> tuple[PluginVersion, SchemaMigration]:
    """Return a version whose second statement names a table that does not exist."""
    return (
        PluginVersion(version=BROKEN, features=("import", "export", "notes"), defaults={"currency": "EUR"}),
        SchemaMigration(version_from=WITH_NOTES, version_to=BROKEN, script=_BROKEN),
    )
