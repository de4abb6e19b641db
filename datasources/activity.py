"""Activity: the ledger read backwards by people, with the words that a feed has for what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from datasources.paging import Ordering, Page, PageRequest, page
from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("activity")

NEWEST_FIRST = Ordering("e.at", "timestamptz", "at", descending=True)


class ActivityType(StrEnum):
    """What happened, as a feed of activity calls it."""

    JOB_STARTED = "job_started"
    JOB_COMPLETED = "job_completed"
    JOB_FAILED = "job_failed"
    JOB_CANCELLED = "job_cancelled"
    ROBOT_ONLINE = "robot_online"
    ROBOT_OFFLINE = "robot_offline"
    ROBOT_FAILED = "robot_failed"


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One transition and what a feed calls it, if anything; `position` is the step's place in its job."""

    seq: int
    at: datetime
    type: str | None
    kind: str
    job_id: str | None
    robot_id: str | None
    position: int | None
    workflow_id: str | None
    environment: str
    status: str
    previous_status: str | None


@dataclass(frozen=True, slots=True)
class ActivityCriteria:
    """What a list holds: what was recorded since a moment, of some kinds and types; None means any."""

    since: datetime | None = None
    kinds: Sequence[str] | None = None
    types: Sequence[ActivityType] | None = None

    def parameters(self) -> dict[str, object]:
        """The parameters of `matching` in `activity.sql`."""
        kinds, types = self.kinds, self.types
        return {
            "since": self.since,
            "kinds": None if kinds is None else list(kinds),
            "types": None if types is None else list(types),
        }


async def activity_page(database: Database, criteria: ActivityCriteria, request: PageRequest) -> Page[ActivityRow]:
    """One page of the transitions that match, newest first."""
    after = request.after
    parameters = {"start": after and after.value, "start_id": after and after.id, "limit": request.limit + 1}
    records = await database.fetch(_SQL["activity_page"], {**criteria.parameters(), **parameters})
    return page([ActivityRow(*record) for record in records], request)


async def activity_count(database: Database, criteria: ActivityCriteria) -> int:
    """How many transitions match."""
    return int((await database.fetch(_SQL["activity_count"], criteria.parameters()))[0]["total"])
