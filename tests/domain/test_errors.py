"""One family of errors, told apart by class, with their data as attributes, and fit to cross processes."""

import pickle
from datetime import UTC, datetime
from uuid import UUID

import pytest

from prismicx.domain import errors
from prismicx.domain.errors import PrismicxError

EVERY_ERROR = [
    errors.InvalidTenantIdError("Acme", "upper case"),
    errors.InvalidPluginTypeError("1", "a digit"),
    errors.InvalidNameError("region", "X", "upper case"),
    errors.InvalidSpecificationError("no such thing"),
    errors.UnknownAttributeError("Customer", "mail", ("id", "email")),
    errors.InvalidKeyError("Customer", ("name",), "it is no unique key"),
    errors.InvalidCursorError("damaged"),
    errors.UnstorableValueError("Customer", "name", "a NUL"),
    errors.MappingError(["one", "two"]),
    errors.InvalidMigrationError("no ${schema}"),
    errors.ChecksumMismatchError(plugin="crm", version="1.0.0", applied="a" * 64, given="b" * 64),
    errors.SettingsError(["one", "two"]),
    errors.InvalidManifestError("plugin.toml", ["one", "two"]),
    errors.InvalidRolloutError("waves", "they grow up to 100"),
    errors.TenantContextMissingError(),
    errors.TenantNotFoundError("acme"),
    errors.TenantNotActiveError("acme", "suspended"),
    errors.InvalidSystemAccessError("reason", "it is missing or blank"),
    errors.SystemScopeUnavailableError("MemoryBackend", "give it one"),
    errors.SystemScopeInsideTenantError("acme"),
    errors.AmbiguousIdentityError("Customer", 1, ("acme", "globex")),
    errors.CrossTenantError(unit="acme", other="globex", subject="Customer 1"),
    errors.NotMappedError("Customer"),
    errors.EntityNotFoundError("Customer", 1),
    errors.DuplicateEntityError("Customer", ("email",)),
    errors.ConcurrencyError("Customer", (1, 2)),
    errors.ConstraintViolationError("positive_balance", "23514"),
    errors.UnitOfWorkClosedError("committed"),
    errors.UnitOfWorkSharedError(),
    errors.ReadOnlyUnitOfWorkError("add"),
    errors.TransactionControlError("COMMIT"),
    errors.UnsupportedOperationError("savepoints", "MongoDB"),
    errors.SecretNotFoundError("acme", "postgres_dsn", "set PRISMICX_CONNECTION_ACME_POSTGRES_DSN"),
    errors.BackendNotStartedError("MemoryBackend"),
    errors.DatabaseUnavailableError("localhost:5432", "is it running?"),
    errors.ConnectionLostError("gone"),
    errors.CommitOutcomeUnknownError("gone"),
    errors.TransactionConflictError("40001"),
    errors.TransactionsUnavailableError("localhost:27017"),
    errors.StatementTimeoutError("it took too long"),
    errors.MissingExtraError("motor", extra="motor"),
    errors.EmbeddedServerError("postgres", "ended", log=["FATAL"]),
    errors.PublisherUnavailableError("no broker answers"),
    errors.PermissionDeniedError("permission denied for table customers"),
    errors.UnsafeRoleError("app", ["it is a superuser"]),
    errors.TenantProofMismatchError("run `prismicx db init`"),
    errors.DatabaseError("42601", "syntax error"),
    errors.DeadlineExceededError("in a statement", 2.5),
    errors.AlreadyAppliedError("order-1", at=datetime(2026, 1, 1, tzinfo=UTC), unit=UUID(int=1)),
    errors.IllegalTransitionError("tenant acme", "deleted", "active"),
    errors.ProvisioningError(tenant_id="acme", step="schemas", reason="no space left"),
    errors.OperationUnderWayError("tenant acme", holder="worker-1", until="2026-01-01T00:00:00Z"),
    errors.LeaseLostError("tenant acme", fence=3),
    errors.ForeignObjectError("schema", "tenant_acme_crm", "it bears no mark"),
    errors.PluginNotFoundError("crm"),
    errors.PluginNotFoundError("crm", "1.0.0"),
    errors.PluginNotInstalledError(tenant_id="acme", plugin="crm"),
    errors.PluginInstallationError(tenant_id="acme", plugin="crm", reason="syntax error"),
]


def _kinds(kind: type[PrismicxError]) -> set[type[PrismicxError]]:
    return {kind}.union(*map(_kinds, kind.__subclasses__()))


def test_no_error_is_left_out_of_these_tests() -> None:
    declared = {kind for kind in _kinds(PrismicxError) if kind.__module__ == errors.__name__}

    assert declared - {type(error) for error in EVERY_ERROR} == {PrismicxError}


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_with_its_data(error: PrismicxError) -> None:
    copied = pickle.loads(pickle.dumps(error))

    assert type(copied) is type(error)
    assert str(copied) == str(error) != ""
    assert vars(copied) == vars(error)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_says_in_its_class_when_it_is_raised(error: PrismicxError) -> None:
    assert type(error).__doc__


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            errors.IllegalTransitionError("tenant acme", "deleted", "active"),
            "tenant acme cannot go from deleted to active",
        ),
        (errors.PluginNotFoundError("crm"), "there is no plugin crm"),
        (errors.PluginNotFoundError("crm", "2.0.0"), "plugin crm has no version 2.0.0"),
        (errors.DuplicateEntityError("Customer", ()), "another Customer has the same key"),
        (errors.DatabaseError("", "it failed"), "it failed"),
    ],
)
def test_the_message_names_what_the_caller_needs(error: PrismicxError, message: str) -> None:
    assert str(error) == message


def test_a_long_value_is_cut_in_the_message_and_kept_as_data() -> None:
    error = errors.InvalidTenantIdError("a" * 10_000, "too long")

    assert len(str(error)) < 200
    assert error.value == "a" * 10_000
