"""Times and durations as text, and enums whose every value says what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NewType

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.scalar import ScalarDefinition

from graph.errors import BadUserInput

_DURATION = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)
_MOMENT = re.compile(r"[0-9TWZ:.,+ -]{10,40}", re.IGNORECASE | re.ASCII)  # fromisoformat reads past a NUL

Duration = NewType("Duration", timedelta)


def format_time(moment: datetime) -> str:
    """The moment in UTC, as ISO 8601 with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(value: object) -> datetime:
    """The moment in an ISO 8601 text that names its offset."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and _MOMENT.fullmatch(value) else None
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
        reason = "names no offset" if moment is not None else "is not one"
    except (ValueError, OverflowError) as error:
        reason = f"is not one ({error})"
    raise BadUserInput(f"A time looks like 2026-01-31T12:00:00Z; {value!r:.60} {reason:.100}.")


def parse_duration(value: object) -> Duration:
    """The length of time in an ISO 8601 duration of weeks, days, hours, minutes and seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadUserInput(f"{value!r:.60} is not an ISO 8601 duration, like P7D or PT12H")
    return Duration(timedelta(**{unit: int(count) for unit, count in match.groupdict().items() if count}))


def _format_duration(length: timedelta) -> str:
    return f"PT{int(length.total_seconds())}S"


SCALARS: Mapping[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment as ISO 8601 text, in UTC with `Z`: `2026-01-31T12:00:00Z`. "
        "As input any offset is taken, but one must be named.",
        serialize=format_time,
        parse_value=parse_time,
    ),
    Duration: strawberry.scalar(
        name="Duration",
        description="A length of time as ISO 8601 text: `P7D`, `PT12H`, `P1DT30M`. Weeks, days, hours, minutes and "
        "seconds; months and years have no fixed length and are not taken.",
        serialize=_format_duration,
        parse_value=parse_duration,
    ),
}


def described_enum(enum: type[Enum], description: str, values: Mapping[Enum, str], name: str | None = None) -> None:
    """Put an enum of `datasources` into the schema, with a description for each of its values."""
    strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    by_name = {member.name: text for member, text in values.items()}
    for value in definition.values:
        value.description = by_name[value.name]
