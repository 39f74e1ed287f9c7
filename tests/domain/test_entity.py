"""Entities have an identity, framework slots of their own, and expressions on the class."""

import copy
import pickle
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError
from tests.domain.shop import Customer, CustomerWon, Parcel, Patron

from prismicx.domain.entity import stamp
from prismicx.domain.errors import UnknownAttributeError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import Attribute

ACME = TenantId("acme")


def test_an_entity_makes_its_own_id() -> None:
    ada, ben = Customer(), Customer()

    assert ada.id != ben.id
    assert ada.id.version == 7


def test_a_new_entity_has_never_been_stored() -> None:
    ada = Customer()

    assert ada.version == 0
    assert ada.tenant is None


def test_an_entity_keeps_the_id_that_it_is_given_for_ever() -> None:
    identity = uuid4()
    ada = Customer(id=identity)

    with pytest.raises(ValidationError, match="frozen"):
        ada.id = UUID(int=0)

    assert ada.id == identity


def test_attributes_are_validated_when_they_are_set() -> None:
    ada = Customer()

    with pytest.raises(ValidationError):
        setattr(ada, "status", "unknown")  # noqa: B010  # type checkers refuse it written plainly
    with pytest.raises(ValidationError):
        ada.score = float("nan")

    assert ada.status == "lead"


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(ValidationError):
        Customer.model_validate({"emial": "ada@acme.test"})


def test_an_attribute_of_the_class_is_an_expression() -> None:
    expression: object = Customer.email

    assert isinstance(expression, Attribute)
    assert repr(expression) == "Customer.email"


def test_an_inherited_attribute_is_an_expression_of_the_heir() -> None:
    assert repr(Patron.email) == "Patron.email"
    assert Patron().email == "ada@acme.test"


def test_a_name_that_is_no_attribute_is_none_of_the_class() -> None:
    assert not hasattr(Customer, "emial")
    with pytest.raises(UnknownAttributeError, match="Customer has no attribute 'emial'; it has id, email"):
        _ = getattr(Customer, "emial")  # noqa: B009  # type checkers refuse it written plainly


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda entity: pickle.loads(pickle.dumps(entity))])
def test_a_copy_has_the_version_and_the_tenant(copied: Callable[[Customer], Customer]) -> None:
    ada = stamp(Customer(email="ada@acme.test"), version=3, tenant=ACME)

    twin = copied(ada)

    assert twin == ada
    assert twin is not ada
    assert twin.version == 3
    assert twin.tenant == ACME


def test_the_frameworks_slots_are_no_attributes() -> None:
    ada = stamp(Parcel(), version=3, tenant=ACME)

    assert set(ada.model_dump()) == {"id", "weight"}
    assert ada == Parcel(id=ada.id)


def test_an_aggregate_records_events_until_they_are_taken() -> None:
    ada = Customer()

    assert ada.recorded_events == ()

    ada.win()
    ada.win()

    assert list(map(type, ada.recorded_events)) == [CustomerWon, CustomerWon]
    assert len(ada.take_events()) == 2
    assert ada.recorded_events == ()
    assert ada.take_events() == ()


def test_an_event_is_a_fact_with_an_id_and_a_time() -> None:
    one, other = CustomerWon(customer_id=uuid4()), CustomerWon(customer_id=uuid4())

    assert one.event_id != other.event_id
    assert one.occurred_at.tzinfo is not None
    with pytest.raises(ValidationError, match="frozen"):
        one.customer_id = uuid4()
