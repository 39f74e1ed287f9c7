"""What the audit makes of policies and places that are unusual, and sound or not."""

from __future__ import annotations

import pytest
from tests.audit.planting import CONTEXT
from tests.audit.sound import ACME, KNOWN, AuditedPostgres, audited

from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.adapters.sqlalchemy.audit import audit_connection, registered_places
from prismicx.adapters.sqlalchemy.audit.conditions import conjuncts
from prismicx.adapters.sqlalchemy.backend import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.proof_check import proof_statements
from prismicx.adapters.sqlalchemy.tenancy import require_safe_role
from prismicx.domain.errors import InvalidNameError, UnsafeRoleError
from prismicx.domain.findings import AuditScope
from prismicx.domain.identifiers import PluginType, TenantId, owner_of_place, places_of, plugin_schema_name
from prismicx.testing.databases import APPLICATION_ROLE


async def codes(connection: Connection, sql: str) -> set[str]:
    await connection.execute(sql)
    return {finding.code for finding in (await audited(connection)).findings}


# --- Policies. ---


@pytest.mark.parametrize(
    "condition",
    [
        f"{CONTEXT} = tenant_id",
        f"tenant_id = {CONTEXT} AND email <> ') AND (' AND (name IS NULL OR name <> '')",
        "false",
        f"(tenant_id)::text = {CONTEXT}",
    ],
)
async def test_a_policy_may_be_written_otherwise_and_narrowed(condition: str, superuser: Connection) -> None:
    policy = f"ALTER POLICY prismicx_tenant ON public.users USING ({condition}) WITH CHECK ({condition})"

    assert await codes(superuser, policy) == set()


async def test_a_restrictive_policy_only_takes_away(superuser: Connection) -> None:
    assert await codes(superuser, "CREATE POLICY less ON public.users AS RESTRICTIVE USING (true)") == set()


async def test_a_policy_for_each_command_is_enough(superuser: Connection) -> None:
    context = f"(tenant_id = {CONTEXT})"
    policies = (
        "DROP POLICY prismicx_tenant ON public.users;"
        f"CREATE POLICY r ON public.users FOR SELECT USING {context};"
        f"CREATE POLICY a ON public.users FOR INSERT WITH CHECK {context};"
        f"CREATE POLICY w ON public.users FOR UPDATE USING {context} WITH CHECK {context};"
        f"CREATE POLICY d ON public.users FOR DELETE USING {context};"
    )

    assert await codes(superuser, policies) == set()


@pytest.mark.parametrize(("command", "clause"), [("SELECT", "USING"), ("INSERT", "WITH CHECK")])
async def test_the_only_policy_of_a_command_is_mended_in_place(
    command: str, clause: str, superuser: Connection
) -> None:
    await superuser.execute(
        "DROP POLICY prismicx_tenant ON public.users;"
        f"CREATE POLICY one ON public.users FOR {command} {clause} (true);"
        f"REVOKE ALL ON public.users FROM {APPLICATION_ROLE}; GRANT {command} ON public.users TO {APPLICATION_ROLE}"
    )
    (finding,) = (await audited(superuser)).findings

    await superuser.execute(finding.fix[0])

    assert finding.fix[0].startswith("ALTER POLICY")
    assert (await audited(superuser)).findings == ()


async def test_tenants_may_be_numbers_and_uuids(superuser: Connection) -> None:
    for column, kind in (("bigint", "int8"), ("uuid", "uuid")):
        assert (
            await codes(
                superuser,
                f"CREATE TABLE public.{kind}_orders (tenant_id {column} NOT NULL);"
                f"ALTER TABLE public.{kind}_orders ENABLE ROW LEVEL SECURITY;"
                f"ALTER TABLE public.{kind}_orders FORCE ROW LEVEL SECURITY;"
                f"CREATE POLICY own ON public.{kind}_orders USING (tenant_id = ({CONTEXT})::{column})"
                f" WITH CHECK (tenant_id = ({CONTEXT})::{column})",
            )
            == set()
        )


