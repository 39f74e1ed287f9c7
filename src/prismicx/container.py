"""The composition root: from settings to clients, backends and application services.

The only module that knows dependency-injector. A service gives its settings and mappings, and asks for what it needs:

    container = Container(settings=Settings.load(), postgres_mappings=MAPPINGS)
    async with running(container):
        async with container.postgres().unit_of_work(tenant) as unit:
            ...

A provider makes its object once. Each can be overridden (`container.postgres.override(backend)`) before `running`;
`use_memory` overrides every database at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from dependency_injector import containers, providers
from pydantic import SecretStr

from prismicx.adapters.beanie import BeanieBackend, BeaniePluginSchemas, MongoDBClient, TenantLogins
from prismicx.adapters.connection_secrets import EnvironmentSecrets
from prismicx.adapters.log_telemetry import LogTelemetry
from prismicx.adapters.logged_refresh import LoggedRefresh
from prismicx.adapters.memory import MemoryBackend, MemoryPluginSchemas
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, TenantProof
from prismicx.application.directory import TenantDirectory
from prismicx.application.observing import ObservedPluginSchemas, ObservedStep
from prismicx.application.plugin_verification import PluginVerification
from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.application.rollouts import PluginRollouts
from prismicx.domain.connections import ConnectionSecrets
from prismicx.domain.cursors import CursorKeys
from prismicx.domain.errors import SettingsError
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import Backend, EventHandler, PluginSchemas, ProvisioningStep
from prismicx.domain.telemetry import Telemetry
from prismicx.preparation import Preparation, shared_preparations
from prismicx.settings import PREFIX, Pooler, Settings

Classes: TypeAlias = Mapping[type[Any], type[Any]]
"""By entity, the service's own SQLAlchemy or Beanie class for it."""

Repositories: TypeAlias = Mapping[type[Any], type[Any]]
"""By repository port, the service's own class for one backend."""


def _postgres_client(settings: Settings) -> DatabaseClient:
    return _client_of(settings, settings.postgres_dsn, pooler=settings.pooler)


def _postgres_admin_client(settings: Settings) -> DatabaseClient:
    if settings.postgres_admin_dsn is None:
        return _postgres_client(settings)
    return _client_of(settings, settings.postgres_admin_dsn, pooler="none")


def _system_client(settings: Settings) -> DatabaseClient | None:
    dsn = settings.postgres_system_dsn
    return None if dsn is None else _client_of(settings, dsn, pooler=settings.pooler)


def _relay_client(settings: Settings) -> DatabaseClient | None:
    dsn = settings.postgres_outbox_dsn
    return None if dsn is None else _client_of(settings, dsn, pooler=settings.pooler)


def _has_outbox(settings: Settings) -> bool:
    return settings.outbox


def _client_of(settings: Settings, dsn: SecretStr | None, *, pooler: Pooler) -> DatabaseClient:
    if dsn is None:
        raise SettingsError([f"this service has no PostgreSQL: {PREFIX}POSTGRES_DSN is not set"])
    return DatabaseClient.from_dsn(
        dsn.get_secret_value(),
        min_pool_size=settings.min_pool_size,
        max_pool_size=settings.max_pool_size,
        pooler=pooler,
    )


def _tenant_proof(settings: Settings) -> TenantProof | None:
    return None if settings.tenant_proof_keys is None else TenantProof.parse(settings.tenant_proof_keys)


def _cursor_keys(settings: Settings) -> CursorKeys | None:
    return None if settings.cursor_keys is None else CursorKeys.parse(settings.cursor_keys)


def _mongo_client(settings: Settings) -> MongoDBClient:
    if settings.mongo_uri is None:
        raise SettingsError([f"this service has no MongoDB: {PREFIX}MONGO_URI is not set"])
    return MongoDBClient(settings.mongo_uri.get_secret_value(), settings.mongo_database)


def _mongo_system_client(settings: Settings) -> MongoDBClient | None:
    uri = settings.mongo_system_uri
    return None if uri is None else MongoDBClient(uri.get_secret_value(), settings.mongo_database)


def _tenant_logins(settings: Settings) -> TenantLogins | None:
    return None if settings.mongo_user_keys is None else TenantLogins.parse(settings.mongo_user_keys)


def _max_logins(settings: Settings) -> int:
    return settings.max_mongo_logins


def _telemetry(settings: Settings) -> Telemetry | None:
    match settings.telemetry:
        case "log":
            return LogTelemetry()
        case "otel":
            from prismicx.adapters.opentelemetry import OpenTelemetry  # noqa: PLC0415  # an extra

            return OpenTelemetry()
    return None


def _max_dedicated(settings: Settings) -> int:
    return settings.max_dedicated_databases


