"""Secrets of connections: found by name, never mistaken for one another, and never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prismicx.adapters.connection_secrets import EnvironmentSecrets, MappingSecrets, variable_of
from prismicx.domain.connections import ConnectionSecret, dedicated_address
from prismicx.domain.errors import InvalidNameError, SecretNotFoundError

DSN = "postgresql://app:pa55word@acme.test/acme"
NAMES = st.from_regex(r"[a-z0-9]{1,4}(-[a-z0-9]{1,4}){0,3}", fullmatch=True)


async def test_an_address_is_found_in_its_variable() -> None:
    secrets = EnvironmentSecrets({"PRISMICX_CONNECTION_ACME_EU_POSTGRES_DSN": DSN})

    found = await dedicated_address(secrets, "acme-eu", ConnectionSecret.POSTGRES_DSN)

    assert found is not None
    assert found.get_secret_value() == DSN


async def test_the_process_environment_is_read_when_a_secret_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = EnvironmentSecrets()
    monkeypatch.setenv("PRISMICX_CONNECTION_ACME_MONGO_URI", "mongodb://acme.test")

    assert (await secrets.get("acme", ConnectionSecret.MONGO_URI)).get_secret_value() == "mongodb://acme.test"


@pytest.mark.parametrize("value", [None, ""])
async def test_a_missing_address_names_its_variable_and_means_nothing_else(value: str | None) -> None:
    name = "PRISMICX_CONNECTION_ACME_POSTGRES_DSN"
    secrets = EnvironmentSecrets({} if value is None else {name: value})

    with pytest.raises(SecretNotFoundError, match=name) as missing:
        await dedicated_address(secrets, "acme", ConnectionSecret.POSTGRES_DSN)

    assert (missing.value.connection, missing.value.secret) == ("acme", "postgres_dsn")


async def test_a_connection_says_in_a_word_that_a_database_stays_among_others() -> None:
    secrets = MappingSecrets({"acme": {"mongo_uri": "shared"}})

    assert await dedicated_address(secrets, "acme", ConnectionSecret.MONGO_URI) is None


@pytest.mark.parametrize("name", ["Acme", "a_b", "-a", "a-", "a--b", "", "vault:acme#dsn", "ä", "a\n"])
def test_a_name_that_does_not_fit_a_variable_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        variable_of(name, ConnectionSecret.MONGO_URI)


@given(st.tuples(NAMES, st.sampled_from(ConnectionSecret)), st.tuples(NAMES, st.sampled_from(ConnectionSecret)))
def test_no_two_secrets_share_a_variable(
    one: tuple[str, ConnectionSecret], other: tuple[str, ConnectionSecret]
) -> None:
    assert (variable_of(*one) == variable_of(*other)) is (one == other)


async def test_a_mapping_has_what_it_was_given() -> None:
    secrets = MappingSecrets({"acme": {"postgres_dsn": DSN}})

    assert (await secrets.get("acme", ConnectionSecret.POSTGRES_DSN)).get_secret_value() == DSN
    for connection, secret in (("acme", ConnectionSecret.MONGO_URI), ("globex", ConnectionSecret.POSTGRES_DSN)):
        with pytest.raises(SecretNotFoundError):
            await secrets.get(connection, secret)


def test_a_mapping_of_unknown_secrets_is_refused() -> None:
    with pytest.raises(ValueError, match="postgers_dsn"):
        MappingSecrets({"acme": {"postgers_dsn": DSN}})


def test_no_representation_shows_an_address() -> None:
    shown = [EnvironmentSecrets({"X": DSN}), MappingSecrets({"acme": {"postgres_dsn": DSN}})]

    assert "pa55word" not in f"{shown!r} {shown}"
