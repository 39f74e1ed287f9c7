"""Every error that prismicx raises: one family, named for the caller's decision.

Each error keeps its data as attributes, survives pickling, and chains the driver's own error with ``from``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prismicx.domain.causes import Cause


def _restore(kind: type[PrismicxError], message: str, state: dict[str, Any]) -> PrismicxError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class PrismicxError(Exception):
    """The base of the family: `except PrismicxError` catches whatever prismicx raises on purpose.

    Attributes:
        cause: why a unit of work failed, where the docs' table of failures has a line for it.
    """

    cause: Cause | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), str(self), self.__dict__)


# --- What was given is not acceptable; nothing was sent to a database. ---


class InvalidTenantIdError(PrismicxError, ValueError):
    """The text cannot be a tenant id."""

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(f"{value!r:.80} is not a tenant id: {reason}")
        self.value = value
        self.reason = reason


class InvalidPluginTypeError(PrismicxError, ValueError):
    """The text cannot be a plugin type."""

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(f"{value!r:.80} is not a plugin type: {reason}")
        self.value = value
        self.reason = reason


class InvalidNameError(PrismicxError, ValueError):
    """The text cannot name a region, a tier, a version, a table, a collection or a column."""

    def __init__(self, kind: str, value: object, reason: str) -> None:
        super().__init__(f"{value!r:.80} is not a {kind}: {reason}")
        self.kind = kind
        self.value = value
        self.reason = reason


class InvalidSpecificationError(PrismicxError, ValueError):
    """A criterion, an order or a limit that no backend could answer."""


class UnknownAttributeError(InvalidSpecificationError, AttributeError):
    """A criterion or an order names an attribute that its entity does not have."""

    def __init__(self, entity: str, attribute: str, known: Sequence[str]) -> None:
        super().__init__(f"{entity} has no attribute {attribute!r}; it has {', '.join(known)}")
        self.entity = entity
        self.attribute = attribute
        self.known = tuple(known)


class InvalidKeyError(PrismicxError, ValueError):
    """What was named is no key by which one aggregate is told from all others: nothing has been asked or written."""

    def __init__(self, entity: str, key: Sequence[str], reason: str) -> None:
        super().__init__(f"{entity} cannot be told apart by {' and '.join(key) or 'nothing'}: {reason}")
        self.entity = entity
        self.key = tuple(key)
        self.reason = reason


class InvalidCursorError(PrismicxError, ValueError):
    """The cursor is damaged, or belongs to another query, order or tenant."""


class UnstorableValueError(PrismicxError, ValueError):
    """A value that not every database can hold, so none is asked to."""

    def __init__(self, entity: str, attribute: str, reason: str) -> None:
        super().__init__(f"{entity}.{attribute} cannot be stored: {reason}")
        self.entity = entity
        self.attribute = attribute
        self.reason = reason


class MappingError(PrismicxError):
    """Entities and their tables or documents do not fit; every mismatch is listed at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the mapping does not fit:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = tuple(problems)


class InvalidMigrationError(PrismicxError, ValueError):
    """A migration script that cannot be run (no `${schema}`, another placeholder), or no path of them to a version."""


class ChecksumMismatchError(PrismicxError):
    """A migration that has been applied reads differently now."""

    def __init__(self, *, plugin: str, version: str, applied: str, given: str) -> None:
        super().__init__(
            f"the migration of {plugin} to {version} was applied with checksum {applied[:12]}…, "
            f"now it has {given[:12]}…; an applied migration never changes: add a new version instead"
        )
        self.plugin = plugin
        self.version = version
        self.applied = applied
        self.given = given


class SettingsError(PrismicxError, ValueError):
    """The settings of the environment do not fit; every problem is listed at once, none shows a value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the settings do not fit: " + "; ".join(problems))
        self.problems = tuple(problems)


class InvalidRolloutError(PrismicxError, ValueError):
    """A rollout cannot be carried out as it was asked for."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"a rollout's {subject} does not fit: {reason}")
        self.subject = subject
        self.reason = reason


