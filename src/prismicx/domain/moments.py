"""What a time means on every backend: UTC, cut to whole milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import core_schema


def utc_milliseconds(moment: datetime) -> datetime:
    """Return the moment in UTC, cut to whole milliseconds: MongoDB keeps no more, so nobody does.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is UTC and not moment.microsecond % 1000:
        return moment
    if moment.tzinfo is None:
        raise ValueError("a time needs a time zone; use datetime.now(UTC)")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("in UTC the time is before the year 1 or after the year 9999") from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Moment = Annotated[datetime, AfterValidator(utc_milliseconds)]
"""A time as an attribute of a value object, which is the same before and after it was stored."""


def utc_now() -> datetime:
    """Return the time that it is, in UTC, cut to whole milliseconds."""
    return utc_milliseconds(datetime.now(UTC))


def with_utc_times(schema: Any) -> Any:
    """Return a pydantic core schema in which each time goes through `utc_milliseconds`."""
    if isinstance(schema, dict):
        walked: Any = {key: with_utc_times(value) for key, value in schema.items()}
        if walked.get("type") == "datetime":
            return core_schema.no_info_after_validator_function(utc_milliseconds, walked)
        if walked.get("type") == "default" and walked != schema:
            walked["validate_default"] = True  # the default is a time, or holds one
        return walked
    if isinstance(schema, list):
        return [with_utc_times(item) for item in schema]
    if isinstance(schema, tuple):
        return tuple(with_utc_times(item) for item in schema)
    return schema
