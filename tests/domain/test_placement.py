"""A mapping says once, for every backend, where a kind of aggregate is kept."""

from typing import Any

import pytest
from tests.domain.shop import Customer, Patron

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import InvalidNameError, MappingError
from prismicx.domain.identifiers import PluginType
from prismicx.domain.placement import EntityMapping, Reference, Shared, TenantDatabase, TenantSchema, by_entity

CRM = PluginType("crm")


class Labelled(AggregateRoot):
    tenant_id: str = "acme"


def test_without_a_placement_a_table_is_shared() -> None:
    assert EntityMapping(Customer, "customers").placement == Shared()


def test_a_key_reaches_into_a_structure() -> None:
    mapping = EntityMapping(Customer, "customers", unique=[["email"]], indexes=[["address.city", "age"]])

    assert mapping.indexes == [["address.city", "age"]]


@pytest.mark.parametrize(
    "keys",
    [
        {"unique": [["mail"]]},
        {"indexes": [["email", "topics.name"]]},
        {"unique": ["email"]},
    ],
)
def test_a_key_that_does_not_fit_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(MappingError, match="customers"):
        EntityMapping(Customer, "customers", **keys)


def test_every_problem_is_listed_at_once() -> None:
    with pytest.raises(MappingError) as caught:
        EntityMapping(Customer, "customers", unique=[["mail"], ["nick"]])

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("name", ["Customers", "customers; DROP", "", "a" * 53])
def test_a_name_that_not_every_backend_takes_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        EntityMapping(Customer, name)


def test_the_frameworks_own_names_are_refused() -> None:
    with pytest.raises(MappingError, match=r"Labelled\.tenant_id has a name that is the framework's"):
        EntityMapping(Labelled, "labels")

    assert EntityMapping(Labelled, "labels", Reference()).name == "labels"


def test_only_a_tenant_schema_is_made_by_migrations() -> None:
    with pytest.raises(MappingError, match="not in a TenantSchema"):
        EntityMapping(Customer, "customers", TenantDatabase(), migrated=True)

    assert EntityMapping(Customer, "customers", TenantSchema(CRM), migrated=True).migrated


def test_mappings_are_found_by_their_entity() -> None:
    shared, own = EntityMapping(Customer, "customers"), EntityMapping(Patron, "customers", TenantSchema(CRM))

    assert by_entity([shared, own]) == {Customer: shared, Patron: own}


@pytest.mark.parametrize(
    ("mappings", "problem"),
    [
        ([EntityMapping(Customer, "one"), EntityMapping(Customer, "two")], "Customer is mapped twice"),
        ([EntityMapping(Customer, "one"), EntityMapping(Patron, "one")], "one is used twice"),
    ],
)
def test_two_mappings_never_share_an_entity_or_a_table(mappings: list[EntityMapping], problem: str) -> None:
    with pytest.raises(MappingError, match=problem):
        by_entity(mappings)
