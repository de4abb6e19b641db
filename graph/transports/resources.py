"""The paths of the documents, as data: which stored operation answers each, how its parameters are read, and how often.

A parameter is called as its variable in rest.graphql. An empty filter is no filter, as it is for those who call today.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from graph.errors import BadUserInput
from graph.types.scalars import parse_time

LONGEST_ID = 255  # characters
_LONGEST_CURSOR = 4096
_PRINTABLE = r"^[^\u0000]*$"


class BadParameter(Exception):
    """A parameter's value makes no sense."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name} {message}")
        self.parameter = name


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: its JSON schema, the variable's value for a text, which is None for no value, and that of none."""

    name: str
    description: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any]
    default: Any = None
    in_path: bool = False

    def value(self, given: list[str]) -> Any:
        """The variable's value for what was given; raises BadParameter where that makes no sense."""
        if len(given) > 1:
            raise BadParameter(self.name, "is given more than once.")
        try:
            return self.read(given[0]) if given else self.default
        except ValueError as error:
            raise BadParameter(self.name, str(error)) from error


@dataclass(frozen=True, slots=True)
class Resource:
    """A path and its stored operation; a list says how many items it has at most, an `item` of one what an id names."""

    path: str
    operation: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    item: str | None = None
    most: int | None = None
    per_minute: int = 100  # requests of one caller
    envelope: tuple[str, str] | None = None  # the names of a list and its length, where it is not a plain array


def _number(name: str, description: str, least: int, most: int, default: int, pattern: str | None = None) -> Parameter:
    def read(text: str) -> int | str:
        number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
        if number is None or not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {text!r:.60}.")
        return number if pattern is None else pattern.format(number)

    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return Parameter(name, description, schema, read, read(str(default)))


def _words(name: str, description: str, words: Mapping[str, list[str]], default: list[str] | None = None) -> Parameter:
    def read(text: str) -> list[str] | None:
        if text and text not in words:
            raise ValueError(f"must be one of {', '.join(words)}, not {text!r:.60}.")
        return words[text] if text else default

    return Parameter(name, description, {"type": "string", "enum": [*words, ""]}, read, default)


def _text(name: str, description: str, longest: int, *, in_path: bool = False) -> Parameter:
    def read(text: str) -> str | None:
        if len(text) > longest or "\0" in text:
            raise ValueError(f"must be text of at most {longest} characters, without NUL.")
        return text if in_path else text or None

    schema: dict[str, Any] = {"type": "string", "maxLength": longest, "pattern": _PRINTABLE}
    if in_path:
        schema["minLength"] = 1
    return Parameter(name, description, schema, read, in_path=in_path)


def _moment(name: str, description: str) -> Parameter:
    def read(text: str) -> str | None:
        try:
            naive = datetime.fromisoformat(text) if "\0" not in text else None
        except ValueError:
            naive = None
        if naive is not None and naive.tzinfo is None:
            return naive.replace(tzinfo=UTC).isoformat()
        try:
            return parse_time(text).isoformat() if text else None
        except BadUserInput as error:
            raise ValueError(f"must be a time. {error}") from error

    schema = {"anyOf": [{"type": "string", "format": "date-time"}, {"const": ""}]}
    return Parameter(name, description, schema, read)


def _flag(name: str, description: str) -> Parameter:
    def read(text: str) -> bool:
        if text not in {"true", "false"}:
            raise ValueError(f"must be true or false, not {text!r:.60}.")
        return text == "true"

    return Parameter(name, description, {"type": "boolean", "default": False}, read, default=False)


def _limit(most: int) -> Parameter:
    return _number("limit", "How many at most.", 1, most, 50)


_AFTER = _text("after", "Go on behind this place, as the `next` of the `Link` header does.", _LONGEST_CURSOR)
_COUNT = _flag("count", "Whether to count the whole list, into the header `X-Total-Count`.")

_EVENTS = {
    word: [word.upper()] for word in ("job_started", "job_completed", "job_failed", "robot_online", "robot_offline")
}

RESOURCES = (
    Resource("/metrics/fleet", "Fleet", "The fleet in numbers"),
    Resource(
        "/metrics/robots",
        "Robots",
        "All robots, by their ids",
        (
            _words(
                "status",
                "Only robots in this state.",
                {word: [word.upper()] for word in ("idle", "busy", "offline", "failed")},
            ),
            _AFTER,
            _COUNT,
        ),
        most=5000,
    ),
    Resource(
        "/metrics/robots/{robot_id}",
        "Robot",
        "One robot",
        (_text("robot_id", "The robot's id.", LONGEST_ID, in_path=True),),
        item="robot",
        per_minute=200,
    ),
    Resource(
        "/metrics/jobs",
        "Jobs",
        "Jobs, newest first",
        (
            _limit(500),
            _words(
                "status",
                "Only jobs in this state; `running` is another word for `claimed`.",
                {
                    **{word: [word.upper()] for word in ("pending", "claimed", "completed", "failed", "cancelled")},
                    "running": ["CLAIMED"],
                },
            ),
            _text("workflow_id", "Only jobs of this workflow.", LONGEST_ID),
            _text("robot_id", "Only jobs of this robot.", LONGEST_ID),
            _AFTER,
            _COUNT,
        ),
        most=500,
        per_minute=50,
    ),
    Resource(
        "/metrics/jobs/{job_id}",
        "Job",
        "One job, with its steps",
        (_text("job_id", "The job's id.", LONGEST_ID, in_path=True),),
        item="job",
        per_minute=200,
    ),
    Resource(
        "/metrics/analytics",
        "Analytics",
        "How the jobs of the last days went",
        (_number("days", "How many days back.", 1, 90, 7, "P{}D"),),
        per_minute=20,
    ),
    Resource(
        "/metrics/activity",
        "Activity",
        "What happened, newest first",
        (
            _limit(200),
            _moment("since", "Only what happened since then; in UTC, where no offset is named."),
            _words(
                "event_type",
                "Only events of this type. No schedule is known here: there are no `schedule_triggered`.",
                {**_EVENTS, "schedule_triggered": []},
                [type_ for types in _EVENTS.values() for type_ in types],
            ),
            _AFTER,
        ),
        most=200,
        per_minute=60,
        envelope=("events", "total"),
    ),
)
