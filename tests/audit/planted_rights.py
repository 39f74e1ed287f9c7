"""Holes in roles, rights and what is around tables: what a careless or hostile hand would write, each alone."""

from __future__ import annotations

from tests.audit.planting import Planted

DEFINER = "LANGUAGE sql SECURITY DEFINER"
FIXED = "SET search_path = pg_catalog"
TRIGGER = "RETURNS trigger LANGUAGE plpgsql SECURITY {} SET search_path = pg_catalog AS 'BEGIN RETURN NEW; END'"
GROUP = "CREATE ROLE {role} {attributes}; GRANT {role} TO app_role"

ROLES = (
    Planted("a superuser", "ALTER ROLE app_role SUPERUSER", "ROLE_SUPERUSER"),
    Planted("BYPASSRLS", "ALTER ROLE app_role BYPASSRLS", "ROLE_BYPASSRLS"),
    Planted("CREATEROLE", "ALTER ROLE app_role CREATEROLE", "ROLE_CREATEROLE"),
    Planted("CREATEDB", "ALTER ROLE app_role CREATEDB", "ROLE_CREATEDB"),
    Planted("REPLICATION", "ALTER ROLE app_role REPLICATION", "ROLE_REPLICATION"),
    Planted("a member of the owner", "GRANT owner_role TO app_role", "ROLE_MEMBER"),
    Planted(
        "one that can SET ROLE to the owner, and inherits nothing",
        "GRANT owner_role TO app_role WITH INHERIT FALSE, SET TRUE",
        "ROLE_MEMBER",
        since=16,
    ),
    Planted(
        "one that administers the owner",
        "GRANT owner_role TO app_role WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        "ROLE_MEMBER",
        since=16,
    ),
    Planted(
        "a member of one with BYPASSRLS", GROUP.format(role="audited_power", attributes="BYPASSRLS"), "ROLE_MEMBER"
    ),
    Planted(
        "a member of a member",
        GROUP.format(role="audited_group", attributes="NOLOGIN") + "; CREATE ROLE audited_power SUPERUSER;"
        "GRANT audited_power TO audited_group",
        "ROLE_MEMBER",
    ),
    Planted(
        "one that can become the system's role",
        GROUP.format(role="audited_system", attributes="LOGIN")
        + "; CREATE POLICY prismicx_system ON public.users TO audited_system USING (true) WITH CHECK (true)",
        "ROLE_MEMBER",
    ),
    Planted("one that reads everything", "GRANT pg_read_all_data TO app_role", "ROLE_PREDEFINED"),
    Planted("one that signals everybody", "GRANT pg_signal_backend TO app_role", "ROLE_PREDEFINED"),
    Planted("the owner of a table", "ALTER TABLE public.users OWNER TO app_role", "ROLE_OWNS_TABLE"),
    Planted(
        "the owner of a view",
        "CREATE VIEW public.everybody WITH (security_invoker = true) AS SELECT email FROM public.users;"
        "ALTER VIEW public.everybody OWNER TO app_role",
        "ROLE_OWNS_VIEW",
    ),
    Planted(
        "the owner of a materialized view",
        "CREATE MATERIALIZED VIEW public.everybody AS SELECT email FROM public.users;"
        "ALTER MATERIALIZED VIEW public.everybody OWNER TO app_role",
        "ROLE_OWNS_VIEW",
    ),
    Planted(
        "the owner of a function",
        "CREATE FUNCTION public.f(a text, b int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "ALTER FUNCTION public.f(text, int[]) OWNER TO app_role",
        "ROLE_OWNS_FUNCTION",
    ),
    Planted("the owner of a schema", "CREATE SCHEMA mine AUTHORIZATION app_role", "ROLE_OWNS_SCHEMA"),
    Planted(
        "the owner of the database",
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO app_role', current_database()); END$$",
        "ROLE_OWNS_DATABASE",
    ),
    Planted(
        "a schema's role that can log in",
        "DO $$BEGIN EXECUTE format('ALTER ROLE %I LOGIN', (SELECT nspowner::regrole::name FROM pg_namespace"
        " WHERE nspname = 'tenant_acme_crm')); END$$",
        "SCHEMA_ROLE_LOGIN",
    ),
    Planted(
        "a schema's role that reaches another schema",
        "DO $$BEGIN EXECUTE format('GRANT %I TO %I',"
        " (SELECT nspowner::regrole::name FROM pg_namespace WHERE nspname = 'tenant_globex_crm'),"
        " (SELECT nspowner::regrole::name FROM pg_namespace WHERE nspname = 'tenant_acme_crm')); END$$",
        "SCHEMA_ROLE_POWER",
    ),
    Planted(
        "a schema's role that is a superuser",
        "DO $$BEGIN EXECUTE format('ALTER ROLE %I SUPERUSER', (SELECT nspowner::regrole::name FROM pg_namespace"
        " WHERE nspname = 'tenant_acme_crm')); END$$",
        "SCHEMA_ROLE_POWER",
    ),
    Planted(
        "a schema's role that makes roles",
        "DO $$BEGIN EXECUTE format('ALTER ROLE %I CREATEROLE', (SELECT nspowner::regrole::name FROM pg_namespace"
        " WHERE nspname = 'tenant_acme_crm')); END$$",
        "SCHEMA_ROLE_POWER",
    ),
)