async def test_where_a_proof_is_asked_for_every_policy_rests_on_it(superuser: Connection) -> None:
    for statement in proof_statements(APPLICATION_ROLE):
        await superuser.execute(statement)
    unproven = (await audited(superuser)).findings
    for finding in unproven:
        for statement in finding.fix:
            await superuser.execute(statement)

    assert {finding.code for finding in unproven} == {"POLICY_UNPROVEN"}
    assert len(unproven) == len(KNOWN)
    report = await audited(superuser)
    assert report.findings == ()
    assert "SETTING_CONTEXT" not in {finding.code for finding in report.residual}


@pytest.mark.parametrize(
    ("configured", "found"), [(None, set()), ("audited_system", set()), ("another", {"POLICY_OTHER_ROLE"})]
)
async def test_one_role_may_be_let_in_to_all_tenants(
    configured: str | None, found: set[str], superuser: Connection
) -> None:
    await superuser.execute("CREATE ROLE audited_system LOGIN")
    await superuser.execute("CREATE POLICY prismicx_system ON public.users TO audited_system USING (true)")

    scope = AuditScope(system_role=configured)
    report = await audit_connection(superuser, scope, application=APPLICATION_ROLE)

    assert {finding.code for finding in report.findings} == found


async def test_a_schema_of_nobody_is_closed_when_it_is_mended(superuser: Connection) -> None:
    await superuser.execute("CREATE SCHEMA tenant_; CREATE TABLE tenant_.things (id int)")
    (finding,) = (await audited(superuser)).findings
    for statement in finding.fix:
        await superuser.execute(statement)

    assert finding.code == "RLS_OFF"
    assert "USING (false)" in finding.fix[-1]
    assert (await audited(superuser)).findings == ()


def test_conditions_are_taken_apart_outside_of_quotes() -> None:
    text = """((a = 'it''s AND (') AND ("b AND" = 1) AND ((c) OR (d AND e)))"""

    assert list(conjuncts(text)) == ["a = 'it''s AND ('", '"b AND" = 1', "(c) OR (d AND e)"]


async def test_hostile_names_are_quoted_in_every_fix(superuser: Connection) -> None:
    table = 'public."o\'rd""ers; DROP TABLE public.users; --"'
    await superuser.execute(
        f'CREATE ROLE "g""r; oup" NOLOGIN; GRANT "g""r; oup" TO {APPLICATION_ROLE}; ALTER ROLE "g""r; oup" BYPASSRLS;'
        f'CREATE TABLE {table} (tenant_id text, "i""d" uuid, CONSTRAINT "k""ey" PRIMARY KEY ("i""d"), "a(b" text,'
        f' CONSTRAINT "p""arent" FOREIGN KEY ("i""d") REFERENCES {table} ("i""d"));'
        f'CREATE UNIQUE INDEX "u""x" ON {table} ("a(b") WHERE "a(b" <> \'(\';'
        f'CREATE POLICY "p""ol" ON {table} USING (true); ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;'
        f'CREATE RULE "r""ule" AS ON DELETE TO {table} DO INSTEAD NOTHING;'
        f'CREATE VIEW public."v""iew" AS SELECT 1; GRANT SELECT, TRUNCATE ON {table} TO "g""r; oup";'
        f'GRANT SELECT ("a(b") ON {table} TO PUBLIC; CREATE PUBLICATION "p""ub" FOR TABLE {table}'
    )
    found = (await audit_connection(superuser, AuditScope(), application=APPLICATION_ROLE)).findings
    for finding in found:
        for statement in finding.fix:
            await superuser.execute(statement)

    assert len({finding.code for finding in found}) == 13
    assert (await audit_connection(superuser, AuditScope(), application=APPLICATION_ROLE)).findings == ()
    assert await superuser.fetchval("SELECT to_regclass('public.users')") is not None


# --- What stays open. ---


