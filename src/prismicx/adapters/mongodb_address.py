"""What every client of MongoDB is given: an address that may hold a password, and the name of a database."""

from __future__ import annotations

import re
from typing import Final

from prismicx.domain.errors import DatabaseUnavailableError, InvalidNameError

_DATABASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_OF_THE_SERVER: Final = frozenset(("admin", "local", "config"))

ADVICE: Final = "check that the server runs there and that nothing in between refuses connections"


def address_of(connection_string: str) -> str:
    """Return `mongodb://host:port` of a connection string: no user, no password, no option."""
    scheme, _, rest = str(connection_string).partition("://")
    hosts = re.split(r"[/?&]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}://{hosts}" if hosts else "an address that is not of the form mongodb://host:port"


def unavailable(connection_string: str, advice: str = ADVICE) -> DatabaseUnavailableError:
    """Return the error that says that nobody answers there."""
    return DatabaseUnavailableError(address_of(connection_string), advice)


def database_name(name: str) -> str:
    """Return the name of the database that all tenants share, unchanged.

    Raises:
        InvalidNameError: it is no name, one of the server's own, or one that could be a single tenant's.
    """
    if type(name) is not str or not _DATABASE.fullmatch(name):
        raise InvalidNameError("database name", name, "only letters, digits, '_' and '-' are allowed, at most 63")
    if name.lower() in _OF_THE_SERVER:
        raise InvalidNameError("database name", name, "the server keeps its own data there")
    if name.lower().startswith("tenant_"):
        raise InvalidNameError("database name", name, "names that begin with tenant_ belong to single tenants")
    return name
