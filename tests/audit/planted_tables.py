"""Holes in tables, their policies and their keys: what a careless or hostile hand would write, each alone."""

from __future__ import annotations

from tests.audit.planting import CONTEXT, SHARED, WALL, Planted

POLICY = "prismicx_tenant ON public.users"


def _using(condition: str) -> str:
    return f"ALTER POLICY {POLICY} USING ({condition}) WITH CHECK ({condition})"


def _extra(condition: str, *, of: str = "FOR SELECT") -> str:
    return f"CREATE POLICY extra ON public.users {of} USING ({condition})"


TABLES = (
    Planted("row security off", "ALTER TABLE public.users DISABLE ROW LEVEL SECURITY", "RLS_OFF"),
    Planted(
        "row security off in a tenant's schema",
        "ALTER TABLE tenant_acme_crm.notes DISABLE ROW LEVEL SECURITY",
        "RLS_OFF",
    ),
    Planted("a new table without walls", f"{SHARED})", "RLS_OFF"),
    Planted("a new table in a tenant's schema", "CREATE TABLE tenant_acme_crm.drafts (id int)", "RLS_OFF"),
    Planted(
        "a new table of numbered tenants", "CREATE TABLE public.orders (tenant_id bigint NOT NULL, id int)", "RLS_OFF"
    ),
    Planted("row security not forced", "ALTER TABLE public.users NO FORCE ROW LEVEL SECURITY", "RLS_NOT_FORCED"),
    Planted(
        "a partition without row security",
        f"{SHARED}) PARTITION BY HASH (tenant_id); {WALL}"
        "CREATE TABLE public.orders_0 PARTITION OF public.orders FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "CHILD_RLS_OFF",
    ),
    Planted(
        "a child without row security", "CREATE TABLE public.old_users () INHERITS (public.users)", "CHILD_RLS_OFF"
    ),
    Planted(
        "a nullable tenant",
        f"{SHARED}); {WALL} ALTER TABLE public.orders ALTER tenant_id DROP NOT NULL",
        "TENANT_NULLABLE",
    ),
    Planted(
        "a tenant that may be empty",
        f"CREATE TABLE public.orders (tenant_id varchar(40) NOT NULL, id uuid); {WALL}",
        "TENANT_EMPTY_ALLOWED",
    ),
    Planted(
        "a tenant in any case of letters",
        "CREATE EXTENSION citext SCHEMA public; CREATE TABLE public.orders"
        f" (tenant_id public.citext NOT NULL CHECK (tenant_id <> ''), id uuid); {WALL}",
        "TENANT_COLLATION",
    ),
    Planted(
        "a table that the configuration does not know",
        f"{SHARED}); {WALL} GRANT SELECT, INSERT, UPDATE, DELETE ON public.orders TO app_role",
        "TABLE_UNKNOWN",
    ),
    Planted(
        "a table without a tenant",
        "CREATE TABLE public.countries (code text); GRANT SELECT ON public.countries TO PUBLIC",
        "TABLE_NO_TENANT",
    ),
    Planted(
        "a foreign table",
        "CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;"
        "CREATE FOREIGN TABLE public.orders (tenant_id text) SERVER far; GRANT SELECT ON public.orders TO app_role",
        "FOREIGN_TABLE",
    ),
    Planted("the registry within reach", "GRANT SELECT ON prismicx.tenants TO app_role", "REGISTRY_REACHABLE"),
)