async def test_what_a_superuser_can_close_is_closed_by_its_fix(superuser: Connection) -> None:
    for finding in (await audited(superuser)).residual:
        for statement in finding.fix:
            await superuser.execute(statement)

    left = {finding.code for finding in (await audited(superuser)).residual}
    assert left == {"PLANNER_STATISTICS", "SETTING_CONTEXT"}


async def test_an_empty_database_has_no_statistics_to_betray(superuser: Connection) -> None:
    await superuser.execute(
        "DROP TABLE public.users, public.accounts, public.tasks, public.categories,"
        " public.prismicx_applied_units CASCADE"
    )

    assert "PLANNER_STATISTICS" not in {finding.code for finding in (await audited(superuser)).residual}


# --- Who asks, and who is asked about. ---


async def test_the_application_may_audit_itself(sound: AuditedPostgres) -> None:
    client = DatabaseClient.from_dsn(sound.database.dsn, min_pool_size=1, max_pool_size=1)
    alone = SqlAlchemyBackend(client, ())

    assert await alone.registered_places() is None
    assert (await alone.audit(AuditScope())).findings == ()


async def test_a_role_that_nobody_has_is_refused(superuser: Connection) -> None:
    with pytest.raises(InvalidNameError):
        await audit_connection(superuser, AuditScope(), application="nobody")


async def test_the_owner_is_seen_to_be_one(superuser: Connection) -> None:
    owner = await superuser.fetchval("SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()")

    report = await audit_connection(superuser, AuditScope(), application=owner)

    assert {"ROLE_OWNS_DATABASE", "ROLE_OWNS_TABLE", "ROLE_CREATEROLE"} <= {found.code for found in report.findings}


async def test_the_short_form_refuses_a_role_that_replicates(superuser: Connection) -> None:
    await superuser.execute("CREATE ROLE audited_power NOLOGIN REPLICATION")
    await superuser.execute("SET LOCAL ROLE audited_power")

    with pytest.raises(UnsafeRoleError, match="REPLICATION"):
        await require_safe_role(superuser)


async def test_a_publication_of_what_is_nobodys_is_no_finding(superuser: Connection) -> None:
    assert (
        await codes(
            superuser,
            "CREATE SCHEMA open; CREATE TABLE open.codes (code text);"
            "CREATE PUBLICATION codes FOR TABLE open.codes; CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA open",
        )
        == set()
    )


async def test_what_touches_no_tenant_is_no_finding(superuser: Connection) -> None:
    assert (
        await codes(
            superuser,
            f"ALTER ROLE {APPLICATION_ROLE} SET statement_timeout = '5s';"
            "CREATE SEQUENCE tenant_acme_crm.numbers;"
            f"GRANT USAGE ON SEQUENCE tenant_acme_crm.numbers TO {APPLICATION_ROLE};"
            "CREATE TABLE public.codes (code text PRIMARY KEY, parent text REFERENCES public.codes);"
            "CREATE TABLE prismicx.more (code text REFERENCES public.codes);"
            "CREATE TRIGGER t AFTER INSERT ON public.codes FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger();"
            "CREATE EXTENSION citext SCHEMA public; ALTER EXTENSION citext ADD TABLE public.codes",
        )
        == set()
    )


# --- Places. ---


async def test_places_are_known_from_the_registry(superuser: Connection) -> None:
    await superuser.execute("UPDATE prismicx.tenants SET status = 'deleted' WHERE tenant_id = 'globex'")

    places = await registered_places(superuser)

    assert places is not None
    assert places[plugin_schema_name(ACME, PluginType("field_service"))] == ACME
    assert TenantId("globex") not in places.values()


def test_a_places_name_tells_its_owner_where_it_is_literal() -> None:
    tenant = TenantId("a_b-c")
    literal_places = places_of(tenant, [PluginType("crm")])

    assert {owner_of_place(name) for name in literal_places} == {tenant}
    for name in ("public", "tenant_", "tenant_crm", "tenant_A_crm", plugin_schema_name(tenant, PluginType("x_y"))):
        assert owner_of_place(name) is None