class InvalidManifestError(PrismicxError, ValueError):
    """A plugin's manifest cannot be read; every problem is listed at once."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        super().__init__(f"{path} is not a plugin's manifest: " + "; ".join(problems))
        self.path = path
        self.problems = tuple(problems)


# --- The tenant. ---


class TenantContextMissingError(PrismicxError):
    """Work was asked for without saying for which tenant."""

    def __init__(self) -> None:
        super().__init__("no tenant was given: open the unit of work with a TenantId; there is no default")


class TenantNotFoundError(PrismicxError, LookupError):
    """The registry knows no such tenant."""

    def __init__(self, tenant_id: str) -> None:
        super().__init__(f"there is no tenant {tenant_id}")
        self.tenant_id = tenant_id


class TenantNotActiveError(PrismicxError):
    """The tenant exists, but only an active tenant opens a unit of work."""

    def __init__(self, tenant_id: str, status: str) -> None:
        super().__init__(f"tenant {tenant_id} is {status}, not active")
        self.tenant_id = tenant_id
        self.status = status


class InvalidSystemAccessError(PrismicxError, ValueError):
    """Work over all tenants was asked for without saying who does it and why."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"the {subject} of a system unit of work does not do: {reason}")
        self.subject = subject
        self.reason = reason


class SystemScopeUnavailableError(PrismicxError):
    """The backend was given no login for work over all tenants; the application's is never used for it."""

    def __init__(self, backend: str, advice: str) -> None:
        super().__init__(f"{backend} has no login for system units of work: {advice}")
        self.backend = backend
        self.advice = advice


class SystemScopeInsideTenantError(PrismicxError):
    """A system unit of work was to be entered while a tenant's unit is open here; end that one first."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"a unit of work of tenant {tenant} is open here: work over all tenants begins outside of any")
        self.tenant = tenant


class CrossTenantError(PrismicxError):
    """One tenant's unit of work was given something of another tenant."""

    def __init__(self, *, unit: str, other: str, subject: str) -> None:
        super().__init__(f"{subject} belongs to tenant {other}, this unit of work to {unit}")
        self.unit = unit
        self.other = other
        self.subject = subject


# --- Entities. ---


class NotMappedError(PrismicxError, LookupError):
    """The backend was given no mapping for the entity, or the unit of work cannot reach its placement."""

    def __init__(self, entity: str, reason: str = "the backend has no mapping for it") -> None:
        super().__init__(f"{entity} cannot be used here: {reason}")
        self.entity = entity
        self.reason = reason


class EntityNotFoundError(PrismicxError, LookupError):
    """This tenant has no such entity (another tenant's counts as none)."""

    def __init__(self, entity: str, identity: object) -> None:
        super().__init__(f"there is no {entity} with id {identity}")
        self.entity = entity
        self.identity = identity


class AmbiguousIdentityError(PrismicxError, LookupError):
    """A system unit of work was asked for one entity, and several tenants have one with this identity."""

    def __init__(self, entity: str, identity: object, tenants: Sequence[str]) -> None:
        super().__init__(f"{entity} {identity} exists in {len(tenants)} tenants: list them, and choose by tenant")
        self.entity = entity
        self.identity = identity
        self.tenants = tuple(tenants)


class DuplicateEntityError(PrismicxError):
    """Uniqueness refused the write (PostgreSQL 23505, MongoDB 11000)."""

    def __init__(self, entity: str, key: Sequence[str]) -> None:
        super().__init__(f"another {entity} has the same {' and '.join(key) or 'key'}")
        self.entity = entity
        self.key = tuple(key)


class ConcurrencyError(PrismicxError):
    """Somebody else changed or removed the entity since it was read; read again and retry."""

    cause = Cause.STALE_VERSION

    def __init__(self, entity: str, identities: Sequence[object]) -> None:
        super().__init__(f"{entity} {', '.join(map(str, identities))} changed since it was read")
        self.entity = entity
        self.identities = tuple(identities)


class ConstraintViolationError(PrismicxError):
    """A constraint other than uniqueness refused the write (23502, 23503, 23514; MongoDB 121)."""

    def __init__(self, constraint: str, code: str) -> None:
        super().__init__(f"the database refused the write: {constraint} ({code})")
        self.constraint = constraint
        self.code = code


# --- Units of work. ---


class UnitOfWorkClosedError(PrismicxError):
    """The unit of work has ended (or has not begun): open another one."""

    def __init__(self, state: str) -> None:
        super().__init__(f"this unit of work is {state}; enter a new one with `async with`")
        self.state = state


