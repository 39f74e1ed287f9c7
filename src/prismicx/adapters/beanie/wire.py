"""Values as the driver sends and receives them, without its detours over UUIDs, zones and Python's numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID, SafeUUID

from bson import Binary, CodecOptions, Decimal128, Int64
from bson.binary import UUID_SUBTYPE

WIRE: Final = CodecOptions[dict[str, Any]]()
"""How repositories read: UUIDs are still binary and times without a zone, which takes half of the driver's time."""

_new: Final = object.__new__
_set_number: Final = UUID.__dict__["int"].__set__
_set_safety: Final = UUID.__dict__["is_safe"].__set__
_UNKNOWN: Final = SafeUUID.unknown


class UuidBinary(Binary):
    """A UUID as BSON has it: what `Binary.from_uuid` makes, in a fifth of the time."""

    __new__ = bytes.__new__  # type: ignore[assignment]  # of its sixteen bytes, without a subtype to choose
    _Binary__subtype = UUID_SUBTYPE


def uuid_to_wire(identity: UUID) -> UuidBinary:
    """Return a UUID as it is sent."""
    sent: UuidBinary = UuidBinary(identity.int.to_bytes(16, "big"))
    return sent


def uuid_from_wire(received: Any) -> Any:
    """Return the UUID that was received; anything else is left as it is."""
    if type(received) is not Binary or received.subtype != UUID_SUBTYPE or len(received) != 16:
        return received
    identity = _new(UUID)  # which has no faster way to be made of bytes
    _set_number(identity, int.from_bytes(received, "big"))
    _set_safety(identity, _UNKNOWN)
    return identity


def moment_from_wire(received: Any) -> Any:
    """Return the time that was received, in UTC; anything else is left as it is."""
    if type(received) is datetime and received.tzinfo is None:
        return received.replace(tzinfo=UTC)
    return received


def date_from_wire(received: Any) -> Any:
    """Return the date that was received as text; anything else is left as it is."""
    try:
        return date.fromisoformat(received)
    except (TypeError, ValueError):
        return received


def structure_from_wire(received: Any) -> Any:
    """Return what was received with Python's types for BSON's, however deep they are."""
    match received:
        case dict():
            return {key: structure_from_wire(item) for key, item in received.items()}
        case list():
            return [structure_from_wire(item) for item in received]
        case Decimal128():
            return received.to_decimal()
        case Int64():
            return int(received)
        case datetime():
            return moment_from_wire(received)
        case Binary():
            return uuid_from_wire(received)
    return received
