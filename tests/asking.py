"""Questions made from the schema: every field of whatever a root field leads to, with arguments that somebody chose."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from fleets import CAPABILITIES, ENVIRONMENTS, ERRORS, JOBS, MORNING, SOURCES, STRANGERS, WORKFLOWS
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_required_argument,
)
from hypothesis import strategies as st

from graph.schema import build_schema, core

SCHEMA = core(build_schema())
DEEPEST = 3  # objects within objects

Cursors = Callable[[str, str | None], Sequence[str]]  # of a list in an order, from somebody who sees everything


def _global_id(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


_SOME_JOB, _SOME_ROBOT, _SOME_WORKFLOW = (st.sampled_from(each) for each in (JOBS, STRANGERS, WORKFLOWS))
_GLOBAL_IDS = st.one_of(
    *(
        ids.map(lambda key, kind=kind: _global_id(f"{kind}:{key}"))
        for kind, ids in (("Job", _SOME_JOB), ("Robot", _SOME_ROBOT), ("Workflow", _SOME_WORKFLOW))
    )
)
_MOMENT = st.integers(1, 72).map(lambda hours: MORNING - timedelta(hours=hours))
_MEASURED = st.sampled_from([0, 1, 60_000.5, 300_000])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "jobId": _SOME_JOB,
    "robotId": _SOME_ROBOT,
    "workflowId": _SOME_WORKFLOW,
    "id": _GLOBAL_IDS,
    "ids": st.lists(_GLOBAL_IDS, max_size=4),
    "robotIds": st.lists(_SOME_ROBOT, max_size=3),
    "environment": st.sampled_from([*ENVIRONMENTS, "elsewhere"]),
    "errorType": st.sampled_from(ERRORS),
    "source": st.sampled_from(SOURCES),
    "capability": st.sampled_from(CAPABILITIES),
    "search": st.sampled_from(["said of j1", "said", "blue", "INTAKE", "r1", "host", "pay"]),
    "deadline": st.sampled_from([{"within": "PT1H"}, {"within": "P400D"}]),
    "first": st.integers(1, 4),
    "last": st.integers(1, 4),
    "exact": st.booleans(),
    "bins": st.integers(0, 5),
    "successRate": st.integers(0, 100),
    "averageDurationMs": _MEASURED,
    "p95DurationMs": _MEASURED,
    "p95QueueWaitMs": _MEASURED,
    "since": _MOMENT.map(lambda moment: moment.isoformat()),
    "createdAt": _MOMENT.map(lambda moment: {"from": moment.isoformat()}),
    "completedAt": _MOMENT.map(lambda moment: {"to": moment.isoformat()}),
    "window": st.sampled_from([{"last": "P2D"}, {"last": "P30D"}])
    | _MOMENT.map(
        lambda moment: {"between": {"from": moment.isoformat(), "to": (moment + timedelta(days=1)).isoformat()}}
    ),
}


class Asking:
    """Draws one question; `cursors` gives places to go on from, visible to whoever asks or not."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], cursors: Cursors) -> None:
        self._draw = draw
        self._cursors = cursors

    def question(self, root: str) -> str:
        """An operation of that root field."""
        return f"{{ {self._field(root, SCHEMA.query_type.fields[root], DEEPEST)} }}"

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        given = self._arguments(name, field)
        arguments = f"({', '.join(given)})" if given else ""
        return f"{name}{arguments}{self.selection(get_named_type(field.type), depth)}"

    def selection(self, type_: Any, depth: int) -> str:
        """All fields of a type, and of what they lead to so far."""
        if isinstance(type_, GraphQLInterfaceType):
            parts = [f"... on {each.name} {self.selection(each, depth)}" for each in SCHEMA.get_possible_types(type_)]
            return f" {{ __typename {' '.join(parts)} }}"
        if not isinstance(type_, GraphQLObjectType):
            return ""
        wrapper = type_.name.endswith(("Connection", "Edge", "PageInfo"))
        deeper = depth if wrapper else depth - 1
        fields = [
            self._field(name, field, deeper)
            for name, field in type_.fields.items()
            if deeper > 0 or not isinstance(get_named_type(field.type), GraphQLObjectType)
        ]
        return f" {{ __typename {' '.join(fields)} }}"

    def _arguments(self, name: str, field: GraphQLField) -> list[str]:
        values: dict[str, str] = {}
        for argument, given in field.args.items():
            if argument in {"after", "before"} and not _whole(given):
                continue
            if is_required_argument(given) or self._draw(st.booleans()):
                values[argument] = self._value(argument, given)
        if "orderBy" in field.args or name in {"activity", "workflows"}:
            places = self._cursors(name, values.get("orderBy"))
            for argument in {"after", "before"} & field.args.keys():
                if places and self._draw(st.integers(0, 3)) == 0:
                    values[argument] = f'"{self._draw(st.sampled_from(places))}"'
        return [f"{argument}: {value}" for argument, value in values.items()]

    def _value(self, name: str, given: GraphQLArgument | GraphQLInputField) -> str:
        type_ = get_named_type(given.type)
        if isinstance(type_, GraphQLEnumType):
            words = st.sampled_from(sorted(type_.values))
            several = isinstance(_nullable(given.type), GraphQLList)
            return _literal(self._draw(st.lists(words, max_size=3)), quoted=False) if several else self._draw(words)
        if isinstance(type_, GraphQLInputObjectType) and name not in VALUES:
            chosen = [each for each in type_.fields if self._draw(st.integers(0, 3)) == 0]
            parts = [f"{each}: {self._value(each, type_.fields[each])}" for each in chosen]
            return f"{{{', '.join(parts)}}}"
        if name == "after" and _whole(given):
            return str(self._draw(st.integers(-1, 1)))
        return _literal(self._draw(VALUES[name]))  # a KeyError here: say above what the new argument may be


def _nullable(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _whole(given: GraphQLArgument | GraphQLInputField) -> bool:
    return get_named_type(given.type).name == "Int"


def _literal(value: Any, *, quoted: bool = True) -> str:
    """The value as it stands in a document."""
    if isinstance(value, list):
        return f"[{', '.join(_literal(each, quoted=quoted) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_literal(each)}' for name, each in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) and quoted else str(value)