class UnitOfWorkSharedError(PrismicxError):
    """Two tasks used one unit of work; each needs its own."""

    def __init__(self) -> None:
        super().__init__("a unit of work belongs to the task that opened it; open one in each task")


class ReadOnlyUnitOfWorkError(PrismicxError):
    """A write was asked of a unit of work that was opened read-only."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} writes, but this unit of work is read-only")
        self.operation = operation


class TransactionControlError(PrismicxError):
    """The unit of work owns its transaction; `commit`, `rollback` or `SET` beside it are refused."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} is refused here: the unit of work alone begins and ends its transaction")
        self.operation = operation


class UnsupportedOperationError(PrismicxError):
    """The backend cannot do this, and does not pretend to."""

    def __init__(self, operation: str, backend: str) -> None:
        super().__init__(f"{backend} does not support {operation}")
        self.operation = operation
        self.backend = backend


# --- The databases. ---


class SecretNotFoundError(PrismicxError, LookupError):
    """A dedicated tenant's connection has no address; nothing was looked for elsewhere. `advice` says what to do."""

    def __init__(self, connection: str, secret: str, advice: str) -> None:
        super().__init__(f"connection {connection} has no {secret}: {advice}")
        self.connection = connection
        self.secret = secret
        self.advice = advice


class BackendNotStartedError(PrismicxError):
    """The backend was used before `start` or after `close`."""

    def __init__(self, backend: str) -> None:
        super().__init__(f"{backend} is not running: await its start() first")
        self.backend = backend


class DatabaseUnavailableError(PrismicxError):
    """The database could not be reached; nothing was done. `address` never holds a password."""

    cause = Cause.UNREACHABLE

    def __init__(self, address: str, advice: str) -> None:
        super().__init__(f"no database answers at {address}; {advice}")
        self.address = address
        self.advice = advice


class ConnectionLostError(PrismicxError):
    """The connection broke before commit was sent: nothing of this unit of work lasts; a retry may help."""

    cause = Cause.CONNECTION_LOST


class CommitOutcomeUnknownError(PrismicxError):
    """The connection broke while commit was under way: the unit of work lasts, or it does not."""

    def __init__(self, message: str, *, cause: Cause = Cause.COMMIT_UNANSWERED) -> None:
        super().__init__(message)
        self.cause = cause


class DeadlineExceededError(PrismicxError):
    """The deadline of the unit of work passed before commit was sent: nothing of it lasts. `place` says where."""

    cause = Cause.DEADLINE

    def __init__(self, place: str, seconds: float) -> None:
        super().__init__(f"the unit of work was not done within {seconds:g} s: its time was over {place}")
        self.place = place
        self.seconds = seconds


class AlreadyAppliedError(PrismicxError):
    """A unit of work was committed before under the same idempotency key; this one has done nothing.

    Attributes:
        at: when that unit began, in UTC.
        unit: tells the tries of one `Backend.run` apart.
    """

    cause = Cause.ALREADY_APPLIED

    def __init__(self, key: str, *, at: datetime, unit: UUID) -> None:
        super().__init__(f"idempotency key {key!r} was applied at {at.isoformat()}")
        self.key = key
        self.at = at
        self.unit = unit


class TransactionConflictError(PrismicxError):
    """The database gave way to another transaction (40001, 40P01, 55P03, MongoDB's transient label); retry the unit."""

    def __init__(self, code: str, *, cause: Cause = Cause.WRITE_CONFLICT) -> None:
        super().__init__(f"the transaction gave way to another one ({code}); run the whole unit of work again")
        self.code = code
        self.cause = cause


class TransactionsUnavailableError(PrismicxError):
    """The MongoDB server is not a replica set, so it has no transactions; prismicx does not go on without."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the MongoDB server at {address} has no transactions; run it as a replica set (one member is enough)"
        )
        self.address = address


class StatementTimeoutError(PrismicxError):
    """The database stopped a statement that took too long, or that somebody cancelled (57014; MongoDB 50)."""


class PublisherUnavailableError(PrismicxError):
    """A publisher reached nobody to hand events to; it is not the events' fault, and they are tried again."""


