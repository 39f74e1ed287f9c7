"""The environment, read once into frozen settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from prismicx.application.directory import DEFAULT_MAX_AGE
from prismicx.domain.errors import SettingsError

Pooler: TypeAlias = Literal["none", "transaction"]
"""What stands between a service and PostgreSQL."""

RegistryName: TypeAlias = Literal["postgres", "mongo", "memory"]
"""Where the registry of tenants and plugins is kept."""

TelemetryName: TypeAlias = Literal["none", "log", "otel"]
"""Where it is heard what a service does."""

PREFIX: Final = "PRISMICX_"
"""What the name of each environment variable starts with."""

_POSTGRES_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
_MONGO_SCHEMES: Final = ("mongodb", "mongodb+srv")


def _where_configured(known: dict[str, Any]) -> RegistryName:
    """The registry's place where none is given: PostgreSQL if there is one, else MongoDB."""
    if known.get("postgres_dsn") is not None:
        return "postgres"
    return "mongo"


class Settings(BaseSettings):
    """What a service is told by its environment: `PRISMICX_POSTGRES_DSN`, `PRISMICX_MONGO_URI` and so on.

    Addresses are secrets: no representation, log or error shows one. `Settings.load` reads the environment and
    raises this framework's errors; the constructor does the same with pydantic's.

    Args:
        postgres_dsn: `postgresql://user:password@host:port/database`, with the application's login; `None` without
            PostgreSQL.
        postgres_admin_dsn: the same database with the login that owns what is in it, for `db init`, provisioning and
            migrations, past any pooler; without it `postgres_dsn` is used.
        tenant_proof_keys: with them PostgreSQL believes no tenant's name without a proof; the current key, and while
            keys change a comma and the one before it. Each is 32 printable ASCII characters or more, made at random.
        cursor_keys: sign the cursors of pages, the same in every process of the service: the key that signs, and while
            keys change a comma and those that are still believed. Each is 32 printable ASCII characters or more, made
            at random. Without them a cursor is good only in the process that made it.
        postgres_system_dsn: the same database with the login for work over all tenants; without it a service has no
            system units of work on PostgreSQL.
        postgres_outbox_dsn: the same database with the login that delivers events and may do nothing else; without it
            the owner's delivers them.
        outbox: whether recorded events are stored in the transaction of their unit, for `prismicx outbox run`.
        min_pool_size: PostgreSQL connections that are made at start, 1 or more.
        max_pool_size: PostgreSQL connections at most, 1 or more.
        pooler: what stands between the service and PostgreSQL: nothing, or a pooler in transaction mode.
        telemetry: where units of work, provisioning steps, migrations and deliveries are heard of: `log` for events
            of structlog at debug level, `otel` for OpenTelemetry (extra `otel`).
        mongo_uri: `mongodb://user:password@host:port/`, a replica set; `None` without MongoDB.
        mongo_system_uri: the same deployment with the login for work over all tenants; without it a service has no
            system units of work on MongoDB.
        mongo_user_keys: with them each tenant's units of work log in to MongoDB as a user of the tenant's own, which
            reaches no other tenant's databases; the current key, and while keys change a comma and the one before it,
            as for `tenant_proof_keys`.
        mongo_database: the database of shared collections and of the registry.
        registry: the database that keeps tenants and plugins, for the whole platform; PostgreSQL unless there is none.
            `memory` forgets it when the process ends.
        max_dedicated_databases: of each backend, pools of dedicated tenants' databases that are kept open, 1 or more.
            A pool that is in use is never closed, so more are open only while more are in use.
        tenant_max_age: seconds for which a tenant's state may be remembered, so also how long a tenant that another
            process has suspended is still let in at most; 0 asks the registry each time.
        max_mongo_logins: with `mongo_user_keys`, tenants' pools that are kept open, 1 or more; as for
            `max_dedicated_databases`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    postgres_dsn: SecretStr | None = None
    postgres_admin_dsn: SecretStr | None = None
    tenant_proof_keys: SecretStr | None = None
    cursor_keys: SecretStr | None = None
    postgres_system_dsn: SecretStr | None = None
    postgres_outbox_dsn: SecretStr | None = None
    outbox: bool = False
    min_pool_size: int = Field(default=1, ge=1, le=1000)
    max_pool_size: int = Field(default=10, ge=1, le=1000)
    pooler: Pooler = "none"
    telemetry: TelemetryName = "none"
    mongo_uri: SecretStr | None = None
    mongo_system_uri: SecretStr | None = None
    mongo_user_keys: SecretStr | None = None
    mongo_database: str = "prismicx"
    registry: RegistryName = Field(default_factory=_where_configured)
    max_dedicated_databases: int = Field(default=16, ge=1, le=10_000)
    max_mongo_logins: int = Field(default=100, ge=1, le=10_000)
    tenant_max_age: float = Field(default=DEFAULT_MAX_AGE, ge=0, le=3600, allow_inf_nan=False)

    @classmethod
    def load(cls, given: Mapping[str, object] | None = None) -> Self:
        """Return the settings of the environment, with what is given in place of it; `None` counts as not given.

        Raises:
            SettingsError: something does not fit; each problem names its variable, none shows a value.
        """
        try:
            return cls(**{name: value for name, value in (given or {}).items() if value is not None})  # type: ignore[arg-type]  # pydantic checks
        except ValidationError as error:
            found = [details for details in error.errors() if details["type"] != "default_factory_not_called"]
            raise SettingsError([_problem(details["loc"], details["msg"]) for details in found]) from None

    @field_validator("postgres_dsn", "postgres_admin_dsn", "postgres_system_dsn", "postgres_outbox_dsn")
    @classmethod
    def _is_a_postgres_address(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is not None:
            _require_scheme(dsn, _POSTGRES_SCHEMES, "postgresql://user:password@host:5432/database")
        return dsn

    @field_validator("mongo_uri", "mongo_system_uri")
    @classmethod
    def _is_a_mongo_address(cls, uri: SecretStr | None) -> SecretStr | None:
        if uri is not None:
            _require_scheme(uri, _MONGO_SCHEMES, "mongodb://user:password@host:27017/")
        return uri

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.postgres_dsn is None and self.mongo_uri is None and self.registry != "memory":
            raise ValueError(
                f"no database is configured: set {PREFIX}POSTGRES_DSN, {PREFIX}MONGO_URI or both"
                f" ({PREFIX}REGISTRY=memory does without)"
            )
        if self.registry == "postgres" and self.postgres_dsn is None:
            raise ValueError(f"the registry cannot be in PostgreSQL without {PREFIX}POSTGRES_DSN")
        if self.registry == "mongo" and self.mongo_uri is None:
            raise ValueError(f"the registry cannot be in MongoDB without {PREFIX}MONGO_URI")
        if self.postgres_admin_dsn is not None and self.postgres_dsn is None:
            raise ValueError(f"{PREFIX}POSTGRES_ADMIN_DSN is of no use without {PREFIX}POSTGRES_DSN")
        if self.tenant_proof_keys is not None and self.postgres_dsn is None:
            raise ValueError(f"{PREFIX}TENANT_PROOF_KEYS is of no use without {PREFIX}POSTGRES_DSN")
        if self.postgres_system_dsn is not None and self.postgres_dsn is None:
            raise ValueError(f"{PREFIX}POSTGRES_SYSTEM_DSN is of no use without {PREFIX}POSTGRES_DSN")
        if self.postgres_outbox_dsn is not None and (self.postgres_dsn is None or not self.outbox):
            needed = f"{PREFIX}POSTGRES_DSN and {PREFIX}OUTBOX"
            raise ValueError(f"{PREFIX}POSTGRES_OUTBOX_DSN is of no use without {needed}")
        if self.mongo_system_uri is not None and self.mongo_uri is None:
            raise ValueError(f"{PREFIX}MONGO_SYSTEM_URI is of no use without {PREFIX}MONGO_URI")
        if self.mongo_user_keys is not None and self.mongo_uri is None:
            raise ValueError(f"{PREFIX}MONGO_USER_KEYS is of no use without {PREFIX}MONGO_URI")
        if self.min_pool_size > self.max_pool_size:
            raise ValueError(f"{PREFIX}MIN_POOL_SIZE is larger than {PREFIX}MAX_POOL_SIZE")
        return self


def _require_scheme(address: SecretStr, schemes: tuple[str, ...], example: str) -> None:
    if not address.get_secret_value().startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"it is not an address like {example}")


def _problem(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{PREFIX}{str(location[0]).upper()}: {text}" if location else text