POLICIES = (
    Planted("no policy", f"DROP POLICY {POLICY}", "POLICY_MISSING"),
    Planted(
        "no policy in a tenant's schema",
        "DROP POLICY prismicx_tenant ON tenant_acme_crm.prismicx_migrations",
        "POLICY_MISSING",
    ),
    Planted(
        "a policy for reading only",
        f"DROP POLICY {POLICY}; CREATE POLICY reading ON public.users FOR SELECT USING (tenant_id = {CONTEXT})",
        "POLICY_COMMANDS",
    ),
    Planted("a policy for another role", f"ALTER POLICY {POLICY} TO owner_role", "POLICY_ROLES"),
    Planted("a policy that is true", _using("true"), "POLICY_TRUE"),
    Planted("a further policy that is true", _extra("true"), "POLICY_TRUE"),
    Planted("a further policy for deleting", _extra("true", of="FOR DELETE"), "POLICY_TRUE"),
    Planted(
        "a further policy for members",
        _extra("email = 'public'"),
        "POLICY_PERMISSIVE_EXTRA",
    ),
    Planted(
        "an IMMUTABLE helper",
        f"CREATE FUNCTION public.mine() RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT {CONTEXT}$$;"
        + _using("tenant_id = public.mine()"),
        "POLICY_IMMUTABLE_FUNCTION",
    ),
    Planted(
        "a STABLE helper",
        f"CREATE FUNCTION public.mine() RETURNS text STABLE LANGUAGE sql AS $$SELECT {CONTEXT}$$;"
        + _using("tenant_id = public.mine()"),
        "POLICY_FUNCTION",
    ),
    Planted(
        "a setting for administrators",
        _using(f"tenant_id = {CONTEXT} OR current_setting('app.is_admin', true) = 'on'"),
        "POLICY_OTHER_SETTING",
    ),
    Planted(
        "another setting", _using("tenant_id = NULLIF(current_setting('app.tenant', true), '')"), "POLICY_OTHER_SETTING"
    ),
    Planted("COALESCE", _using(f"tenant_id = COALESCE({CONTEXT}, tenant_id)"), "POLICY_COALESCE"),
    Planted("a sub-select", _using(f"tenant_id = (SELECT {CONTEXT})"), "POLICY_SUBSELECT"),
    Planted("an OR", _using(f"tenant_id = {CONTEXT} OR email = 'x AND (y'"), "POLICY_OR"),
    Planted("a pattern", _using(f"tenant_id LIKE {CONTEXT}"), "POLICY_PATTERN"),
    Planted("no NULLIF", _using("tenant_id = current_setting('app.current_tenant_id', true)"), "POLICY_EMPTY_CONTEXT"),
    Planted("a shared table for one tenant", _using(f"{CONTEXT} = 'acme'"), "POLICY_CONSTANT"),
    Planted(
        "a tenant's table for another tenant",
        f"ALTER POLICY prismicx_tenant ON tenant_acme_crm.prismicx_migrations USING ({CONTEXT} = 'globex')"
        f" WITH CHECK ({CONTEXT} = 'globex')",
        "POLICY_OTHER_TENANT",
    ),
    Planted("a policy without the tenant", _using("id IS NOT NULL"), "POLICY_NOT_TENANT"),
    Planted(
        "a policy of the system's for everybody",
        "CREATE POLICY prismicx_system ON public.users USING (true) WITH CHECK (true)",
        "POLICY_TRUE",
    ),
    Planted(
        "a policy that opens everything to a report",
        "CREATE POLICY report ON public.users FOR SELECT TO owner_role USING (true)",
        "POLICY_OTHER_ROLE",
    ),
    Planted(
        "no WITH CHECK",
        f"DROP POLICY {POLICY}; CREATE POLICY prismicx_tenant ON public.users USING (tenant_id = {CONTEXT})",
        "POLICY_CHECK_MISSING",
    ),
    Planted("WITH CHECK true", f"ALTER POLICY {POLICY} WITH CHECK (true)", "POLICY_CHECK_OPEN"),
    Planted(
        "a policy for inserts of anything",
        "CREATE POLICY extra ON public.users FOR INSERT WITH CHECK (true)",
        "POLICY_CHECK_OPEN",
    ),
)

KEYS = (
    Planted(
        "a primary key without the tenant",
        f"{SHARED}, CONSTRAINT key PRIMARY KEY (id)); {WALL}",
        "PRIMARY_KEY_NO_TENANT",
    ),
    Planted("a unique key without the tenant", "ALTER TABLE public.users ADD UNIQUE (email)", "UNIQUE_NO_TENANT"),
    Planted(
        "a unique key that only includes the tenant",
        "ALTER TABLE public.users ADD UNIQUE NULLS NOT DISTINCT (email) INCLUDE (tenant_id)",
        "UNIQUE_NO_TENANT",
    ),
    Planted(
        "a unique index without the tenant",
        "CREATE UNIQUE INDEX \"By email\" ON public.users (lower(email) DESC) WHERE email <> ''",
        "UNIQUE_NO_TENANT",
    ),
    Planted(
        "an exclusion constraint without the tenant",
        "ALTER TABLE public.users ADD CONSTRAINT once EXCLUDE USING btree (email WITH =)",
        "EXCLUSION_NO_TENANT",
    ),
    Planted(
        "an exclusion of periods without the tenant",
        f"{SHARED}, period tstzrange, CONSTRAINT once EXCLUDE USING gist (period WITH &&)); {WALL}",
        "EXCLUSION_NO_TENANT",
    ),
    Planted(
        "a foreign key without the row's own tenant",
        f"{SHARED}, seller text, user_id uuid, CONSTRAINT parent FOREIGN KEY (seller, user_id)"
        f" REFERENCES public.users (tenant_id, id) ON DELETE CASCADE ON UPDATE RESTRICT); {WALL}",
        "FOREIGN_KEY_NO_TENANT",
    ),
    Planted(
        "a plain foreign key, and the unique key that it needs",
        f"ALTER TABLE public.users ADD CONSTRAINT email_once UNIQUE (email); {SHARED}, email text,"
        f" CONSTRAINT parent FOREIGN KEY (email) REFERENCES public.users (email)); {WALL}",
        "FOREIGN_KEY_NO_TENANT",
        frozenset(("UNIQUE_NO_TENANT",)),
    ),
    Planted(
        "a plain foreign key to a primary key without the tenant",
        f"{SHARED}, CONSTRAINT key PRIMARY KEY (id)); {WALL} ALTER TABLE public.users"
        " ADD CONSTRAINT parent FOREIGN KEY (id) REFERENCES public.orders (id)",
        "FOREIGN_KEY_NO_TENANT",
        frozenset(("PRIMARY_KEY_NO_TENANT",)),
    ),
    Planted(
        "a foreign key that unsets the tenant",
        f"{SHARED}, user_id uuid, CONSTRAINT parent FOREIGN KEY (tenant_id, user_id)"
        f" REFERENCES public.users (tenant_id, id) ON DELETE SET NULL ON UPDATE CASCADE); {WALL}",
        "FOREIGN_KEY_SET_NULL",
    ),
    Planted(
        "a foreign key into another tenant's schema",
        "ALTER TABLE tenant_acme_crm.notes ADD CONSTRAINT across FOREIGN KEY (tenant_id, customer_id)"
        " REFERENCES tenant_globex_crm.customers (tenant_id, id)",
        "FOREIGN_KEY_ACROSS",
    ),
)