GRANTS = (
    Planted("TRUNCATE", "GRANT TRUNCATE ON public.users TO app_role", "GRANT_TRUNCATE"),
    Planted("TRUNCATE in a tenant's schema", "GRANT TRUNCATE ON tenant_acme_crm.notes TO app_role", "GRANT_TRUNCATE"),
    Planted("TRUNCATE for everybody", "GRANT TRUNCATE ON public.users TO PUBLIC", "GRANT_TRUNCATE"),
    Planted(
        "TRUNCATE for a group",
        GROUP.format(role="audited_group", attributes="NOLOGIN") + "; GRANT TRUNCATE ON public.users TO audited_group",
        "GRANT_TRUNCATE",
    ),
    Planted("REFERENCES", "GRANT REFERENCES ON public.users TO app_role", "GRANT_REFERENCES"),
    Planted("TRIGGER", "GRANT TRIGGER ON public.users TO app_role", "GRANT_TRIGGER"),
    Planted("MAINTAIN", "GRANT MAINTAIN ON public.users TO app_role", "GRANT_MAINTAIN", since=17),
    Planted("reading for everybody", "GRANT SELECT ON public.users TO PUBLIC", "GRANT_PUBLIC"),
    Planted("a column", "GRANT REFERENCES (email) ON public.users TO app_role", "GRANT_COLUMN"),
    Planted("a column for everybody", "GRANT SELECT (email) ON public.users TO PUBLIC", "GRANT_COLUMN"),
    Planted("a grant option", "GRANT SELECT ON public.users TO app_role WITH GRANT OPTION", "GRANT_OPTION"),
    Planted(
        "rights on tables to come",
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner_role IN SCHEMA public GRANT SELECT ON TABLES TO app_role",
        "GRANT_DEFAULT",
    ),
    Planted(
        "rights on tables to come, everywhere",
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner_role GRANT ALL ON TABLES TO PUBLIC",
        "GRANT_DEFAULT",
    ),
    Planted(
        "a sequence that can be set back",
        "CREATE SEQUENCE tenant_acme_crm.numbers; GRANT UPDATE ON SEQUENCE tenant_acme_crm.numbers TO app_role",
        "SEQUENCE_UPDATE",
    ),
    Planted(
        "a sequence that tenants share",
        "CREATE SEQUENCE public.numbers; GRANT USAGE ON SEQUENCE public.numbers TO app_role",
        "SEQUENCE_SHARED",
    ),
    Planted("making objects in public", "GRANT CREATE ON SCHEMA public TO PUBLIC", "SCHEMA_CREATE"),
    Planted(
        "making objects in a tenant's schema", "GRANT CREATE ON SCHEMA tenant_acme_crm TO app_role", "SCHEMA_CREATE"
    ),
    Planted("a tenant's schema for everybody", "GRANT USAGE ON SCHEMA tenant_acme_crm TO PUBLIC", "SCHEMA_PUBLIC"),
    Planted(
        "making schemas",
        "DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO app_role', current_database()); END$$",
        "DATABASE_CREATE",
    ),
    Planted(
        "temporary tables",
        "DO $$BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END$$",
        "DATABASE_TEMP",
    ),
    Planted("a superuser's setting", "GRANT SET ON PARAMETER session_replication_role TO app_role", "PARAMETER_SET"),
    Planted(
        "a foreign server",
        "CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;"
        "GRANT USAGE ON FOREIGN SERVER far TO app_role",
        "FOREIGN_SERVER",
    ),
    Planted(
        "making foreign servers",
        "CREATE FOREIGN DATA WRAPPER elsewhere; GRANT USAGE ON FOREIGN DATA WRAPPER elsewhere TO PUBLIC",
        "FOREIGN_SERVER",
    ),
    Planted(
        "a large object for everybody",
        "SELECT lo_from_bytea(77001, 'secret'); GRANT SELECT ON LARGE OBJECT 77001 TO PUBLIC",
        "LARGE_OBJECT",
    ),
    Planted(
        "a large object of the application's",
        "SELECT lo_from_bytea(77001, 'secret'); ALTER LARGE OBJECT 77001 OWNER TO app_role",
        "LARGE_OBJECT",
    ),
)

