"""What becomes of a report, and what is kept of one that is not taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

from datasources.postgres import Connection, fetch
from datasources.scope import Scope
from datasources.sql import queries

_SQL = queries("reports/refusals")
_LONGEST_MESSAGE = 1000  # characters
REPORTED = "report"  # the source of jobs that robots report themselves


class ReportOutcome(Enum):
    """What became of a report."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class RefusalCode(StrEnum):
    """Why a report was not taken."""

    UNKNOWN_ROBOT = "UNKNOWN_ROBOT"
    UNKNOWN_JOB = "UNKNOWN_JOB"
    ILLEGAL_TRANSITION = "ILLEGAL_TRANSITION"
    CLAIMED_BY_ANOTHER = "CLAIMED_BY_ANOTHER"
    INVALID_VALUE = "INVALID_VALUE"
    OWNED_BY_SOURCE = "OWNED_BY_SOURCE"
    NAME_TAKEN = "NAME_TAKEN"
    OUTSIDE_SCOPE = "OUTSIDE_SCOPE"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one thing was not taken; `index` is its place in the report, `key` names it."""

    code: RefusalCode
    message: str
    key: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a report: the outcome for the whole, how much of it was taken, and what was not."""

    outcome: ReportOutcome
    accepted: int = 0
    refused: Sequence[Refusal] = ()


async def refused(connection: Connection, refusal: Refusal) -> Reported:
    """A report of which nothing is taken."""
    await keep(connection, [refusal])
    return Reported(ReportOutcome.REFUSED, refused=[refusal])


async def keep(connection: Connection, refusals: Sequence[Refusal]) -> None:
    """Put refusals where operators look for them, in one order so that two reports never wait for each other."""
    if refusals:
        kept = {(refusal.key, refusal.code.value): refusal.message for refusal in refusals}
        rows = sorted((key, code, message) for (key, code), message in kept.items())
        keys, codes, messages = map(list, zip(*rows, strict=True))
        parameters = {"source": REPORTED, "keys": keys, "codes": codes, "messages": messages}
        await fetch(connection, _SQL["refuse"], parameters)


def owned(key: str, source: str) -> Refusal | None:
    """Why robots do not tell of this job, if an attached source does."""
    if source == REPORTED:
        return None
    return Refusal(RefusalCode.OWNED_BY_SOURCE, f"job {key} is known from {source}, which tells its life", key)


def unknown_robot(robot_id: str, key: str) -> Refusal:
    """Why nothing is told of a robot; within a scope one outside is as one that never registered."""
    return Refusal(RefusalCode.UNKNOWN_ROBOT, f"robot {robot_id} is not registered: call registerRobot first", key)


def outside(what: str, key: str, scope: Scope) -> Refusal:
    """Why somebody may not tell of this: the same words whether it is the environment that lies outside or the id that
    is taken there. That an id is taken shows all the same where the environment lies within: ids of robots and jobs,
    and names of queue managers, are those of one thing in all environments."""
    message = f"{what} {key} does not lie within your environments, or would leave them: {', '.join(scope.names or ())}"
    return Refusal(RefusalCode.OUTSIDE_SCOPE, message[:_LONGEST_MESSAGE], key)


async def environment_of_robot(connection: Connection, robot_id: str) -> str | None:
    """Where a robot belongs; None if it is not known."""
    rows = await fetch(connection, _SQL["environment_of_robot"], {"robot_id": robot_id})
    return str(rows[0]["environment"]) if rows else None