def _directory(container: Container, settings: Settings) -> TenantDirectory:
    return TenantDirectory(container.registry, max_age=settings.tenant_max_age, observer=LoggedRefresh())


def _registry(container: Container, settings: Settings) -> Backend:
    places = {"postgres": container.postgres, "mongo": container.mongo, "memory": container.memory}
    return places[settings.registry]()


def _backends(container: Container, settings: Settings) -> tuple[Backend, ...]:
    wanted = ((settings.postgres_dsn, container.postgres), (settings.mongo_uri, container.mongo))
    made = [backend() for address, backend in wanted if address is not None or backend.last_overriding]
    return tuple(dict.fromkeys(made))  # one may have been put in the place of the other


def _provisioning_steps(backends: Sequence[Backend], telemetry: Telemetry | None) -> tuple[ProvisioningStep, ...]:
    provisioned = [backend for backend in backends if isinstance(backend, SqlAlchemyBackend | BeanieBackend)]
    steps = tuple(step for backend in provisioned for step in backend.steps())
    return steps if telemetry is None else tuple(ObservedStep(step, telemetry) for step in steps)


def _plugin_schemas(backends: Sequence[Backend], telemetry: Telemetry | None) -> PluginSchemas:
    schemas = _schemas_of(backends)
    return schemas if telemetry is None else ObservedPluginSchemas(schemas, telemetry)


def _schemas_of(backends: Sequence[Backend]) -> PluginSchemas:
    match backends:
        case (SqlAlchemyBackend() as postgres, *_):
            return postgres.plugin_schemas
        case (BeanieBackend(), *_):
            return BeaniePluginSchemas()
    return MemoryPluginSchemas()


