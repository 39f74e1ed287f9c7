"""Every hole that tests plant in a sound PostgreSQL database."""

from __future__ import annotations

from tests.audit.planted_rights import DATABASE, GRANTS, OBJECTS, ROLES
from tests.audit.planted_tables import KEYS, POLICIES, TABLES

PLANTED = (*TABLES, *POLICIES, *ROLES, *GRANTS, *OBJECTS, *KEYS, *DATABASE)
