"""The story that `prismicx demo` tells: two tenants are created, used, attacked and upgraded, on real servers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

from pydantic import JsonValue
from rich.console import Console

from prismicx import DatabaseError, PluginInstallationError, Region, TenantId, TenantNotActiveError, Tier
from prismicx.container import Container, preparations, running
from prismicx.demo.attacks import Attacker, IsolationBrokenError
from prismicx.demo.domain import Customer, CustomerRepository, Note, NoteRepository, Task, Topic
from prismicx.demo.narrator import Narrator
from prismicx.demo.plugins import BROKEN, FIRST, NAME, WITH_NOTES, broken_version, crm_plugin
from prismicx.demo.servers import Stage, stage
from prismicx.demo.service import ReferenceService
from prismicx.demo.wiring import container, reference_service
from prismicx.domain.identifiers import plugin_schema_name, tenant_database_name

_PEOPLE: Final[Mapping[str, tuple[str, ...]]] = {"acme": ("Ada", "Bob", "Cleo"), "globex": ("Dora", "Emil")}


async def run(
    *, postgres_dsn: str | None = None, mongo_uri: str | None = None, keep: Path | None = None, as_json: bool = False
) -> dict[str, JsonValue]:
    """Tell the story, and return it as data.

    Args:
        postgres_dsn: a login of a PostgreSQL of the reader's own that may create roles and databases.
        mongo_uri: a MongoDB of the reader's own, a replica set.
        keep: where the embedded servers' data stays, to look at it afterwards.
        as_json: tell nothing while it goes on.

    Raises:
        IsolationBrokenError: one tenant saw something of the other.
        DatabaseUnavailableError, EmbeddedServerError, MissingExtraError: there are no servers to tell it on.
    """
    narrator = Narrator(Console(), silent=as_json)
    async with AsyncExitStack() as stack:
        with narrator.step("PostgreSQL and MongoDB are there") as step:
            place = await stack.enter_async_context(stage(postgres_dsn=postgres_dsn, mongo_uri=mongo_uri, keep=keep))
            step.note(f"PostgreSQL: {'yours' if postgres_dsn else 'an embedded server'}")
            step.note(f"MongoDB: {'yours' if mongo_uri else 'an embedded server (SecantusDB)'}")
        await Story(narrator, place, container(place.settings)).tell()
    if keep:
        narrator.say(f"The servers' data is in {keep.absolute()}: database {place.settings.mongo_database} on both.")
    narrator.say(f"Done in {narrator.seconds:.1f} s: neither tenant saw anything of the other.")
    return narrator.as_json()


class Story:
    """The steps of the story, in order."""

    def __init__(self, narrator: Narrator, place: Stage, wired: Container) -> None:
        self._narrator = narrator
        self._acme = place.acme
        self._globex = place.globex
        self._wired = wired
        self._relational = wired.postgres()
        self._documents = wired.mongo()
        self._users: dict[TenantId, UUID] = {}

    async def tell(self) -> None:
        """Tell it from beginning to end."""
        await self._prepare_the_databases()
        async with running(self._wired):
            service = reference_service(self._wired)
            await self._create_tenants()
            await self._install_the_plugin()
            await self._use_the_relational_side(service)
            await self._use_the_document_side(service)
            await self._compare(service)
            await self._attack()
            await self._upgrade_the_plugin()
            await self._fail_to_upgrade()
            await self._suspend_and_resume(service)

    async def _prepare_the_databases(self) -> None:
        with self._narrator.step("Both databases are prepared, as `prismicx db init` does it") as step:
            for preparation in preparations(self._wired):
                await preparation.carry_out()
            step.note("PostgreSQL: registry, shared tables behind forced row-level security, a login that owns nothing")
            step.note("MongoDB: shared collections with validators and tenant-first keys")

    async def _create_tenants(self) -> None:
        for tenant, name in ((self._acme, "Acme"), (self._globex, "Globex")):
            with self._narrator.step(f"Tenant {tenant} is created across both databases") as step:
                made = await self._wired.tenants().create(
                    name, region=Region("eu-central-1"), tier=Tier("standard"), tenant_id=tenant
                )
                steps = () if made.operation is None else made.operation.steps
                schemas = ", ".join(plugin_schema_name(tenant, kind) for kind in made.plugin_types)
                step.note(f"PostgreSQL schemas: {schemas}")
                step.note(f"MongoDB database: {tenant_database_name(tenant)}, with user_insights and its indexes")
                step.note(f"{len(steps)} steps recorded before and after; the tenant is {made.status.value}")

    async def _install_the_plugin(self) -> None:
        with self._narrator.step(f"Plugin {NAME} is published, and version {FIRST} installed for both") as step:
            plugin = crm_plugin()
            for version in plugin.versions:
                migration = next((found for found in plugin.migrations if found.version_to == version.version), None)
                await self._wired.plugins().publish(NAME, plugin.type, version, migration)
            for tenant in (self._acme, self._globex):
                installed = await self._wired.plugins().install(tenant, NAME, version=FIRST, features=("import",))
                step.note(f"{tenant}: {installed.status.value}, with {', '.join(installed.features_enabled)}")

    async def _use_the_relational_side(self, service: ReferenceService) -> None:
        with self._narrator.step("PostgreSQL: users, customers in the tenant's schema, money") as step:
            for tenant, people in self._people():
                domain = f"{tenant}.test"
                for person in people:
                    self._users[tenant] = await service.register_user(
                        tenant, email=f"{person.lower()}@{domain}", name=person
                    )
                await service.add_customers(
                    tenant, [Customer(email=f"{person.lower()}@{domain}", name=person) for person in people]
                )
                won = await service.win_customer(tenant, f"{people[0].lower()}@{domain}")
                source = await service.open_account(tenant, owner=people[0], balance=Decimal("100.00"))
                target = await service.open_account(tenant, owner=people[1], balance=Decimal("0.00"))
                await service.transfer(tenant, source=source, target=target, amount=Decimal("30.00"))
                step.note(f"{tenant}: {people[0]} is {won.status if won else 'missing'}, 30.00 went to {people[1]}")

    async def _use_the_document_side(self, service: ReferenceService) -> None:
        with self._narrator.step("MongoDB: tasks in a shared collection, insights in the tenant's database") as step:
            for tenant, people in self._people():
                await service.add_tasks(tenant, [Task(title=f"call {person}") for person in people])
                await service.learn(tenant, self._users[tenant], Topic(name="pricing", score=0.8))
                labels = {"new": "New", "old": "Regular", "vip": "VIP"}
                await service.update_categories(tenant, labels)
                await service.update_categories(tenant, {"vip": f"Friends of {people[0]}", "new": "Newcomers"})
                step.note(f"{tenant}: two categories changed in one transaction")

    async def _compare(self, service: ReferenceService) -> None:
        with self._narrator.step("What each of them sees, side by side") as step:
            columns = []
            for tenant in (self._acme, self._globex):
                user = await service.user_by_id(tenant, self._users[tenant])
                insights = await service.user_insights(tenant, user.id)
                async with self._relational.unit_of_work(tenant, read_only=True) as uow:
                    customers = await uow.repository(CustomerRepository).list()
                columns.append(
                    {
                        "customers": ", ".join(customer.name for customer in customers),
                        "won": ", ".join(customer.name for customer in await service.won_customers(tenant)),
                        "a user": user.email,
                        "insights": ", ".join(topic.name for topic in insights.topics) if insights else "none",
                        "open tasks": ", ".join(task.title for task in await service.tenant_tasks(tenant)),
                        "categories": ", ".join(sorted((await service.categories(tenant)).values())),
                        "money": str(await service.money(tenant)),
                    }
                )
            rows = [(what, columns[0][what], columns[1][what]) for what in columns[0]]
            step.show(("", str(self._acme), str(self._globex)), rows)

    async def _attack(self) -> None:
        with self._narrator.step(f"Code of {self._acme} tries to read the rows of {self._globex}") as step:
            attacker = Attacker(
                relational=self._relational, documents=self._documents, tenant=self._acme, victim=self._globex
            )
            attempts = await attacker.attempts(self._users[self._globex])
            step.show(("it asked for", "it got"), [(attempt.asked, attempt.got) for attempt in attempts])

    async def _upgrade_the_plugin(self) -> None:
        with self._narrator.step(f"{self._acme} upgrades the plugin to {WITH_NOTES}: notes about customers") as step:
            upgraded = await self._wired.plugins().upgrade(self._acme, NAME, version=WITH_NOTES)
            await self._take_a_note()
            step.note(f"{self._acme}: {upgraded.installed_version} is {upgraded.status.value}, a first note is kept")
            try:
                await self._count_notes(self._globex)
            except DatabaseError as error:
                step.note(f"{self._globex}, still on {FIRST}: {error}")

    async def _fail_to_upgrade(self) -> None:
        with self._narrator.step(f"Version {BROKEN} has a migration that fails at its second statement") as step:
            await self._wired.plugins().publish(NAME, crm_plugin().type, *broken_version())
            try:
                await self._wired.plugins().upgrade(self._acme, NAME, version=BROKEN)
            except PluginInstallationError as error:
                step.note(str(error))
            recorded = (await self._wired.plugins().list(self._acme))[0]
            step.note(f"recorded: {recorded.status.value}, still at version {recorded.installed_version}")
            step.note(f"the schema is as it was: {await self._count_notes(self._acme)} note, and the customers")

    async def _suspend_and_resume(self, service: ReferenceService) -> None:
        with self._narrator.step(f"{self._globex} is suspended, and resumed") as step:
            await self._wired.tenants().suspend(self._globex)
            try:
                await service.won_customers(self._globex)
            except TenantNotActiveError as error:
                step.note(f"while suspended: {error}")
            else:
                raise IsolationBrokenError(f"{self._globex} is suspended, and was let in")
            await self._wired.tenants().resume(self._globex)
            step.note(f"resumed: {len(await service.won_customers(self._globex))} customer has signed")

    async def _take_a_note(self) -> None:
        async with self._relational.unit_of_work(self._acme) as uow:
            customer = (await uow.repository(CustomerRepository).won())[0]
            uow.repository(NoteRepository).add(Note(customer_id=customer.id, text="likes to be called in the morning"))
            await uow.commit()

    async def _count_notes(self, tenant: TenantId) -> int:
        async with self._relational.unit_of_work(tenant, read_only=True) as uow:
            return await uow.repository(NoteRepository).count()

    def _people(self) -> tuple[tuple[TenantId, tuple[str, ...]], ...]:
        return ((self._acme, _PEOPLE["acme"]), (self._globex, _PEOPLE["globex"]))
