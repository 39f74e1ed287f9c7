"""Settings: the environment, read once, validated, and silent about passwords."""

from __future__ import annotations

import os
import traceback

import pytest
from pydantic import SecretStr, ValidationError

from prismicx.domain.errors import SettingsError
from prismicx.settings import Settings

DSN = "postgresql://app:pa55word@db.test:5432/service"
URI = "mongodb://app:pa55word@mongo.test:27017/?replicaSet=rs0"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("PRISMICX_"):
            monkeypatch.delenv(name)


def test_the_environment_says_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "POSTGRES_DSN": DSN,
        "POSTGRES_ADMIN_DSN": DSN.replace("app", "owner"),
        "POSTGRES_SYSTEM_DSN": DSN.replace("app", "system"),
        "POSTGRES_OUTBOX_DSN": DSN.replace("app", "relay"),
        "OUTBOX": "true",
        "TENANT_PROOF_KEYS": "k" * 32,
        "CURSOR_KEYS": "c" * 32,
        "MIN_POOL_SIZE": "3",
        "MAX_POOL_SIZE": "30",
        "POOLER": "transaction",
        "MONGO_URI": URI,
        "MONGO_SYSTEM_URI": URI.replace("app", "system"),
        "MONGO_USER_KEYS": "u" * 32,
        "MAX_MONGO_LOGINS": "7",
        "MONGO_DATABASE": "platform",
        "REGISTRY": "mongo",
        "MAX_DEDICATED_DATABASES": "3",
        "TENANT_MAX_AGE": "1.5",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"PRISMICX_{name}", value)

    assert Settings.load() == Settings(
        postgres_dsn=SecretStr(DSN),
        postgres_admin_dsn=SecretStr(DSN.replace("app", "owner")),
        postgres_system_dsn=SecretStr(DSN.replace("app", "system")),
        postgres_outbox_dsn=SecretStr(DSN.replace("app", "relay")),
        outbox=True,
        tenant_proof_keys=SecretStr("k" * 32),
        cursor_keys=SecretStr("c" * 32),
        min_pool_size=3,
        max_pool_size=30,
        pooler="transaction",
        mongo_uri=SecretStr(URI),
        mongo_system_uri=SecretStr(URI.replace("app", "system")),
        mongo_user_keys=SecretStr("u" * 32),
        max_mongo_logins=7,
        mongo_database="platform",
        registry="mongo",
        max_dedicated_databases=3,
        tenant_max_age=1.5,
    )


def test_every_setting_is_documented() -> None:
    assert Settings.__doc__ is not None
    for name in Settings.model_fields:
        assert f"{name}: " in Settings.__doc__


def test_what_is_given_stands_in_place_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISMICX_POSTGRES_DSN", DSN)
    monkeypatch.setenv("PRISMICX_MONGO_DATABASE", "platform")

    settings = Settings.load({"postgres_dsn": "postgresql://other.test/x", "mongo_database": None})

    assert settings.postgres_dsn == SecretStr("postgresql://other.test/x")
    assert settings.mongo_database == "platform"


@pytest.mark.parametrize(
    ("given", "registry"),
    [
        ({"postgres_dsn": DSN}, "postgres"),
        ({"mongo_uri": URI}, "mongo"),
        ({"postgres_dsn": DSN, "mongo_uri": URI}, "postgres"),
        ({"postgres_dsn": DSN, "mongo_uri": URI, "registry": "mongo"}, "mongo"),
        ({"registry": "memory"}, "memory"),
    ],
)
def test_the_registry_is_in_postgresql_unless_there_is_none(given: dict[str, object], registry: str) -> None:
    assert Settings.load(given).registry == registry


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "no database is configured: set PRISMICX_POSTGRES_DSN, PRISMICX_MONGO_URI or both"),
        ({"postgres_dsn": URI}, "PRISMICX_POSTGRES_DSN: it is not an address like postgresql://"),
        ({"mongo_uri": DSN}, "PRISMICX_MONGO_URI: it is not an address like mongodb://"),
        ({"postgres_dsn": DSN, "postgres_admin_dsn": "app:pa55word@db.test"}, "PRISMICX_POSTGRES_ADMIN_DSN: it is not"),
        ({"mongo_uri": URI, "registry": "postgres"}, "the registry cannot be in PostgreSQL without"),
        ({"postgres_dsn": DSN, "registry": "mongo"}, "the registry cannot be in MongoDB without"),
        ({"mongo_uri": URI, "postgres_admin_dsn": DSN}, "PRISMICX_POSTGRES_ADMIN_DSN is of no use without"),
        ({"mongo_uri": URI, "tenant_proof_keys": "k" * 32}, "PRISMICX_TENANT_PROOF_KEYS is of no use without"),
        ({"mongo_uri": URI, "postgres_system_dsn": DSN}, "PRISMICX_POSTGRES_SYSTEM_DSN is of no use without"),
        ({"postgres_dsn": DSN, "mongo_system_uri": URI}, "PRISMICX_MONGO_SYSTEM_URI is of no use without"),
        ({"postgres_dsn": DSN, "mongo_user_keys": "u" * 32}, "PRISMICX_MONGO_USER_KEYS is of no use without"),
        ({"postgres_dsn": DSN, "postgres_system_dsn": URI}, "PRISMICX_POSTGRES_SYSTEM_DSN: it is not an address"),
        ({"mongo_uri": URI, "outbox": True, "postgres_outbox_dsn": DSN}, "PRISMICX_POSTGRES_OUTBOX_DSN is of no use"),
        ({"postgres_dsn": DSN, "postgres_outbox_dsn": DSN}, "PRISMICX_POSTGRES_OUTBOX_DSN is of no use without"),
        ({"mongo_uri": URI, "mongo_system_uri": DSN}, "PRISMICX_MONGO_SYSTEM_URI: it is not an address"),
        ({"postgres_dsn": DSN, "min_pool_size": 5, "max_pool_size": 4}, "PRISMICX_MIN_POOL_SIZE is larger than"),
        ({"postgres_dsn": DSN, "max_pool_size": 0}, "PRISMICX_MAX_POOL_SIZE: Input should be greater"),
        ({"postgres_dsn": DSN, "pooler": "session"}, "PRISMICX_POOLER: Input should be 'none' or 'transaction'"),
        ({"postgres_dsn": DSN, "tenant_max_age": "nan"}, "PRISMICX_TENANT_MAX_AGE: Input should be"),
        ({"postgres_dsn": DSN, "postgres_dns": DSN}, "PRISMICX_POSTGRES_DNS: Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_named_and_no_value_is_shown(given: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(given)

    assert problem in str(refused.value)
    assert "pa55word" not in "".join(traceback.format_exception(refused.value))


def test_every_problem_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load({"postgres_dsn": URI, "mongo_uri": DSN})

    assert len(refused.value.problems) == 2


def test_no_representation_shows_a_password() -> None:
    settings = Settings.load({"postgres_dsn": DSN, "postgres_admin_dsn": DSN, "mongo_uri": URI})

    assert "pa55word" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_settings_are_frozen() -> None:
    settings = Settings.load({"postgres_dsn": DSN})

    with pytest.raises(ValidationError):
        settings.max_pool_size = 11
