"""Every kind of hole that an audit knows, by a code that never changes."""

from __future__ import annotations

from enum import Enum

from prismicx.domain.findings import Severity

_CRITICAL, _HIGH, _MEDIUM, _LOW, _INFO = sorted(Severity, reverse=True)


class Hole(Enum):
    """A kind of hole: its name is its code, its value how bad it is and what it means.

    Sources: PostgreSQL's manual, chapters 5.9 "Row Security Policies" and 39 "The Rule System"; MongoDB's manual,
    "Schema Validation" and "Role-Based Access Control".
    """

    def __init__(self, severity: Severity, meaning: str) -> None:
        self.severity = severity
        self.meaning = meaning

    # --- PostgreSQL: tables. ---
    RLS_OFF = _CRITICAL, "row-level security is off, so every tenant's rows are open to whoever may read the table"
    CHILD_RLS_OFF = _CRITICAL, "a partition or child is read directly past the policies of its parent"
    RLS_NOT_FORCED = _HIGH, "row-level security does not hold for the table's owner"
    TENANT_NULLABLE = _MEDIUM, "a row may belong to no tenant"
    TENANT_EMPTY_ALLOWED = _LOW, "a row may name an empty tenant, which an empty context would equal"
    TENANT_COLLATION = _HIGH, "the tenant is compared by a collation or type that takes different names for equal"
    TABLE_UNKNOWN = _LOW, "the application reaches a table with a tenant column that the configuration does not know"
    TABLE_NO_TENANT = _MEDIUM, "the application reaches a table without a tenant column, hence without a wall"
    FOREIGN_TABLE = _HIGH, "the application reaches a foreign table, which row-level security does not protect"
    REGISTRY_REACHABLE = _HIGH, "the application reaches the registry, which names all tenants"

    # --- PostgreSQL: policies. ---
    POLICY_MISSING = _MEDIUM, "no policy lets the application in: row-level security hides every row"
    POLICY_COMMANDS = _LOW, "the policies leave out a command that the application is granted, which then fails"
    POLICY_ROLES = _MEDIUM, "the policies are for other roles than the application's, from which they hide every row"
    POLICY_TRUE = _CRITICAL, "the policy is true of every row"
    POLICY_IMMUTABLE_FUNCTION = (
        _CRITICAL,
        "the policy asks an IMMUTABLE function, whose answer for one tenant stays in cached plans",
    )
    POLICY_FUNCTION = _MEDIUM, "the policy rests on a function whose answer nobody can check from outside"
    POLICY_OTHER_SETTING = _CRITICAL, "the policy yields to a setting that the application can set"
    POLICY_COALESCE = _CRITICAL, "the policy falls back on COALESCE, which is open without a tenant"
    POLICY_SUBSELECT = (
        _MEDIUM,
        "the policy reads through a sub-select, which sharded databases refuse and plans can fold",
    )
    POLICY_OR = _HIGH, "the policy is an OR, so the tenant alone does not decide"
    POLICY_PATTERN = _CRITICAL, "the policy matches the tenant as a pattern"
    POLICY_EMPTY_CONTEXT = _HIGH, "the policy does without NULLIF, so an empty context is a tenant"
    POLICY_UNPROVEN = _HIGH, "the policy believes the setting, in a database that asks for a proof of tenant"
    POLICY_CONSTANT = _CRITICAL, "the policy opens a shared table to one tenant as a whole"
    POLICY_OTHER_TENANT = _CRITICAL, "the policy opens a tenant's table to another tenant"
    POLICY_PERMISSIVE_EXTRA = (
        _HIGH,
        "a further permissive policy opens rows that the tenant's own does not: they are OR-ed",
    )
    POLICY_NOT_TENANT = _HIGH, "the policy does not compare the tenant with the context"
    POLICY_OTHER_ROLE = _LOW, "a policy lets another role see more than one tenant"
    POLICY_CHECK_MISSING = _LOW, "the policy has no WITH CHECK of its own, so USING decides what may be written"
    POLICY_CHECK_OPEN = _CRITICAL, "WITH CHECK lets rows be written for another tenant"

    # --- PostgreSQL: roles. ---
    ROLE_SUPERUSER = _CRITICAL, "the application's role is a superuser: nothing holds for it"
    ROLE_BYPASSRLS = _CRITICAL, "the application's role passes by every policy"
    ROLE_CREATEROLE = _HIGH, "the application's role makes roles, so it can make itself a member of others"
    ROLE_CREATEDB = _LOW, "the application's role makes databases"
    ROLE_REPLICATION = _CRITICAL, "the application's role reads every change of every tenant by replication"
    ROLE_MEMBER = _CRITICAL, "the application's role can become one that passes by the walls"
    ROLE_PREDEFINED = (
        _HIGH,
        "the application's role has one of PostgreSQL's own roles, which see or do more than a tenant may",
    )
    ROLE_OWNS_TABLE = _CRITICAL, "the application's role owns a table, so it can switch its walls off"
    ROLE_OWNS_VIEW = _MEDIUM, "the application's role owns a view, so it can replace it for everybody"
    ROLE_OWNS_FUNCTION = _HIGH, "the application's role owns a function, so it can replace what others call"
    ROLE_OWNS_SCHEMA = _HIGH, "the application's role owns a schema, so it can drop what is in it"
    ROLE_OWNS_DATABASE = _HIGH, "the application's role owns the database"
    SCHEMA_ROLE_LOGIN = _MEDIUM, "the role that owns a tenant's schema can log in outside of a migration"
    SCHEMA_ROLE_POWER = _HIGH, "the role that owns a tenant's schema, as which plugin scripts run, reaches beyond it"

    # --- PostgreSQL: grants. ---
    GRANT_TRUNCATE = _CRITICAL, "TRUNCATE empties the table for all tenants: no policy applies to it"
    GRANT_REFERENCES = _MEDIUM, "REFERENCES lets foreign keys ask for rows of every tenant"
    GRANT_TRIGGER = _HIGH, "TRIGGER lets the application run its code in everybody's writes"
    GRANT_MAINTAIN = _MEDIUM, "MAINTAIN lets the application lock and rewrite the table for everybody"
    GRANT_PUBLIC = _MEDIUM, "every role of the server has a right on the table"
    GRANT_COLUMN = _LOW, "a right on single columns outlives what is revoked on the table"
    GRANT_OPTION = _MEDIUM, "the application can hand its right on to other roles"
    GRANT_DEFAULT = _MEDIUM, "tables that do not exist yet will be open to the application before anybody protects them"
    SEQUENCE_UPDATE = _LOW, "the application can set a sequence back, for everybody"
    SEQUENCE_SHARED = _INFO, "a sequence that tenants share tells how many rows all of them make"
    SCHEMA_CREATE = _HIGH, "the application can make objects that stand in for others' in a schema"
    SCHEMA_PUBLIC = _LOW, "every role of the server may enter a tenant's schema"
    DATABASE_CREATE = _MEDIUM, "the application can make schemas"
    DATABASE_TEMP = _MEDIUM, "a temporary table stays on the connection and stands in for the next tenant's table"
    PARAMETER_SET = _HIGH, "the application may change a setting that is the superuser's"
    FOREIGN_SERVER = _HIGH, "the application reaches another server, or this one as another role, by foreign data"
    LARGE_OBJECT = _HIGH, "the application reaches a large object, which has no tenant"

    # --- PostgreSQL: objects. ---
    VIEW_NOT_INVOKER = _CRITICAL, "a view reads with its owner's rights, past the caller's policies"
    MATVIEW_REACHABLE = _CRITICAL, "a materialized view keeps rows of all tenants without row-level security"
    SECDEF_FUNCTION = _HIGH, "the application may call a function that runs with its owner's rights"
    SECDEF_SEARCH_PATH = _MEDIUM, "a function with its owner's rights looks names up where the caller says"
    LEAKPROOF_FUNCTION = _HIGH, "a function that is declared LEAKPROOF sees rows before the policies do"
    TRIGGER_DEFINER = _HIGH, "a trigger on a tenant's table runs with another role's rights"
    TRIGGER = _LOW, "a trigger does more in a tenant's table than the statement says"
    RULE = _MEDIUM, "a rule rewrites statements on a table and runs with its owner's rights"
    EXTENSION = _MEDIUM, "an extension lets SQL reach other connections or the server's files"
    PUBLICATION_ALL_TABLES = _MEDIUM, "every change of every tenant is published, and no policy applies to it"
    PUBLICATION_TABLE = _MEDIUM, "the changes of a tenant's table are published, and no policy applies to them"

    # --- PostgreSQL: keys. ---
    PRIMARY_KEY_NO_TENANT = _MEDIUM, "the primary key lacks the tenant: a refused insert tells what another tenant has"
    UNIQUE_NO_TENANT = _MEDIUM, "a unique key lacks the tenant: a refused insert tells what another tenant has"
    EXCLUSION_NO_TENANT = _MEDIUM, "an exclusion constraint lacks the tenant: tenants exclude each other's rows"
    FOREIGN_KEY_NO_TENANT = _HIGH, "a foreign key lacks the tenant: it tells what another has, and blocks its deletes"
    FOREIGN_KEY_SET_NULL = _MEDIUM, "a foreign key with the tenant sets it to null or its default when the parent goes"
    FOREIGN_KEY_ACROSS = _HIGH, "a foreign key leads from one tenant's schema into another's"

    # --- PostgreSQL: the database. ---
    DEFAULT_CONTEXT = _CRITICAL, "sessions start with a tenant that nobody chose"
    DEFAULT_SEARCH_PATH = _MEDIUM, "sessions start in a tenant's schema"
    DEFAULT_SETTING = _HIGH, "sessions start with a setting that weakens the walls"

    # --- MongoDB: collections. ---
    VALIDATOR_MISSING = _HIGH, "nothing makes the documents of a collection name their tenant"
    VALIDATOR_OPEN = _HIGH, "the validator takes documents whose tenant is missing, empty, no text, or another's"
    VALIDATION_LAX = _MEDIUM, "the validator warns only, or leaves out documents that were wrong before"
    DOCUMENTS_WITHOUT_TENANT = _HIGH, "documents name no tenant, or several, so more than one tenant sees them"
    DOCUMENTS_OF_OTHERS = _CRITICAL, "a tenant's database holds documents that are another's, or nobody's"
    COLLECTION_COLLATION = _CRITICAL, "the collection's own collation takes different tenants' names for equal"
    COLLECTION_CAPPED = _MEDIUM, "in a capped collection one tenant's writes push out another's documents"
    COLLECTION_TIME_SERIES = _MEDIUM, "a time-series collection takes no validator and puts tenants into one bucket"
    INDEX_UNIQUE_NO_TENANT = _MEDIUM, "a unique index lacks the tenant: a refused insert tells what another tenant has"
    INDEX_NOT_TENANT_FIRST = _LOW, "an index does not begin with the tenant, so a query reads other tenants' entries"
    VIEW_OVER_TENANTS = _HIGH, "a view reads the documents of all tenants, and no guard stands before it"

    # --- MongoDB: databases and users. ---
    DATABASE_UNOWNED = _LOW, "a tenant's database belongs to no registered tenant"
    USER_OF_TENANTS = _HIGH, "a user of one tenant's database has rights beyond it"
    USER_ADMINISTERS = _HIGH, "the application's user administers users or the server"

    # --- What stays, in the report's `residual`. ---
    PLANNER_STATISTICS = _INFO, "EXPLAIN and sizes betray how many rows all tenants have in a shared table"
    SETTING_CONTEXT = _INFO, "SQL of the application's own can call set_config and become another tenant"
    STAT_ACTIVITY = _INFO, "sessions of one login see each other's statements in pg_stat_activity"
    CANCEL_BACKEND = _INFO, "sessions of one login can cancel and end each other"
    LARGE_OBJECTS = _INFO, "every role can make large objects, which have no tenant"
    NO_ACCESS_CONTROL = _INFO, "this connection to MongoDB has not logged in: no rights hold"
    USERS_UNSEEN = _INFO, "this login may not see MongoDB's users, so their rights were not looked at"
