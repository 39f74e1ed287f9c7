"""Values on the wire: the driver's own, with less ado."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import bson
import pytest
from bson import Binary, CodecOptions, Decimal128, Int64
from bson.binary import UuidRepresentation

from prismicx.adapters.beanie.wire import (
    WIRE,
    date_from_wire,
    moment_from_wire,
    structure_from_wire,
    uuid_from_wire,
    uuid_to_wire,
)

DRIVERS = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)


@pytest.mark.parametrize("identity", [UUID(int=0), UUID(int=2**128 - 1), uuid4()])
def test_a_uuid_is_sent_and_received_as_the_driver_does(identity: UUID) -> None:
    sent = uuid_to_wire(identity)

    assert bson.encode({"_id": sent}) == bson.encode({"_id": identity}, codec_options=DRIVERS)
    assert sent == Binary.from_uuid(identity)
    received = uuid_from_wire(bson.decode(bson.encode({"_id": sent}), WIRE)["_id"])
    assert type(received) is UUID
    assert (received, hash(received), str(received)) == (identity, hash(identity), str(identity))
    assert pickle.loads(pickle.dumps(received)) == identity


@pytest.mark.parametrize("other", [uuid4(), "text", Binary(b"1234"), Binary(b"1234", 4), Binary(bytes(16), 3), None])
def test_what_is_no_uuid_on_the_wire_is_left_as_it_is(other: Any) -> None:
    assert uuid_from_wire(other) is other


def test_a_moment_is_received_in_utc() -> None:
    moment = datetime(2026, 5, 1, 12, 30, 15, 123000, tzinfo=timezone(timedelta(hours=2)))
    received = bson.decode(bson.encode({"at": moment}), WIRE)["at"]

    assert moment_from_wire(received) == moment
    assert moment_from_wire(received).tzinfo is UTC
    assert moment_from_wire(moment) is moment
    assert moment_from_wire("noon") == "noon"


def test_a_date_is_received_from_text_and_anything_else_left_for_pydantic() -> None:
    assert date_from_wire("2026-05-01") == date(2026, 5, 1)
    assert date_from_wire("yesterday") == "yesterday"
    assert date_from_wire(7) == 7


def test_a_structure_is_received_with_pythons_types_however_deep() -> None:
    identity, moment = uuid4(), datetime(2026, 5, 1, tzinfo=UTC)
    received = {
        "deep": [
            {"id": Binary.from_uuid(identity), "at": moment.replace(tzinfo=None)},
            Decimal128("1.50"),
            Int64(2**40),
            b"raw",
        ]
    }

    structure = structure_from_wire(received)

    assert structure == {"deep": [{"id": identity, "at": moment}, Decimal("1.50"), 2**40, b"raw"]}
    assert type(structure["deep"][2]) is int
