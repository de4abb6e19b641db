"""The fleet itself as metrics: read from the database when somebody asks, at most every few seconds.

What cannot be read is left out, never zero: `casare_fleet_readable` tells. Environments are named by robots and
sources, so that of many the first 50 are told apart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from datasources.metrics import RobotsInState, SourceErrors, robots_by_state, source_errors
from datasources.postgres import Database, UpstreamError
from datasources.queue import EnvironmentQueue, queue_by_environment
from datasources.rollups import Unfolded, unfolded
from graph.counting.tallies import Tallies
from graph.operating.metrics import Metrics

_FRESH = 5.0  # seconds that a reading serves
_PATIENCE = 5.0  # seconds for one
_MOST_ENVIRONMENTS = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """The fleet at a moment."""

    robots: Sequence[RobotsInState]
    queues: Sequence[EnvironmentQueue]
    errors: Sequence[SourceErrors]
    unfolded: Unfolded


class FleetMetrics(Collector):
    """Reads the fleet, and shows what was read last."""

    def __init__(self, database: Database, offline_after: float) -> None:
        self._database = database
        self._offline_after = offline_after
        self._reading: Reading | None = None
        self._read_at = 0.0
        self._turn = asyncio.Lock()

    async def read(self) -> None:
        """Read the fleet, unless that was done a moment ago."""
        async with self._turn:
            if time.monotonic() - self._read_at < _FRESH:
                return
            try:
                async with asyncio.timeout(_PATIENCE):
                    async with self._database.connection() as connection:
                        left = await unfolded(connection)
                    self._reading = Reading(
                        await robots_by_state(self._database, self._offline_after),
                        await queue_by_environment(self._database),
                        await source_errors(self._database),
                        left,
                    )
            except (UpstreamError, TimeoutError) as error:
                self._reading = None
                _log.warning("the fleet cannot be measured: %s", str(error) or "that took too long")
            self._read_at = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """What was read last."""
        reading = self._reading
        yield GaugeMetricFamily("casare_fleet_readable", "Whether the fleet could be read.", float(reading is not None))
        if reading is not None:
            environments = [*(row.environment for row in reading.robots), *(row.environment for row in reading.queues)]
            told = set(sorted(set(environments))[:_MOST_ENVIRONMENTS])
            yield from _robots(reading.robots, told)
            yield from _queues(reading.queues, told)
            yield _errors(reading.errors)
            yield from _history(reading.unfolded)


def _robots(rows: Sequence[RobotsInState], told: set[str]) -> Iterator[Metric]:
    counts: dict[tuple[str, str], int] = {}
    silences: dict[str, float] = {}
    for row in rows:
        environment = _known(row.environment, told)
        counts[environment, row.status] = counts.get((environment, row.status), 0) + row.robots
        if row.status != "offline" and row.most_silence is not None:
            silences[environment] = max(silences.get(environment, 0.0), row.most_silence)
    robots = GaugeMetricFamily("casare_robots", "Robots.", labels=("environment", "status"))
    for labels, count in counts.items():
        robots.add_metric(labels, count)
    yield robots
    oldest = GaugeMetricFamily(
        "casare_heartbeat_age_seconds", "Longest silence of a robot that is not offline.", labels=("environment",)
    )
    for environment, silence in silences.items():
        oldest.add_metric((environment,), silence)
    yield oldest
    newest = [row.least_silence for row in rows if row.least_silence is not None]
    if newest:
        yield GaugeMetricFamily(
            "casare_newest_heartbeat_age_seconds", "Time since any robot was heard.", max(0.0, min(newest))
        )


def _queues(rows: Sequence[EnvironmentQueue], told: set[str]) -> Iterator[Metric]:
    depth = GaugeMetricFamily("casare_queue_depth", "Jobs that wait.", labels=("environment",))
    running = GaugeMetricFamily("casare_jobs_running", "Jobs that run.", labels=("environment",))
    age = GaugeMetricFamily(
        "casare_oldest_pending_age_seconds",
        "How long the oldest job has waited; 0 where none waits.",
        labels=("environment",),
    )
    now = datetime.now(UTC)
    sums: dict[str, tuple[int, int, float]] = {}
    for row in rows:
        environment = _known(row.environment, told)
        pending, active, waited = sums.get(environment, (0, 0, 0.0))
        since = 0.0 if row.oldest_pending_at is None else (now - row.oldest_pending_at).total_seconds()
        sums[environment] = (pending + row.pending, active + row.active, max(waited, since))
    for environment, (pending, active, waited) in sums.items():
        depth.add_metric((environment,), pending)
        running.add_metric((environment,), active)
        age.add_metric((environment,), waited)
    yield from (depth, running, age)


def _errors(rows: Sequence[SourceErrors]) -> Metric:
    errors = CounterMetricFamily(
        "casare_source_errors", "What could not be taken from a source or a robot.", labels=("source", "code")
    )
    for row in rows:
        errors.add_metric((row.source, row.code), row.times)
    return errors


def _history(left: Unfolded) -> Iterator[Metric]:
    yield GaugeMetricFamily("casare_unfolded_changes", "Changes that are not in the rollups yet.", left.changes)
    yield GaugeMetricFamily("casare_unfolded_days", "Days of sources that are not in the rollups yet.", left.days)


def _known(environment: str, told: set[str]) -> str:
    return environment if environment in told else "other"


class MetricsPage:
    """`/metrics`: what all workers count, and the fleet."""

    def __init__(self, metrics: Metrics, tallies: Tallies, fleet: FleetMetrics) -> None:
        self._metrics = metrics
        self._tallies = tallies
        self._fleet = fleet
        self._turn = asyncio.Lock()

    async def show(self, request: Request) -> Response:
        """The page, in the format that the scraper takes."""
        await self._fleet.read()
        self._tallies.take()
        async with self._turn:
            page = await asyncio.to_thread(self._metrics.page, request.headers.get("accept", ""), self._fleet)
        body, content_type = page
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
