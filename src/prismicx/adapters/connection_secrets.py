"""Secrets of connections, from the environment or from a mapping."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from prismicx.domain.connections import ConnectionSecret, ConnectionSecrets
from prismicx.domain.errors import InvalidNameError, SecretNotFoundError

_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


class EnvironmentSecrets(ConnectionSecrets):
    """Secrets in environment variables: `PRISMICX_CONNECTION_<NAME>_POSTGRES_DSN` and so on.

    A connection's name has lower-case letters, digits and single hyphens; in the variable they are capital letters,
    digits and underscores. So no two names share a variable.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Read them from this environment, or from the process's own, each time one is asked for."""
        self._environment = os.environ if environment is None else environment

    async def get(self, connection: str, secret: ConnectionSecret) -> SecretStr:
        variable = variable_of(connection, secret)
        value = self._environment.get(variable)
        if not value:
            raise SecretNotFoundError(connection, secret.value, f"set {variable}")
        return SecretStr(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MappingSecrets(ConnectionSecrets):
    """Secrets in a mapping, for tests: `{"acme": {"postgres_dsn": "postgresql://…"}}`."""

    def __init__(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        self._secrets = {
            connection: {ConnectionSecret(name): SecretStr(value) for name, value in given.items()}
            for connection, given in secrets.items()
        }

    async def get(self, connection: str, secret: ConnectionSecret) -> SecretStr:
        try:
            return self._secrets[connection][secret]
        except KeyError:
            raise SecretNotFoundError(connection, secret.value, "this process was given none") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sorted(self._secrets)})"


def variable_of(connection: str, secret: ConnectionSecret) -> str:
    """Return the name of the environment variable that holds a secret.

    Raises:
        InvalidNameError: the name of the connection does not fit a variable.
    """
    if not _NAME.fullmatch(connection):
        reason = "in an environment variable it takes lower-case letters, digits and single hyphens between them"
        raise InvalidNameError("connection's name", connection, reason)
    return f"PRISMICX_CONNECTION_{connection.upper().replace('-', '_')}_{secret.name}"
