"""Identifiers are validated once, never repaired, and no two of them share the name of anything."""

import copy
import pickle
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from prismicx.domain.errors import InvalidNameError, InvalidPluginTypeError, InvalidTenantIdError
from prismicx.domain.identifiers import (
    LONGEST_NAME,
    PluginType,
    Region,
    TenantId,
    Tier,
    Version,
    new_id,
    plugin_schema_name,
    schema_role_name,
    stored_name,
    tenant_database_name,
)

tenant_ids = st.from_regex(r"\A[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?\Z").map(TenantId)
plugin_types = st.from_regex(r"\A[a-z][a-z0-9]{0,6}(?:_[a-z0-9]{1,5}){0,2}\Z").map(PluginType)
versions = st.tuples(*[st.integers(0, 10**6)] * 3).map(lambda numbers: Version(".".join(map(str, numbers))))

HOSTILE = [
    "",
    " ",
    " acme",
    "acme ",
    "acme\n",
    "\nacme",
    "acme\x00",
    "Acme",
    "ACME",
    "аcme",  # noqa: RUF001  # a Cyrillic letter
    "acme\u0301",
    "ａcme",  # noqa: RUF001  # a full-width letter
    "acme.globex",
    "acme/globex",
    "acme\\globex",
    'acme"; DROP SCHEMA public; --',
    "acme'",
    "acme$",
    "$ne",
    "{'$gt': ''}",
    "acme;",
    "acme--x y",
    "%",
    "-acme",
    "acme-",
    "_acme",
    "acme_",
    "١٢٣",
    "\ud800",
    "a" * 41,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_no_tenant_id(text: str) -> None:
    with pytest.raises(InvalidTenantIdError):
        TenantId(text)


@pytest.mark.parametrize("text", [*HOSTILE, "1crm", "crm-plus", "crm__plus", "a" * 21])
def test_a_hostile_text_is_no_plugin_type(text: str) -> None:
    with pytest.raises(InvalidPluginTypeError):
        PluginType(text)


@pytest.mark.parametrize("kind", [Region, Tier])
@pytest.mark.parametrize("text", [*HOSTILE, "eu_central"])
def test_a_hostile_text_is_no_region_and_no_tier(kind: type[Region | Tier], text: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        kind(text)

    assert caught.value.kind == kind.__name__.lower()


@pytest.mark.parametrize(
    "text", [*HOSTILE, "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc.1", "v1.2.3", "1.-2.3", "1. 2.3"]
)
def test_a_hostile_text_is_no_version(text: str) -> None:
    with pytest.raises(InvalidNameError):
        Version(text)


@pytest.mark.parametrize("value", [None, 1, b"acme", ["acme"], TenantId("acme"), type("Text", (str,), {})("acme")])
def test_only_an_exact_text_becomes_a_tenant_id(value: object) -> None:
    with pytest.raises(InvalidTenantIdError, match="it must be a str"):
        TenantId(value)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("text", ["a", "0", "acme", "tenant-ab12cd34", "a_b", "a--b", "a" * 40])
def test_an_ordinary_text_is_kept_as_it_is(text: str) -> None:
    assert TenantId(text).value == str(TenantId(text)) == text


def test_an_identifier_is_a_value() -> None:
    acme = TenantId("acme")

    assert acme == TenantId("acme")
    assert hash(acme) == hash(TenantId("acme"))
    assert acme != "acme"
    assert Tier("acme") != Region("acme")
    assert acme < TenantId("globex")
    assert repr(acme) == "TenantId('acme')"
    assert pickle.loads(pickle.dumps(acme)) == acme
    assert copy.deepcopy(acme) == acme


def test_an_identifier_never_changes() -> None:
    acme = TenantId("acme")

    with pytest.raises(AttributeError, match="TenantId is immutable"):
        acme.value = "globex"


class _Holder(BaseModel):
    tenant_id: TenantId


def test_an_identifier_is_text_in_json() -> None:
    holder = _Holder(tenant_id=TenantId("acme"))

    assert holder.model_dump(mode="json") == {"tenant_id": "acme"}
    assert _Holder.model_validate_json('{"tenant_id": "acme"}') == holder
    assert _Holder.model_json_schema()["properties"]["tenant_id"]["type"] == "string"


def test_a_model_refuses_what_is_no_identifier() -> None:
    with pytest.raises(ValidationError, match="is not a tenant id"):
        _Holder.model_validate({"tenant_id": "Acme"})


def test_a_new_tenant_id_is_valid_and_nobody_elses() -> None:
    made = {TenantId.new() for _ in range(1000)}

    assert len(made) == 1000
    assert all(str(one).startswith("tenant-") and len(str(one)) == 33 for one in made)


def test_a_new_id_is_a_uuid_of_version_7_and_sorts_by_time() -> None:
    made = [new_id() for _ in range(100)]

    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {uuid.RFC_4122}
    assert [one.int >> 76 for one in made] == sorted(one.int >> 76 for one in made)


@given(versions, versions)
def test_versions_are_ordered_as_numbers(one: Version, other: Version) -> None:
    numbers = [tuple(int(part) for part in str(version).split(".")) for version in (one, other)]

    assert (one < other) == (numbers[0] < numbers[1])
    assert (one <= other) == (numbers[0] <= numbers[1])
    assert (one > other) == (numbers[0] > numbers[1])
    assert (one == other) == (numbers[0] == numbers[1])


def test_ordinary_names_are_those_of_the_source_document() -> None:
    acme = TenantId("tenant-ab12cd34")

    assert plugin_schema_name(acme, PluginType("crm")) == "tenant_tenant-ab12cd34_crm"
    assert tenant_database_name(acme) == "tenant_tenant-ab12cd34_db"


@given(st.tuples(tenant_ids, plugin_types), st.tuples(tenant_ids, plugin_types))
@example((TenantId("a"), PluginType("b_crm")), (TenantId("a_b"), PluginType("crm")))
@example((TenantId("a"), PluginType("b_db")), (TenantId("a_b"), PluginType("db")))
@example((TenantId("a" * 40), PluginType("b" * 20)), (TenantId("a" * 40), PluginType("b" * 19)))
def test_no_two_pairs_share_a_schema_name(one: tuple[TenantId, PluginType], other: tuple[TenantId, PluginType]) -> None:
    assert (plugin_schema_name(*one) == plugin_schema_name(*other)) == (one == other)


@given(tenant_ids, tenant_ids, plugin_types)
@example(TenantId("a"), TenantId("a"), PluginType("db"))
@example(TenantId("a"), TenantId("a_b"), PluginType("db"))
def test_no_schema_shares_its_name_with_a_database(one: TenantId, other: TenantId, plugin_type: PluginType) -> None:
    assert plugin_schema_name(one, plugin_type) != tenant_database_name(other)


@given(tenant_ids, plugin_types)
def test_every_name_fits(tenant_id: TenantId, plugin_type: PluginType) -> None:
    schema = plugin_schema_name(tenant_id, plugin_type)

    assert len(schema.encode()) <= LONGEST_NAME
    assert len(tenant_database_name(tenant_id).encode()) <= LONGEST_NAME
    assert len(schema_role_name("service", schema).encode()) <= LONGEST_NAME


def test_the_same_schema_in_two_databases_has_two_owners() -> None:
    assert schema_role_name("one", "tenant_acme_crm") != schema_role_name("two", "tenant_acme_crm")


@pytest.mark.parametrize("name", ["customers", "a", "a1_b", "a" * 52])
def test_an_ordinary_stored_name_is_kept(name: str) -> None:
    assert stored_name("table", name) == name


@pytest.mark.parametrize("name", ["", "Customers", "1a", "_a", "a-b", "a.b", "a b", 'a"', "a\n", "a" * 53, None, 1])
def test_a_hostile_stored_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="is not a table"):
        stored_name("table", name)
