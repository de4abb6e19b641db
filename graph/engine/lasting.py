"""How long an answer lasts, by the fields that it shows: the one place that decides what may be given again.

A field that has no resolver is part of what its parent's resolver gave. Any other lasts not at all unless it is named
here: so a new one that looks at the clock, at a worker's memory or at who asks is shared with nobody by mistake. In SQL
there is one clock that these fields look at, the silence of robots, and a snapshot knows it; a test sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema
from strawberry.types.field import StrawberryField

_PAGE = frozenset({"edges", "nodes", "pageInfo", "totalCount"})

# What comes from Postgres and nowhere else, with the day in UTC as the only clock.
UNTIL_CHANGED: Mapping[str, frozenset[str]] = {
    "Query": frozenset({"robot", "robots", "job", "jobs", "workflow", "workflows", "activity", "node", "nodes"}),
    "Node": frozenset({"id"}),
    "Job": frozenset({"id", "robot", "workflow", "nodeExecutions"}),
    "Robot": frozenset(
        {
            "id",
            "currentJob",
            "jobsCompletedToday",
            "jobsFailedToday",
            "averageJobDurationSeconds",
            "jobs",
            "heartbeats",
        }
    ),
    "Workflow": frozenset({"id", "jobs"}),
    "NodeExecution": frozenset({"success"}),
    "Activity": frozenset({"eventId", "type", "kind", "timestamp", "title", "details", "job", "robot"}),
    "JobConnection": _PAGE,
    "RobotConnection": _PAGE,
    "WorkflowConnection": _PAGE,
    "ActivityConnection": _PAGE,
}

# What comes from Postgres as well, and looks at the clock: of these types every field.
FOR_THE_MOMENT = frozenset(
    {"Analytics", "ErrorTypeCount", "QueueWait", "EfficiencyScore", "SlaCompliance", "Comparison"}
)
_LEADING_THERE = frozenset({("Query", "analytics"), ("Robot", "analytics"), ("Workflow", "analytics")})

# What comes from the live fleet in a worker's memory, for everybody who sees the same: of these types every field.
IN_MEMORY = frozenset({"Fleet", "EnvironmentDepth", "Throughput", "DrainAssumptions", "RobotsNeeded"})
_LEADING_TO_MEMORY = ("Query", "fleet")


class Lasting(IntEnum):
    """How long an answer is true for those who see the same."""

    NOT_AT_ALL = 0  # it is for one alone
    A_PASS = 1  # for those whom one pass of the event loop answers
    A_MOMENT = 2  # for those who wait together
    UNTIL_CHANGED = 3  # as long as nothing is committed, and no robot falls silent


Field = tuple[str, str]  # a type and one of its fields


def lasting_fields(schema: GraphQLSchema) -> Mapping[Field, Lasting]:
    """How long each field of the schema lasts; those that are missing do not."""
    found = {}
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                definition = field.extensions.get("strawberry-definition")
                given = isinstance(definition, StrawberryField) and definition.base_resolver is None
                found[type_.name, name] = _lasting(type_.name, name, given=given)
    return found


def lasting(fields: Iterable[Field], known: Mapping[Field, Lasting]) -> Lasting:
    """How long an answer lasts that shows these."""
    return min((known.get(field, Lasting.NOT_AT_ALL) for field in fields), default=Lasting.NOT_AT_ALL)


def _lasting(type_: str, name: str, *, given: bool) -> Lasting:
    if name in UNTIL_CHANGED.get(type_, ()):
        return Lasting.UNTIL_CHANGED
    if type_ in FOR_THE_MOMENT or (type_, name) in _LEADING_THERE:
        return Lasting.A_MOMENT
    if type_ in IN_MEMORY or (type_, name) == _LEADING_TO_MEMORY:
        return Lasting.A_PASS
    return Lasting.UNTIL_CHANGED if given else Lasting.NOT_AT_ALL