class PermissionDeniedError(PrismicxError):
    """The database itself refused: a policy, or a right that the role does not have (42501; MongoDB 13)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database refused: {reason}")
        self.reason = reason


class UnsafeRoleError(PrismicxError):
    """The application's database role could walk around the walls between tenants; the backend does not start."""

    def __init__(self, role: str, reasons: Sequence[str]) -> None:
        super().__init__(f"role {role} must not serve tenants: {'; '.join(reasons)}")
        self.role = role
        self.reasons = tuple(reasons)


class TenantProofMismatchError(PrismicxError):
    """The service and the database do not agree on the proof of tenant; `advice` says what to do."""

    def __init__(self, advice: str) -> None:
        super().__init__(advice)
        self.advice = advice


class DatabaseError(PrismicxError):
    """The database refused a statement for a reason that no other error of this family names."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{reason} ({code})" if code else reason)
        self.code = code
        self.reason = reason


class MissingExtraError(PrismicxError, ImportError):
    """A package of an optional extra is not installed."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(f'{package} is not installed: pip install "prismicx[{extra}]"')
        self.package = package
        self.extra = extra


class EmbeddedServerError(PrismicxError):
    """A server that prismicx starts for a demo or a test did not start; `log` is the end of what it wrote."""

    def __init__(self, server: str, reason: str, *, log: Sequence[str]) -> None:
        super().__init__("\n".join([f"{server} {reason}", *(f"  {line}" for line in log)]))
        self.server = server
        self.reason = reason
        self.log = tuple(log)


# --- The life of tenants and plugins. ---


class IllegalTransitionError(PrismicxError):
    """A tenant or a plugin cannot go from the one state to the other."""

    def __init__(self, subject: str, before: str, after: str) -> None:
        super().__init__(f"{subject} cannot go from {before} to {after}")
        self.subject = subject
        self.before = before
        self.after = after


class ProvisioningError(PrismicxError):
    """A step of making or unmaking a tenant's place failed; it is recorded and can be run again."""

    def __init__(self, *, tenant_id: str, step: str, reason: str) -> None:
        super().__init__(f"provisioning of tenant {tenant_id} stopped at step {step}: {reason}")
        self.tenant_id = tenant_id
        self.step = step
        self.reason = reason


class OperationUnderWayError(PrismicxError):
    """Another worker is at it; its lease ends at the moment given, unless it is renewed."""

    def __init__(self, subject: str, *, holder: str, until: str) -> None:
        super().__init__(f"{holder} is at work on {subject}, at least until {until}")
        self.subject = subject
        self.holder = holder
        self.until = until


class LeaseLostError(PrismicxError):
    """Another worker has taken over; nothing was written under the old fencing number."""

    def __init__(self, subject: str, *, fence: int) -> None:
        super().__init__(f"another worker has taken over {subject}: fencing number {fence} is outdated")
        self.subject = subject
        self.fence = fence


class ForeignObjectError(PrismicxError):
    """Something stands where a tenant's place belongs, and prismicx did not make it; it is left untouched."""

    def __init__(self, kind: str, name: str, reason: str) -> None:
        super().__init__(f"{kind} {name!r} was not made for this tenant by prismicx: {reason}")
        self.kind = kind
        self.name = name
        self.reason = reason


class PluginNotFoundError(PrismicxError, LookupError):
    """No plugin is published under this name, or not in this version."""

    def __init__(self, plugin: str, version: str | None = None) -> None:
        super().__init__(f"plugin {plugin} has no version {version}" if version else f"there is no plugin {plugin}")
        self.plugin = plugin
        self.version = version


class PluginNotInstalledError(PrismicxError, LookupError):
    """The tenant has never had the plugin."""

    def __init__(self, *, tenant_id: str, plugin: str) -> None:
        super().__init__(f"plugin {plugin} is not installed for tenant {tenant_id}")
        self.tenant_id = tenant_id
        self.plugin = plugin


class PluginInstallationError(PrismicxError):
    """A plugin could not be installed, upgraded or removed; the schema is as it was, the reason is recorded."""

    def __init__(self, *, tenant_id: str, plugin: str, reason: str) -> None:
        super().__init__(f"plugin {plugin} of tenant {tenant_id}: {reason}")
        self.tenant_id = tenant_id
        self.plugin = plugin
        self.reason = reason
