"""What is measured of the fleet itself: read when somebody asks for metrics, never kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("metrics")


@dataclass(frozen=True, slots=True)
class RobotsInState:
    """The robots of one environment in one state; silences in seconds, None where none has ever spoken."""

    environment: str
    status: str
    robots: int
    least_silence: float | None
    most_silence: float | None


@dataclass(frozen=True, slots=True)
class SourceErrors:
    """How often something of a source could not be taken."""

    source: str
    code: str
    times: int


@dataclass(frozen=True, slots=True)
class Run:
    """How long a job ran, and how long it waited before, in seconds; None where it did not."""

    duration: float | None
    queue_wait: float | None


async def robots_by_state(database: Database, offline_after: float) -> tuple[RobotsInState, ...]:
    """The robots, by environment and state."""
    records = await database.fetch(_SQL["robots_by_state"], {"offline_after": offline_after})
    return tuple(RobotsInState(*record) for record in records)


async def source_errors(database: Database) -> tuple[SourceErrors, ...]:
    """What could not be taken, by source and code."""
    return tuple(SourceErrors(*record) for record in await database.fetch(_SQL["source_errors"]))


async def runs(database: Database, job_ids: Sequence[str]) -> Mapping[str, Run]:
    """How long jobs ran and waited, by their id."""
    records = await database.fetch(_SQL["runs"], {"job_ids": list(job_ids)})
    return {job_id: Run(*run) for job_id, *run in records}
