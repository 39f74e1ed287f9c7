"""SQL with which one tenant tries to read another, by what it is; each is run in a unit of `acme`."""

from __future__ import annotations

import time

from tests.adapters.sqlalchemy.proven import TABLES

READ = tuple(f"SELECT * FROM {table}" for table in TABLES)
CTE = tuple(
    f"WITH x AS MATERIALIZED (SELECT set_config('app.current_tenant_id', 'globex', true)) SELECT t.* FROM x, {table} t"
    for table in TABLES
)

ATTACKS = {
    "reading": READ,
    "set_config for the transaction": ("SELECT set_config('app.current_tenant_id', 'globex', true)", READ[0]),
    "set_config for the session": ("SELECT set_config('app.current_tenant_id', 'globex', false)", READ[0]),
    "SET LOCAL": ("SET LOCAL app.current_tenant_id = 'globex'", READ[0]),
    "SET": ("SET app.current_tenant_id = 'globex'", READ[0]),
    "RESET": ("RESET app.current_tenant_id", *READ),
    "RESET ALL": ("RESET ALL", *READ),
    "RESET of the proof": ("RESET app.tenant_proof", *READ),
    "both settings, with a guess": (
        """SELECT set_config('app.current_tenant_id', 'globex', true), set_config('app.tenant_proof',
               split_part(current_setting('app.tenant_proof'), '.', 1) || '.' || repeat('0', 64), true)""",
        READ[0],
    ),
    "both settings, with another key": (
        "SELECT set_config('app.current_tenant_id', 'globex', true), set_config('app.tenant_proof', 'x.y', true)",
        READ[0],
    ),
    "both settings, the proof empty": (
        "SELECT set_config('app.current_tenant_id', 'globex', true), set_config('app.tenant_proof', '', true)",
        READ[0],
    ),
    "the plain set_tenant": ("SELECT prismicx.set_tenant('globex')", READ[0]),
    "set_tenant with the tenant's own proof": (
        "SELECT prismicx.set_tenant('globex', current_setting('app.tenant_proof'))",
        READ[0],
    ),
    "set_tenant with nulls": ("SELECT prismicx.set_tenant(NULL, NULL)", *READ),
    "set_tenant with a guess": (f"SELECT prismicx.set_tenant('globex', 'abc.{int(time.time())}.abc')", READ[0]),
    "DO": (
        """DO $$ BEGIN PERFORM set_config('app.current_tenant_id', 'globex', true);
           PERFORM set_config('x.found', (SELECT string_agg(code, ',') FROM widgets), true); END $$""",
        "SELECT current_setting('x.found')",
    ),
    "DO that sets and catches": (
        """DO $$ BEGIN PERFORM set_config('app.current_tenant_id', 'globex', true);
           PERFORM set_config('x.found', (SELECT string_agg(code, ',') FROM widgets), true);
           EXCEPTION WHEN OTHERS THEN PERFORM set_config('x.found', SQLERRM, true); END $$""",
        "SELECT current_setting('x.found')",
    ),
    "a savepoint": (
        "SAVEPOINT one",
        "SELECT set_config('app.current_tenant_id', 'globex', true)",
        "RELEASE one",
        READ[0],
    ),
    "a cursor that is opened before": (
        f"DECLARE all_rows CURSOR FOR SELECT * FROM {TABLES[0]}",
        "SELECT set_config('app.current_tenant_id', 'globex', true)",
        "FETCH ALL FROM all_rows",
    ),
    "a subselect in the condition": (
        f"SELECT * FROM {TABLES[0]} WHERE set_config('app.current_tenant_id', tenant_id, true) = 'globex'",
    ),
    "EXPLAIN ANALYZE": (f"EXPLAIN (ANALYZE, VERBOSE) {CTE[0]}",),
    "PREPARE": (
        f"PREPARE found AS SELECT * FROM {TABLES[0]}",
        "EXECUTE found",
        "SET LOCAL app.current_tenant_id = 'globex'",
        "EXECUTE found",
    ),
    "SET ROLE of the owner": ("SET ROLE prismicx_test_owner", READ[0]),
    "SET ROLE of a superuser": ("SET ROLE postgres", READ[0]),
    "SET SESSION AUTHORIZATION": ("SET SESSION AUTHORIZATION prismicx_test_owner", READ[0]),
    "RESET ROLE": ("RESET ROLE", *READ),
    "row_security off": ("SET LOCAL row_security = off", READ[0]),
    "reading the keys": ("SELECT * FROM prismicx.tenant_keys",),
    "copying the keys": ("COPY prismicx.tenant_keys TO STDOUT",),
    "writing a key": ("INSERT INTO prismicx.tenant_keys VALUES ('mine', sha256('a'), sha256('b'))",),
    "a view over the keys": ("CREATE VIEW public.keys AS SELECT * FROM prismicx.tenant_keys",),
    "statistics of the keys": ("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats", *READ),
    "redefining the check": (
        "CREATE OR REPLACE FUNCTION prismicx.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
        READ[0],
    ),
    "altering the check": ("ALTER FUNCTION prismicx.current_tenant() SECURITY INVOKER", READ[0]),
    "an overload of the check": (
        "CREATE FUNCTION prismicx.current_tenant(text) RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
        READ[0],
    ),
    "a temporary function in its place": (
        "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$",
        READ[0],
    ),
    "a temporary table in place of the keys": ("CREATE TEMP TABLE tenant_keys (id text)", READ[0]),
    "a function on the search_path": (
        "SET LOCAL search_path = public, pg_catalog",
        "CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$",
    ),
    "another search_path": ("SET LOCAL search_path = pg_temp, public", *CTE),
    "settings that change how SQL is read": (
        "SET LOCAL standard_conforming_strings = off",
        "SET LOCAL transform_null_equals = on",
        "SET LOCAL bytea_output = 'escape'",
        "SET LOCAL plpgsql.check_asserts = off",
        *CTE,
    ),
    "dropping the policy": (f"DROP POLICY prismicx_tenant ON {TABLES[0]}", READ[0]),
    "ending the transaction": ("COMMIT", *READ),
    "ending it and setting both": (
        "COMMIT",
        "SELECT set_config('app.current_tenant_id', 'globex', false), set_config('app.tenant_proof', 'a.b', false)",
        READ[0],
    ),
} | {f"a CTE on {table}": (statement,) for table, statement in zip(TABLES, CTE, strict=True)}