class Container(containers.DeclarativeContainer):
    """Everything that prismicx is made of, for one service, from its settings and mappings.

    A service has PostgreSQL, MongoDB or both, as its settings say; asking for the other raises `SettingsError`.

    Args:
        settings: where the databases are.
        postgres_mappings: of the aggregates that PostgreSQL keeps, parents before children.
        postgres_tables: by entity, a SQLAlchemy class of the service's own.
        postgres_repositories: by port, the service's own repository on PostgreSQL.
        mongo_mappings: of the aggregates that MongoDB keeps, parents before children.
        mongo_documents: by entity, a Beanie class of the service's own.
        mongo_repositories: by port, the service's own repository on MongoDB.
        memory_repositories: by port, the service's own repository in memory, for `use_memory`.
        on_commit: awaited with the tenant and its events after each commit, on every backend.
        connection_secrets: where the addresses of dedicated tenants are; environment variables unless given.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            settings: Settings,
            postgres_mappings: Sequence[EntityMapping] = (),
            postgres_tables: Classes = ...,
            postgres_repositories: Repositories = ...,
            mongo_mappings: Sequence[EntityMapping] = (),
            mongo_documents: Classes = ...,
            mongo_repositories: Repositories = ...,
            memory_repositories: Repositories = ...,
            on_commit: EventHandler | None = None,
            connection_secrets: ConnectionSecrets = ...,
        ) -> None: ...

    __self__ = providers.Self()

    # --- What the service gives. ---

    settings: providers.Provider[Settings] = providers.Dependency(instance_of=Settings)
    postgres_mappings: providers.Provider[Sequence[EntityMapping]] = providers.Object(())
    postgres_tables: providers.Provider[Classes] = providers.Object({})
    postgres_repositories: providers.Provider[Repositories] = providers.Object({})
    mongo_mappings: providers.Provider[Sequence[EntityMapping]] = providers.Object(())
    mongo_documents: providers.Provider[Classes] = providers.Object({})
    mongo_repositories: providers.Provider[Repositories] = providers.Object({})
    memory_repositories: providers.Provider[Repositories] = providers.Object({})
    on_commit: providers.Provider[EventHandler | None] = providers.Object(None)
    connection_secrets: providers.Provider[ConnectionSecrets] = providers.Singleton(EnvironmentSecrets)

    # --- Who may open a unit of work, as the registry says. ---

    directory: providers.Provider[TenantDirectory] = providers.Singleton(_directory, __self__, settings)

    # --- The databases. ---

    outbox: providers.Provider[bool] = providers.Callable(_has_outbox, settings)
    telemetry: providers.Provider[Telemetry | None] = providers.Singleton(_telemetry, settings)
    max_dedicated: providers.Provider[int] = providers.Callable(_max_dedicated, settings)
    postgres_client: providers.Provider[DatabaseClient] = providers.Singleton(_postgres_client, settings)
    postgres_admin_client: providers.Provider[DatabaseClient] = providers.Singleton(_postgres_admin_client, settings)
    tenant_proof: providers.Provider[TenantProof | None] = providers.Singleton(_tenant_proof, settings)
    cursor_keys: providers.Provider[CursorKeys | None] = providers.Singleton(_cursor_keys, settings)
    postgres_system_client: providers.Provider[DatabaseClient | None] = providers.Singleton(_system_client, settings)
    postgres_relay_client: providers.Provider[DatabaseClient | None] = providers.Singleton(_relay_client, settings)
    postgres: providers.Provider[Backend] = providers.Singleton(
        SqlAlchemyBackend,
        postgres_client,
        postgres_mappings,
        admin=postgres_admin_client,
        system=postgres_system_client,
        tenant_proof=tenant_proof,
        tables=postgres_tables,
        repositories=postgres_repositories,
        admission=directory,
        on_commit=on_commit,
        outbox=outbox,
        relay=postgres_relay_client,
        secrets=connection_secrets,
        max_dedicated=max_dedicated,
        telemetry=telemetry,
        cursor_keys=cursor_keys,
    )
    mongo_client: providers.Provider[MongoDBClient] = providers.Singleton(_mongo_client, settings)
    mongo_system_client: providers.Provider[MongoDBClient | None] = providers.Singleton(_mongo_system_client, settings)
    mongo: providers.Provider[Backend] = providers.Singleton(
        BeanieBackend,
        mongo_client,
        mongo_mappings,
        system=mongo_system_client,
        documents=mongo_documents,
        repositories=mongo_repositories,
        admission=directory,
        on_commit=on_commit,
        outbox=outbox,
        secrets=connection_secrets,
        max_dedicated=max_dedicated,
        logins=providers.Singleton(_tenant_logins, settings),
        max_logins=providers.Callable(_max_logins, settings),
        telemetry=telemetry,
        cursor_keys=cursor_keys,
    )
    memory: providers.Provider[Backend] = providers.Singleton(MemoryBackend, ())
    registry: providers.Provider[Backend] = providers.Callable(_registry, __self__, settings)
    backends: providers.Provider[tuple[Backend, ...]] = providers.Callable(_backends, __self__, settings)

    # --- The use cases. ---

    provisioning_steps: providers.Provider[tuple[ProvisioningStep, ...]] = providers.Callable(
        _provisioning_steps, backends, telemetry
    )
    plugin_schemas: providers.Provider[PluginSchemas] = providers.Singleton(_plugin_schemas, backends, telemetry)
    tenants: providers.Provider[TenantProvisioning] = providers.Singleton(
        TenantProvisioning, registry, provisioning_steps, directory=directory
    )
    plugins: providers.Provider[PluginInstallation] = providers.Singleton(PluginInstallation, registry, plugin_schemas)
    rollouts: providers.Provider[PluginRollouts] = providers.Singleton(PluginRollouts, registry, plugins)
    plugin_verification: providers.Provider[PluginVerification] = providers.Singleton(
        PluginVerification, registry, plugin_schemas
    )


def use_memory(container: Container) -> None:
    """Put memory in the place of every database: the same mappings and use cases, no server.

    It replaces the databases that are configured; where none is, both. To be called before anything is asked of the
    container.
    """
    settings = container.settings()
    neither = settings.postgres_dsn is None and settings.mongo_uri is None
    for address, backend, mappings in (
        (settings.postgres_dsn, container.postgres, container.postgres_mappings),
        (settings.mongo_uri, container.mongo, container.mongo_mappings),
    ):
        if neither or address is not None:
            backend.override(
                providers.Singleton(
                    MemoryBackend,
                    mappings,
                    repositories=container.memory_repositories,
                    admission=container.directory,
                    on_commit=container.on_commit,
                    outbox=container.outbox,
                    telemetry=container.telemetry,
                    cursor_keys=container.cursor_keys,
                )
            )


@asynccontextmanager
async def running(container: Container) -> AsyncIterator[Container]:
    """Start every backend of the container for the length of the block, and close them in the reverse order.

    Meanwhile its directory of tenants keeps itself fresh, from the first unit of work on.

    Raises:
        DatabaseUnavailableError: a database does not answer; those that were started are closed.
        MappingError, TransactionsUnavailableError, UnsafeRoleError: a backend refuses to start.
        SettingsError: the container's settings do not fit.
    """
    async with AsyncExitStack() as stack:
        for backend in dict.fromkeys((*container.backends(), container.registry())):
            stack.push_async_callback(backend.close)
            await backend.start()
        await stack.enter_async_context(container.directory())
        yield container


def preparations(container: Container, *, without_tenant_proof: bool = False) -> tuple[Preparation, ...]:
    """Return what the databases that tenants share need, on PostgreSQL also to do `without_tenant_proof` again.

    Nothing is connected before `carry_out`, which is safe to repeat.
    """
    return shared_preparations(container.backends(), without_tenant_proof=without_tenant_proof)
