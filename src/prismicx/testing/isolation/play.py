"""One history: units of several tenants side by side, each answer held against the tenant's own oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

from pydantic import ValidationError

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import PrismicxError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import EVERYTHING, Order
from prismicx.testing.isolation.actor import Action, Actor
from prismicx.testing.isolation.findings import IsolationBrokenError, in_words
from prismicx.testing.isolation.marks import entities_in
from prismicx.testing.isolation.oracle import Key, Seen, TenantOracle, key_of, seen
from prismicx.testing.isolation.recipes import Criterion, made
from prismicx.testing.isolation.world import Port, World
from prismicx.testing.isolation.writing_oracle import WritingOracle

MOST_UNITS: Final = 3
"""Units that histories have open side by side; one more is open for a moment."""


@dataclass(eq=False)
class OpenUnit:
    """One open unit of work, its oracle, and whether the team's own methods may have changed what it holds."""

    number: int
    tenant: TenantId
    actor: Actor
    oracle: WritingOracle
    is_asked: bool = False
    is_commanded: bool = False

    def __str__(self) -> str:
        return f"unit {self.number} of {self.tenant}"


class Stray(NamedTuple):
    """An aggregate that some tenant's unit has held, for other tenants' units to be given."""

    tenant: TenantId
    aggregate: AggregateRoot


class PagedQuery(NamedTuple):
    """A query that is read page by page."""

    port: Port
    criterion: Criterion
    order: tuple[Order, ...]
    size: int


class Outcome(NamedTuple):
    """What an action returned, as `Seen` where it returned aggregates, or the name of the error that it raised."""

    error: str | None
    value: Any = None

    def __str__(self) -> str:
        return in_words(self.value) if self.error is None else self.error


