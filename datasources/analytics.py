"""The aggregator: how jobs went over a window of time, whatever the history.

A window holds the jobs created in it. Rates divide by the jobs that ended, durations are of jobs that ran to an end
(completed or failed), in milliseconds. Answers come from the rollups, from what is not folded into them yet, and at the
broken ends of a window from the jobs, in one snapshot: they never lag. `rollups.py` tells how the rollups come about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import asyncpg

from datasources.measures import (
    FRACTIONS,
    Bottleneck,
    ErrorCount,
    Errors,
    Measure,
    Percentiles,
    Point,
    RobotTime,
    SlowWorkflow,
    TierHealing,
    Totals,
)
from datasources.postgres import Database
from datasources.sketches import Sketch
from datasources.sql import queries
from datasources.windows import AnalyticsScope, Cover, Step

MOST_EXACT = 1_000_000  # jobs that are read one by one where that is asked for
_FEW = 10_000  # jobs that are read one by one without being asked
_LISTED = 10  # as many of the slowest workflows and steps as fit a page
_MOST_KINDS = 1000  # error types that are told apart

_SQL = queries("analytics")

Value = TypeVar("Value")


class MetricsAggregator:
    """Answers for scopes of one shape at a time: scopes that differ in their workflow or robot only."""

    def __init__(self, database: Database, now: datetime, kept: datetime | None = None) -> None:
        self._database = database
        self._now = now
        self._kept = kept  # jobs from before may be forgotten

    async def totals(self, scopes: Sequence[AnalyticsScope]) -> list[Totals]:
        """How the jobs of each scope went."""
        found = await self._by_key("totals", scopes)
        return _each(scopes, found, lambda rows: Totals(*rows[0][2:]), Totals())

    async def percentiles(self, scopes: Sequence[AnalyticsScope], measure: str = "run") -> list[Percentiles]:
        """Run times (`run`) or waiting times (`wait`) of each scope: exact where all that is asked for is little."""
        most = MOST_EXACT if scopes[0].exact else _FEW
        found = await self._by_key(
            "percentiles", scopes, sketched=True, measure=measure, most=most, fractions=FRACTIONS
        )
        return [await _percentiles(found[scope.key]) if scope.key in found else Percentiles() for scope in scopes]

    async def slowest(self, scopes: Sequence[AnalyticsScope]) -> list[list[SlowWorkflow]]:
        """The slowest workflows of each scope, slowest first."""
        found = await self._by_key("slowest", scopes, crossed=_of_robot(scopes), limit=_LISTED)
        return _each(scopes, found, lambda rows: [SlowWorkflow(*row[1:]) for row in rows], [])

    async def errors(self, scopes: Sequence[AnalyticsScope]) -> list[Errors]:
        """The errors of each scope, most frequent first."""
        found = await self._by_key("errors", scopes, limit=_MOST_KINDS)
        return _each(
            scopes,
            found,
            lambda rows: Errors(tuple(ErrorCount(row["error_type"], row["failed"]) for row in rows), rows[0]["kinds"]),
            Errors(),
        )

    async def healing(self, scopes: Sequence[AnalyticsScope]) -> list[list[TierHealing]]:
        """What each tier of healing did for the jobs of each scope."""
        found = await self._by_key("healing", scopes)
        return _each(scopes, found, lambda rows: [TierHealing(*row[1:]) for row in rows], [])

    async def bottlenecks(self, scopes: Sequence[AnalyticsScope]) -> list[list[Bottleneck]]:
        """The steps that took most time in each scope, most first."""
        found = await self._by_key("bottlenecks", scopes, crossed=_of_robot(scopes), limit=_LISTED)
        return _each(scopes, found, lambda rows: [_bottleneck(row) for row in rows], [])

    async def robot_time(self, scopes: Sequence[AnalyticsScope]) -> list[RobotTime | None]:
        """How long robots worked, waited or were away in the whole hours of a window; of no workflow."""
        hours = [
            AnalyticsScope(
                Step.HOUR.floor(scope.since),
                Step.HOUR.ceiling(scope.until),
                robot_id=scope.robot_id,
                environment=scope.environment,
            )
            for scope in scopes
        ]
        found = await self._by_key("robot_time", hours, now=self._now)
        none: RobotTime | None = None
        return _each(
            hours, found, lambda rows: RobotTime(**{row["status"]: row["seconds"] / 3600 for row in rows}), none
        )

    async def series(
        self, scopes: Sequence[AnalyticsScope], step: Step, measures: Sequence[Measure]
    ) -> list[list[Point]]:
        """The measures of each scope, step by step from the one in which its window begins."""
        sketched = any(measure.fraction is not None for measure in measures)
        counted = await self._by_key("totals", scopes, step=step)
        drawn = await self._by_key("sketches", scopes, step=step, sketched=True, measure="run") if sketched else {}
        starts = step.starts(scopes[0].since, min(scopes[0].until, self._now))
        answers = []
        for scope in scopes:
            totals = {row["start"]: Totals(*row[2:]) for row in counted.get(scope.key, ())}
            sketches = await _sketches(drawn.get(scope.key, ()))
            answers.append(
                [
                    Point(
                        start,
                        tuple(
                            measure.of(totals.get(start, Totals()), sketches.get(start, Sketch()))
                            for measure in measures
                        ),
                    )
                    for start in starts
                ]
            )
        return answers

    async def first_job(self) -> datetime | None:
        """When the first job was created that anything is known of."""
        [row] = await self._database.fetch(_SQL["first_job"])
        first: datetime | None = row["at"]
        return first

    async def _by_key(
        self,
        name: str,
        scopes: Sequence[AnalyticsScope],
        *,
        step: Step | None = None,
        crossed: bool = False,
        sketched: bool = False,
        **parameters: object,
    ) -> Mapping[str, list[asyncpg.Record]]:
        scope = scopes[0]
        keys = sorted({scope.key for scope in scopes})
        of_workflow, of_robot = scope.workflow_id is not None, scope.robot_id is not None
        if crossed or (of_workflow and of_robot) or step is Step.MINUTE:
            cover = Cover.from_jobs(scope.since, scope.until)
        else:
            hours, days = not (sketched and of_robot), step is not Step.HOUR  # no robot has sketches by the hour
            cover = Cover.of(scope.since, scope.until, self._now, hours=hours, days=days, kept=self._kept)
        records = await self._database.fetch(
            _SQL[name],
            {
                "dimension": "workflow" if of_workflow else "robot" if of_robot else "fleet",
                "keys": keys if of_workflow or of_robot else None,
                "workflow_ids": keys if of_workflow else None,
                "robot_ids": None if not of_robot else [scope.robot_id] if of_workflow else keys,
                "environment": scope.environment,
                "since": cover.since,
                "until": cover.until,
                "step": None if step is None else step.value,
                "span_grains": [span[0] for span in cover.spans],
                "span_starts": [span[1] for span in cover.spans],
                "span_ends": [span[2] for span in cover.spans],
                "edge_starts": [edge[0] for edge in cover.edges],
                "edge_ends": [edge[1] for edge in cover.edges],
                **parameters,
            },
        )
        found: dict[str, list[asyncpg.Record]] = {}
        for record in records:
            found.setdefault(record["key"], []).append(record)
        return found


def _each(
    scopes: Sequence[AnalyticsScope],
    found: Mapping[str, list[asyncpg.Record]],
    read: Callable[[list[asyncpg.Record]], Value],
    nothing: Value,
) -> list[Value]:
    return [read(found[scope.key]) if scope.key in found else nothing for scope in scopes]


def _of_robot(scopes: Sequence[AnalyticsScope]) -> bool:
    return scopes[0].robot_id is not None


async def _percentiles(rows: Sequence[asyncpg.Record]) -> Percentiles:
    [sketch] = (await _sketches(rows, step=None)).values()
    row = rows[0]
    exact = row["read"] == row["total"]  # fewer where the jobs are forgotten, and none where they were too many
    p50, p75, p90, p95, p99 = row["values"] if exact else sketch.quantiles(FRACTIONS)
    return Percentiles(p50, p75, p90, p95, p99, exact, sketch)


async def _sketches(rows: Sequence[asyncpg.Record], step: str | None = "start") -> dict[datetime | None, Sketch]:
    """The sketches that pieces make, by the step they belong to, or one of all."""
    pieces: dict[datetime | None, list[tuple[Sequence[int], Sequence[int]]]] = {}
    for row in rows:
        pieces.setdefault(row[step] if step else None, []).append((row["bins"], row["counts"]))
    sketches = {}
    for start, parts in pieces.items():
        sketches[start] = Sketch.of(parts)
        await asyncio.sleep(0)  # a hundred robots over a month are some hundred thousand bins
    return sketches


def _bottleneck(row: asyncpg.Record) -> Bottleneck:
    sketch = Sketch.of([(row["bins"] or (), row["counts"] or ())])
    return Bottleneck(
        row["workflow_id"],
        row["node_id"],
        row["node_type"],
        row["ended"],
        row["failed"],
        row["runs"],
        row["run_ms"],
        100 * row["run_ms"] / row["all_ms"] if row["all_ms"] else None,
        sketch.quantiles([0.95])[0],
    )