OBJECTS = (
    Planted("a view", "CREATE VIEW public.everybody AS SELECT email FROM public.users", "VIEW_NOT_INVOKER"),
    Planted(
        "a view in a tenant's schema",
        "CREATE VIEW tenant_acme_crm.everybody WITH (security_barrier) AS"
        " SELECT email FROM tenant_globex_crm.customers",
        "VIEW_NOT_INVOKER",
    ),
    Planted(
        "a materialized view",
        "CREATE MATERIALIZED VIEW public.everybody AS SELECT email FROM public.users;"
        "GRANT SELECT ON public.everybody TO app_role",
        "MATVIEW_REACHABLE",
    ),
    Planted(
        "a SECURITY DEFINER function",
        f"CREATE FUNCTION public.all_users() RETURNS bigint {DEFINER} {FIXED} AS 'SELECT count(*) FROM public.users'",
        "SECDEF_FUNCTION",
    ),
    Planted(
        "a SECURITY DEFINER procedure",
        f"CREATE PROCEDURE public.purge(older_than int) {DEFINER} {FIXED} AS 'DELETE FROM public.users';"
        "REVOKE EXECUTE ON PROCEDURE public.purge(int) FROM PUBLIC;"
        "GRANT EXECUTE ON PROCEDURE public.purge(int) TO app_role",
        "SECDEF_FUNCTION",
    ),
    Planted(
        "a SECURITY DEFINER function without search_path",
        f"CREATE FUNCTION public.all_users() RETURNS bigint {DEFINER} AS 'SELECT 1::bigint';"
        "REVOKE EXECUTE ON FUNCTION public.all_users() FROM PUBLIC",
        "SECDEF_SEARCH_PATH",
    ),
    Planted(
        "a LEAKPROOF function",
        "CREATE FUNCTION public.peek(text) RETURNS boolean LEAKPROOF COST 0.0001"
        " LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
        "LEAKPROOF_FUNCTION",
    ),
    Planted(
        "a trigger with its owner's rights",
        f"CREATE FUNCTION public.note() {TRIGGER.format('DEFINER')};"
        "CREATE TRIGGER note AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION public.note()",
        "TRIGGER_DEFINER",
    ),
    Planted(
        "a trigger",
        f"CREATE FUNCTION public.note() {TRIGGER.format('INVOKER')};"
        "CREATE TRIGGER note AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION public.note()",
        "TRIGGER",
    ),
    Planted("a rule", "CREATE RULE quiet AS ON DELETE TO public.users DO INSTEAD NOTHING", "RULE"),
    Planted("an extension that connects", "CREATE EXTENSION dblink SCHEMA public", "EXTENSION"),
    Planted("an extension that reads files", "CREATE EXTENSION file_fdw SCHEMA public", "EXTENSION"),
)

DATABASE = (
    Planted("a tenant of the role's", "ALTER ROLE app_role SET app.current_tenant_id = 'acme'", "DEFAULT_CONTEXT"),
    Planted(
        "a tenant of the database's",
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET app.current_tenant_id = %L',"
        " current_database(), 'a=b'); END$$",
        "DEFAULT_CONTEXT",
    ),
    Planted(
        "a tenant of the role's in the database",
        "DO $$BEGIN EXECUTE format('ALTER ROLE app_role IN DATABASE %I SET app.current_tenant_id = %L',"
        " current_database(), 'acme'); END$$",
        "DEFAULT_CONTEXT",
    ),
    Planted(
        "a tenant's search_path", "ALTER ROLE app_role SET search_path = tenant_acme_crm, public", "DEFAULT_SEARCH_PATH"
    ),
    Planted("another role from the start", "ALTER ROLE app_role SET role = 'owner_role'", "DEFAULT_SETTING"),
    Planted(
        "no foreign keys for anybody", "ALTER ROLE ALL SET session_replication_role = 'replica'", "DEFAULT_SETTING"
    ),
    Planted("a publication of everything", "CREATE PUBLICATION everything FOR ALL TABLES", "PUBLICATION_ALL_TABLES"),
    Planted("a publication of a table", "CREATE PUBLICATION part FOR TABLE public.users", "PUBLICATION_TABLE"),
    Planted(
        "a publication of a schema", "CREATE PUBLICATION part FOR TABLES IN SCHEMA tenant_acme_crm", "PUBLICATION_TABLE"
    ),
)