@dataclass
class Play:
    """The mechanics of one history: opens units, has them act, compares, and writes down what happened."""

    world: World
    units: list[OpenUnit] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    opened: int = 0

    def __post_init__(self) -> None:
        self.oracles = {tenant: TenantOracle(self.world.mappings) for tenant in self.world.tenants}
        self.writers: dict[TenantId, OpenUnit] = {}
        self.is_over = False

    def open(self, tenant: TenantId, *, read_only: bool, in_scope: bool = False) -> OpenUnit:
        """Open a unit of work; `in_scope` a read scope, which is asked and nothing else."""
        self.opened += 1

        async def enter() -> Actor:
            patience = self.world.patience
            actor = Actor(self.world.backend, tenant, read_only=read_only, in_scope=in_scope, patience=patience)
            await actor.do(_nothing)
            return actor

        oracle = WritingOracle(self.oracles[tenant], read_only)
        unit = OpenUnit(self.opened, tenant, self.world.wait_for(enter()), oracle)
        self.units.append(unit)
        self.lines.append(f"{unit} opens{' to read' if read_only else ''}")
        return unit

    def workable(self, number: int) -> OpenUnit:
        """Return one of the units that can do everything; one is opened where there is none."""
        units = [unit for unit in self.units if not unit.oracle.broken and not unit.is_asked]
        if not units and len(self.units) == MOST_UNITS:
            self.close(self.units[0])
        return units[number % len(units)] if units else self.open(self.tenant(number), read_only=False)

    def endable(self, number: int) -> OpenUnit | None:
        """Return one of the units that can be committed or rolled back: those outside of savepoints."""
        units = [unit for unit in self.units if not unit.oracle.savepoints]
        return units[number % len(units)] if units else None

    def in_savepoint(self, number: int) -> OpenUnit | None:
        """Return one of the units that are in a savepoint."""
        units = [unit for unit in self.units if unit.oracle.savepoints]
        return units[number % len(units)] if units else None

    def tenant(self, number: int) -> TenantId:
        """Return one of the tenants."""
        return self.world.tenants[number % len(self.world.tenants)]

    def close(self, unit: OpenUnit) -> None:
        """Leave a unit, whatever state it is in."""
        self.world.wait_for(unit.actor.leave())
        self.units.remove(unit)
        if self.writers.get(unit.tenant) is unit:
            del self.writers[unit.tenant]

    def may_write(self, unit: OpenUnit) -> bool:
        """Tell whether no other unit of the tenant is writing; from now on this one is, if it can."""
        if unit.oracle.read_only:
            return True
        return self.writers.setdefault(unit.tenant, unit) is unit

    def act(
        self,
        unit: OpenUnit,
        method: str,
        action: Action,
        expected: Callable[[], Any],
        *,
        given: Sequence[Any] = (),
    ) -> Outcome:
        """Have a unit act; its answer must be the oracle's.

        Args:
            unit: who acts.
            method: how reports call it, as `CustomerRepository.find`.
            action: what to do in the unit's task.
            expected: what the oracle answers: it returns, or raises, the same.
            given: what the method is called with.
        """
        raw = self._asked(unit, method, action, given)
        wanted = _expected(expected)
        self.require_own(unit, method, raw, given)
        found = Outcome(raw.error, None if raw.error else comparable(raw.value))
        if found != wanted:
            self.fail(method, f"answered {found}; on its tenant's own data it is {wanted}")
        for entity in entities_in(raw.value):
            self.strays.append(Stray(unit.tenant, entity))
        return found

    def ask(self, unit: OpenUnit, method: str, action: Action, given: Sequence[Any]) -> Outcome:
        """Have a unit ask something of the team's own, which no oracle knows: it may not tell of another tenant."""
        raw = self._asked(unit, method, action, given)
        self.require_own(unit, method, raw, given)
        return raw

    def require_own(self, unit: OpenUnit, method: str, raw: Outcome, given: Any) -> None:
        """Return if nothing in an answer is another tenant's."""
        leak = self.world.marks.foreign(raw.value, own=unit.tenant, given=given)
        if leak is not None:
            self.fail(method, f"told {unit.tenant} what {leak[0]} has stored: {leak[1]!r:.200}")
        for entity in entities_in(raw.value):
            if entity.tenant not in (None, unit.tenant):
                self.fail(method, f"gave {unit.tenant} an aggregate of {entity.tenant}: {in_words(entity)}")

    def require_known(self, unit: OpenUnit, method: str, raw: Outcome) -> None:
        """Return if every stored aggregate in an answer is one that the unit's tenant has, as it has it."""
        kinds = {port.subject.kind for port in self.world.ports}
        for entity in entities_in(raw.value):
            if type(entity) in kinds and entity.tenant is not None:
                known = unit.oracle.sees(key_of(entity))
                if seen(entity) != known:
                    has = "has none of this identity" if known is None else f"has {in_words(known)}"
                    self.fail(method, f"gave {unit.tenant} {in_words(entity)}; the tenant itself {has}")

    def look(self, tenant: TenantId) -> None:
        """Look at everything that a tenant has committed: it must be what its oracle says."""
        with self._looking(tenant) as unit:
            for port in self.world.ports:
                self.act(unit, f"{port.name}.list", _everything(port), _all_known(unit, port))

    def adopt(self, tenant: TenantId) -> None:
        """Take over what a tenant's own command has made of its data, if nothing in it is another tenant's."""
        rows: dict[Key, Seen] = {}
        with self._looking(tenant) as unit:
            for port in self.world.ports:
                raw = self.ask(unit, f"{port.name}.list", _everything(port), ())
                rows |= {key_of(entity): seen(entity) for entity in entities_in(raw.value)}
        self.oracles[tenant].rows = rows

    def finish(self) -> None:
        """End what is open, look at every tenant once more, and leave nothing behind."""
        for unit in tuple(self.units):
            self.close(unit)
        try:
            if not self.is_over:
                for tenant in self.world.tenants:
                    self.look(tenant)
                self.world.witness.histories += 1
        finally:
            self._clear()

    def make(self, recipe: Any, tenant: TenantId) -> Any:
        """Return what a recipe stands for; `None` where the entity does not take its values together."""
        try:
            return made(recipe, self.world.tenants, tenant)
        except ValidationError:
            return None

    def fail(self, method: str, finding: str) -> NoReturn:
        """End the history: isolation is broken."""
        self.is_over = True
        self.world.fail(IsolationBrokenError(method, finding, self.lines))

    def _asked(self, unit: OpenUnit, method: str, action: Action, given: Sequence[Any]) -> Outcome:
        line = f"{unit}: {method}({', '.join(map(in_words, given))})"
        try:
            outcome = Outcome(None, self.world.wait_for(unit.actor.do(action)))
        except TimeoutError:
            self.lines.append(f"{line} does not return")
            self.fail(method, f"does not return within {self.world.patience:g} seconds: it waits for another unit")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
            outcome = Outcome(type(error).__name__, error)
        self.lines.append(f"{line} -> {outcome}")
        operation = method.rpartition(".")[2]
        self.world.witness.met[operation if outcome.error is None else f"{operation} {outcome.error}"] += 1
        return outcome

    @contextmanager
    def _looking(self, tenant: TenantId) -> Iterator[OpenUnit]:
        unit = self.open(tenant, read_only=True, in_scope=True)
        try:
            yield unit
        finally:
            self.close(unit)

    def _clear(self) -> None:
        tenants = [tenant for tenant, oracle in self.oracles.items() if self.is_over or oracle.rows]
        try:
            self.world.wait_for(self.world.clear(tenants))
        except PrismicxError:
            if not self.is_over:
                raise
            self.world.is_spoiled = True  # what is broken does not let itself be cleared: there is no second history


def _everything(port: Port) -> Action:
    return lambda actor: actor.unit.repository(port.everything).list(track=False)


def _all_known(unit: OpenUnit, port: Port) -> Callable[[], list[Seen]]:
    return lambda: unit.oracle.select(port.subject.kind, EVERYTHING, track=False)


def _expected(expected: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(None, expected())
    except PrismicxError as error:
        return Outcome(type(error).__name__)


def comparable(value: Any) -> Any:
    """Return an answer with what can be seen of its aggregates in their places."""
    if isinstance(value, AggregateRoot):
        return seen(value)
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    return value


async def _nothing(actor: Actor) -> None:
    """Show that the unit is open."""
