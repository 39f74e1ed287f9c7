"""Identifiers, and the only functions that build the names of schemas, databases and roles from them."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Iterable
from typing import Any, ClassVar, Final, Self, final
from uuid import UUID

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from prismicx.domain.errors import InvalidNameError, InvalidPluginTypeError, InvalidTenantIdError

LONGEST_NAME: Final = 63
"""Bytes that PostgreSQL keeps of a name and MongoDB allows in a database's name."""


def new_id() -> UUID:
    """Return a UUIDv7: sortable by the time it was made, to about 250 nanoseconds, and 62 bits of chance.

    Source: RFC 9562, section 5.7, with the sub-millisecond fraction of section 6.2, method 3.
    """
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))


class _Identifier:
    """A text that was validated when it was made, and is never repaired."""

    __slots__ = ("value",)
    value: str
    longest: ClassVar[int]
    pattern: ClassVar[re.Pattern[str]]
    rule: ClassVar[str]

    def __init__(self, value: str) -> None:
        if type(value) is not str:
            raise self._refused(value, f"it must be a str, not {type(value).__name__}")
        if not value:
            raise self._refused(value, "it is empty")
        if len(value) > self.longest:
            raise self._refused(value, f"it is longer than {self.longest} characters")
        if not self.pattern.fullmatch(value):
            raise self._refused(value, self.rule)
        object.__setattr__(self, "value", value)

    @classmethod
    def _refused(cls, value: object, reason: str) -> Exception:
        return InvalidNameError(cls.__name__.lower(), value, reason)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.value == other.value

    def __lt__(self, other: Self) -> bool:
        return bool(self._rank < other._rank)

    @property
    def _rank(self) -> Any:
        return self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.value,)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls(value),
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema(), when_used="json"
            ),
            json_schema_input_schema=core_schema.str_schema(),
        )


@final
class TenantId(_Identifier):
    """The name of one tenant: `[a-z0-9]`, then `[a-z0-9_-]`, ending in a letter or a digit; at most 40 characters.

    Raises:
        InvalidTenantIdError: the text is anything else; nothing is trimmed, folded or repaired.
    """

    __slots__ = ()
    longest = 40
    pattern = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?", re.ASCII)
    rule = "only a-z, 0-9, '_' and '-' are allowed, with a letter or a digit at both ends"

    @classmethod
    def _refused(cls, value: object, reason: str) -> Exception:
        return InvalidTenantIdError(value, reason)

    @classmethod
    def new(cls) -> TenantId:
        """Return an id that no other tenant has: `tenant-` and the 26 base32 characters of a UUIDv7."""
        return cls("tenant-" + base64.b32encode(new_id().bytes).decode("ascii").rstrip("=").lower())


@final
class PluginType(_Identifier):
    """A kind of plugin, such as `crm`: `[a-z]`, then `[a-z0-9_]`; at most 20 characters.

    No underscore stands first, last or beside another one.

    Raises:
        InvalidPluginTypeError: the text is anything else.
    """

    __slots__ = ()
    longest = 20
    pattern = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)
    rule = "only a-z, 0-9 and single inner '_' are allowed, with a letter first"

    @classmethod
    def _refused(cls, value: object, reason: str) -> Exception:
        return InvalidPluginTypeError(value, reason)


class _Label(_Identifier):
    __slots__ = ()
    longest = 40
    pattern = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
    rule = "only a-z, 0-9 and inner '-' are allowed"


@final
class Region(_Label):
    """Where a tenant's data lives, such as `eu-central-1`: `[a-z0-9-]`, at most 40 characters.

    Raises:
        InvalidNameError: the text is anything else.
    """

    __slots__ = ()


@final
class Tier(_Label):
    """What a tenant has bought, such as `standard`: `[a-z0-9-]`, at most 40 characters.

    Raises:
        InvalidNameError: the text is anything else.
    """

    __slots__ = ()


@final
class Version(_Identifier):
    """The version of a plugin: three numbers such as `1.2.0`, without leading zeros, ordered as numbers.

    Raises:
        InvalidNameError: the text is anything else; pre-releases and build tags are not known here.

    Source: Semantic Versioning 2.0.0, the version core.
    """

    __slots__ = ()
    longest = 32
    pattern = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}", re.ASCII)
    rule = "it takes three numbers, such as 1.2.0"

    def __le__(self, other: Self) -> bool:
        return not other < self

    @property
    def _rank(self) -> tuple[int, ...]:
        return tuple(map(int, self.value.split(".")))


def plugin_schema_name(tenant_id: TenantId, plugin_type: PluginType) -> str:
    """Return `tenant_<id>_<plugin>`, the PostgreSQL schema of one tenant's plugins of one type.

    The literal form is used where it reads back in one way only and fits; a plugin type with an underscore, or named
    `db`, and a name over 63 bytes get a short form that ends in a hash. No two pairs share a name.
    """
    literal = f"tenant_{tenant_id}_{plugin_type}"
    if "_" not in plugin_type.value and plugin_type.value != "db" and len(literal) <= LONGEST_NAME:
        return literal
    return _with_hash(literal, "plugin", tenant_id.value, plugin_type.value)


def tenant_database_name(tenant_id: TenantId) -> str:
    """Return `tenant_<id>_db`, the database of one tenant (at most 50 bytes, so always the literal form)."""
    return f"tenant_{tenant_id}_db"


def places_of(tenant_id: TenantId, plugin_types: Iterable[PluginType]) -> tuple[str, ...]:
    """Return the names of a tenant's schemas and databases."""
    schemas = (plugin_schema_name(tenant_id, plugin_type) for plugin_type in plugin_types)
    return (tenant_database_name(tenant_id), *schemas)


def owner_of_place(name: str) -> TenantId | None:
    """Return the tenant whose schema or database has this name, if the name says it literally; hashed ones do not."""
    found = _LITERAL_PLACE.fullmatch(name)
    try:
        return TenantId(found[1]) if found else None
    except InvalidTenantIdError:
        return None


def schema_role_name(database: str, schema: str) -> str:
    """Return the role that owns one schema. Roles belong to the whole server, so the database is part of the hash."""
    return _with_hash(schema, "role", database, schema)


def _with_hash(readable: str, *parts: str) -> str:
    # The last segment starts with a digit, which no plugin type does: never equal to a literal name.
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    suffix = "_0" + base64.b32encode(digest[:10]).decode("ascii").lower()
    return readable[: LONGEST_NAME - len(suffix)] + suffix


_LITERAL_PLACE: Final = re.compile(r"tenant_(.+)_[a-z][a-z0-9]*", re.ASCII)
_STORED_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,51}", re.ASCII)


def stored_name(kind: str, name: str) -> str:
    """Return the name of a table, a collection or a column unchanged.

    Raises:
        InvalidNameError: not `[a-z][a-z0-9_]*` of at most 52 bytes (what is left on a Citus shard).
    """
    if type(name) is not str or not _STORED_NAME.fullmatch(name):
        raise InvalidNameError(kind, name, "only a-z, 0-9 and '_' are allowed, a letter first, at most 52 characters")
    return name
