"""The units of work that are timed: what each asks of a contender, and how its answer is checked beforehand."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from uuid import UUID

from benchmarks.units.contender import Contender
from benchmarks.units.customers import (
    LARGE,
    Amounts,
    Customer,
    Order,
    Seen,
    customer,
    identity,
    moment,
    seen,
)

from prismicx.domain.identifiers import TenantId, new_id

PAGE = 50
CHILDREN = 3


class WrongAnswerError(AssertionError):
    """A contender does not do what it is timed for."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the table.

    Attributes:
        key: names it on the command line.
        title: names it in the report.
        run: does one unit with a contender.
        prepare: makes ready for it; the time of that is not counted.
        tasks: how many do so at once.
        rows: how many rows one unit writes or reads, where the report gives rows per second; else 1.
        rounds: how often each contender has its turn, as a share of what was asked for.
    """

    key: str
    title: str
    run: Callable[[Contender, Random], Awaitable[None]]
    prepare: Callable[[], None] = lambda: None
    tasks: int = 1
    rows: int = 1
    rounds: float = 1.0


class Work:
    """The workloads over a filled database."""

    def __init__(self, amounts: Amounts) -> None:
        self._amounts = amounts
        self._names = amounts.names
        self._born = 0
        self._stock: list[Order] = []

    def all(self) -> tuple[Workload, ...]:
        """Return every workload, in the order of the report."""
        amounts = self._amounts
        return (
            Workload("get", "get by id", self.get_by_id),
            Workload("key", "get by key", self.get_by_key),
            Workload("single", "single read by id", self.single_read),
            Workload("list", "list 50", self.list_50),
            Workload("page", f"page 50, deep in {amounts.large:,} rows", self.page_50),
            Workload("insert", "insert one", self.insert_one),
            Workload("update", "update one (load, change, save)", self.update_one),
            Workload("upsert", "upsert by key, of one that is there", self.upsert),
            Workload("mixed", "mixed (get, update, three children)", self.mixed),
            Workload("tasks", "get by id, 32 tasks on a pool of 10", self.get_by_id, tasks=32),
            Workload("bulk", f"insert {amounts.bulk:,} rows", self.bulk, self.stock_up, rows=amounts.bulk, rounds=0.3),
            Workload("stream", f"stream {amounts.large:,} rows", self.stream, rows=amounts.large, rounds=0.3),
        )

    async def get_by_id(self, contender: Contender, random: Random) -> None:
        """Read one customer by id."""
        tenant, number = self._any(random)
        _require(contender, is_right=await contender.get_by_id(tenant, identity(tenant, number)) is not None)

    async def single_read(self, contender: Contender, random: Random) -> None:
        """Read one customer by id where nothing else is asked."""
        tenant, number = self._any(random)
        _require(contender, is_right=await contender.single_read(tenant, identity(tenant, number)) is not None)

    async def get_by_key(self, contender: Contender, random: Random) -> None:
        """Read one customer by email."""
        tenant, number = self._any(random)
        _require(contender, is_right=await contender.get_by_key(tenant, number) is not None)

    async def list_50(self, contender: Contender, random: Random) -> None:
        """Read fifty customers in order."""
        tenant, number = self._any(random, before_last=PAGE)
        _require(contender, is_right=len(await contender.list_50(tenant, number)) == PAGE)

    async def page_50(self, contender: Contender, random: Random) -> None:
        """Read fifty customers behind one of the last third of the large tenant's."""
        large = self._amounts.large
        number = large * 2 // 3 + random.randrange(100) * large // 400
        _require(contender, is_right=len(await contender.page_50(LARGE, number)) == PAGE)

    async def insert_one(self, contender: Contender, random: Random) -> None:
        """Store a new customer."""
        await contender.insert_one(self._newborn(), random.choice(self._names))

    async def update_one(self, contender: Contender, random: Random) -> None:
        """Change a customer's score."""
        tenant, number = self._any(random)
        await contender.update_one(tenant, number, self._new_score())

    async def upsert(self, contender: Contender, random: Random) -> None:
        """Overwrite a customer by email, not knowing the id."""
        tenant, number = self._any(random)
        _require(contender, is_right=(await contender.upsert(self._renewed(tenant, number), tenant))[4] == self._born)

    async def mixed(self, contender: Contender, random: Random) -> None:
        """Change a customer's score and store three orders."""
        tenant, number = self._any(random)
        await contender.mixed(tenant, number, self._new_score(), _orders(identity(tenant, number), CHILDREN))

    def stock_up(self) -> None:
        """Make the orders that `bulk` stores; whoever stores them collects no garbage but what storing them makes."""
        self._stock = _orders(identity(self._names[0], 0), self._amounts.bulk)
        gc.collect()

    async def bulk(self, contender: Contender, random: Random) -> None:
        """Store many orders."""
        await contender.bulk(random.choice(self._names), self._stock)

    async def stream(self, contender: Contender, random: Random) -> None:
        """Read all of the large tenant's customers."""
        _require(contender, is_right=await contender.stream(LARGE) == self._amounts.large)

    async def check(self, contender: Contender) -> None:
        """Compare a contender's answers with what is stored, and its sight with what a tenant may see."""
        first, second = self._names[:2]
        number = self._amounts.rows // 2
        expected = _unscored(seen(first, number))
        for read in (contender.get_by_id, contender.single_read):
            found = await read(first, expected[0])
            _require(contender, is_right=found is not None and _unscored(found) == expected)
            _require(contender, is_right=await read(first, identity(second, number)) is None)
        found = await contender.get_by_key(first, number)
        _require(contender, is_right=found is not None and _unscored(found) == expected)
        in_order = [_unscored(seen(first, number + offset)) for offset in range(PAGE + 1)]
        listed = [_unscored(each) for each in await contender.list_50(first, number)]
        paged = [_unscored(each) for each in await contender.page_50(first, number)]
        _require(contender, is_right=listed == in_order[:PAGE] and paged == in_order[1:])
        await contender.update_one(first, number, 101)
        changed = await contender.get_by_id(first, expected[0])
        _require(contender, is_right=changed is not None and changed[4] == 101)
        renewed = await contender.upsert(self._renewed(first, number), first)
        stored = await contender.get_by_id(first, expected[0])
        _require(contender, is_right=stored == renewed and _unscored(renewed) == expected and renewed[4] == self._born)

    def _renewed(self, tenant: TenantId, number: int) -> Customer:
        """Return the customer of this number as one who does not know the id has it, with a score of its own."""
        self._born += 1
        return customer(tenant, number).model_copy(update={"id": new_id(), "score": self._born})

    def _any(self, random: Random, *, before_last: int = 0) -> tuple[TenantId, int]:
        return random.choice(self._names), random.randrange(self._amounts.rows - before_last)

    def _newborn(self) -> Customer:
        self._born += 1
        number = self._amounts.large * 10 + self._born
        return customer(self._names[0], number).model_copy(
            update={"id": identity(TenantId("newborn"), self._born), "created_at": moment(0) - timedelta(days=1)}
        )

    def _new_score(self) -> int:
        self._born += 1
        return 1000 + self._born


def _orders(customer_id: UUID, count: int) -> list[Order]:
    return [Order.model_validate({"customer_id": customer_id, "amount": amount}) for amount in range(count)]


def _unscored(customer: Seen) -> tuple[UUID, str, str, str]:
    """Return what no workload changes."""
    return customer[:4]


def _require(contender: Contender, *, is_right: bool) -> None:
    if not is_right:
        raise WrongAnswerError(f"{contender.name} gives a wrong answer")
