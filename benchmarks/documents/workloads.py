"""The units of work on MongoDB that are timed, and how each answer is checked beforehand."""

from __future__ import annotations

import gc
from random import Random
from uuid import UUID

from benchmarks.documents.contender import Contender
from benchmarks.units.customers import Amounts, Customer, Order, Seen, customer, identity, seen
from benchmarks.units.workloads import Workload, WrongAnswerError

from prismicx.domain.identifiers import TenantId

PAGE = 50
UPDATES = 3


class DocumentWork:
    """The workloads over a filled server."""

    def __init__(self, amounts: Amounts) -> None:
        self._amounts = amounts
        self._names = amounts.names
        self._born = 0
        self._stock: list[Order] = []

    def all(self) -> tuple[Workload, ...]:
        """Return every workload, in the order of the report."""
        many = self._amounts.bulk
        return (
            Workload("get", "get by id", self.get_by_id),
            Workload("list", "list 50", self.list_50),
            Workload("insert", "insert one", self.insert_one),
            Workload("many", f"insert many, {many:,}", self.insert_many, self.stock_up, rows=many, rounds=0.3),
            Workload("three", "transaction of three updates", self.update_three),
            Workload("save", "load three, change, save", self.load_and_save),
        )

    async def get_by_id(self, contender: Contender, random: Random) -> None:
        """Read one customer by id."""
        tenant, number = self._any(random)
        _require(contender, is_right=await contender.get_by_id(tenant, identity(tenant, number)) is not None)

    async def list_50(self, contender: Contender, random: Random) -> None:
        """Read fifty customers in order."""
        tenant, number = self._any(random, before_last=PAGE)
        _require(contender, is_right=len(await contender.list_50(tenant, number)) == PAGE)

    async def insert_one(self, contender: Contender, random: Random) -> None:
        """Store a new customer."""
        await contender.insert_one(self._newborn(), random.choice(self._names))

    def stock_up(self) -> None:
        """Make the orders that `insert_many` stores; who stores them collects no garbage but what storing makes."""
        buyer = identity(self._names[0], 0)
        self._stock = [
            Order.model_validate({"customer_id": buyer, "amount": amount}) for amount in range(self._amounts.bulk)
        ]
        gc.collect()

    async def insert_many(self, contender: Contender, random: Random) -> None:
        """Store many orders."""
        await contender.insert_many(random.choice(self._names), self._stock)

    async def update_three(self, contender: Contender, random: Random) -> None:
        """Change the scores of three customers."""
        tenant = random.choice(self._names)
        numbers = random.sample(range(self._amounts.rows), UPDATES)
        await contender.update_three(tenant, {identity(tenant, number): self._new_score() for number in numbers})

    async def load_and_save(self, contender: Contender, random: Random) -> None:
        """Load three customers and save them with other scores."""
        tenant = random.choice(self._names)
        numbers = random.sample(range(self._amounts.rows), UPDATES)
        await contender.load_and_save(tenant, {identity(tenant, number): self._new_score() for number in numbers})

    async def check(self, contender: Contender) -> None:
        """Compare a contender's answers with what is stored, and its sight with what a tenant may see."""
        if "get" in contender.lacks:
            return
        first, second = self._names[:2]
        number = self._amounts.rows // 2
        expected = _unscored(seen(first, number))
        found = await contender.get_by_id(first, expected[0])
        _require(contender, is_right=found is not None and _unscored(found) == expected)
        _require(contender, is_right=await contender.get_by_id(first, identity(second, number)) is None)
        in_order = [_unscored(seen(first, number + offset)) for offset in range(PAGE)]
        _require(contender, is_right=[_unscored(each) for each in await contender.list_50(first, number)] == in_order)
        newborn = self._newborn()
        await contender.insert_one(newborn, first)
        _require(contender, is_right=await contender.get_by_id(first, newborn.id) is not None)
        _require(contender, is_right=await contender.get_by_id(second, newborn.id) is None)
        for change in (contender.update_three, contender.load_and_save):
            scores = {identity(first, number + offset): self._new_score() for offset in range(UPDATES)}
            await change(first, scores)
            changed = [await contender.get_by_id(first, each) for each in scores]
            _require(contender, is_right=[each[4] for each in changed if each is not None] == list(scores.values()))

    def _any(self, random: Random, *, before_last: int = 0) -> tuple[TenantId, int]:
        return random.choice(self._names), random.randrange(self._amounts.rows - before_last)

    def _newborn(self) -> Customer:
        self._born += 1
        number = 1_000_000 + self._born
        born = customer(self._names[0], 0)
        return born.model_copy(update={"id": identity(TenantId("newborn"), self._born), "email": f"{number}@new.test"})

    def _new_score(self) -> int:
        self._born += 1
        return 1000 + self._born


def _unscored(found: Seen) -> tuple[UUID, str, str, str]:
    """Return what no workload changes, without the moment, which a list is in the order of."""
    return found[:4]


def _require(contender: Contender, *, is_right: bool) -> None:
    if not is_right:
        raise WrongAnswerError(f"{contender.name} gives a wrong answer")
