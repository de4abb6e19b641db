"""Loaders: each collects the keys that one tick of an operation asks for, and answers all with one statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property

from datasources.analytics import MetricsAggregator
from datasources.busy import RobotTime
from datasources.columns import Reads
from datasources.executions import NodeExecutionRow
from datasources.jobs import JobRow
from datasources.paging import Page
from datasources.postgres import Database
from datasources.robots import HeartbeatRow, RobotRow, RobotToday
from datasources.settings import Settings
from datasources.workflows import WorkflowRow
from graph.loaders.analytics import AnalyticsLoaders
from graph.loaders.batching import Loader
from graph.loaders.executions import executions_loader
from graph.loaders.fleet import FleetLoaders
from graph.loaders.jobs import JobPageOf, JobsOf, job_counts_loader, job_loader, job_pages_loader
from graph.loaders.robots import heartbeats_loader, robot_busy_loader, robot_loader, robot_today_loader
from graph.loaders.workflows import workflow_loader
from subscriptions.collector import RPAMetricsCollector


class Loaders:
    """The loaders of one operation, each made when it is first asked for."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        now: datetime,
        collector: RPAMetricsCollector | None = None,
        reads: Mapping[str, Reads] | None = None,
    ) -> None:
        self._database = database
        self._reads = reads or {}  # by GraphQL type; of one that is missing everything
        self._offline_after = settings.offline_after_seconds
        self._job_days = settings.job_days
        self._ledger_events = settings.ledger_events
        self._collector = collector
        self._now = now
        self._midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)  # in UTC, as `now` is

    @cached_property
    def jobs(self) -> Loader[str, JobRow | None]:
        """Jobs by their id."""
        return job_loader(self._database, self._reads.get("Job"))

    @cached_property
    def job_pages(self) -> Loader[tuple[str, JobPageOf], Page[JobRow]]:
        """Pages of the jobs of robots and workflows."""
        return job_pages_loader(self._database, self._reads.get("Job"))

    @cached_property
    def job_counts(self) -> Loader[tuple[str, JobsOf], int]:
        """How many jobs robots and workflows have."""
        return job_counts_loader(self._database)

    @cached_property
    def robots(self) -> Loader[str, RobotRow | None]:
        """Robots by their id."""
        return robot_loader(self._database, self._offline_after, self._reads.get("Robot"))

    @cached_property
    def robots_today(self) -> Loader[str, RobotToday]:
        """What robots finished today."""
        return robot_today_loader(self._database, self._midnight)

    @cached_property
    def heartbeats(self) -> Loader[tuple[str, int], list[HeartbeatRow]]:
        """The newest heartbeats of robots."""
        return heartbeats_loader(self._database)

    @cached_property
    def executions(self) -> Loader[tuple[str, tuple[int, int]], list[NodeExecutionRow]]:
        """The steps of jobs."""
        return executions_loader(self._database, self._reads.get("NodeExecution"))

    @cached_property
    def workflows(self) -> Loader[str, WorkflowRow | None]:
        """Workflows by their id."""
        return workflow_loader(self._database)

    @cached_property
    def robots_busy(self) -> Loader[tuple[str, tuple[datetime, datetime]], RobotTime]:
        """How busy robots were."""
        return robot_busy_loader(self._database, self._ledger_events)

    @cached_property
    def fleet(self) -> FleetLoaders:
        """The numbers of the fleet."""
        return FleetLoaders(self._database, self._offline_after, self._now, self._collector)

    @cached_property
    def analytics(self) -> AnalyticsLoaders:
        """How jobs went."""
        kept = None if self._job_days is None else self._midnight - timedelta(days=self._job_days - 1)
        return AnalyticsLoaders(MetricsAggregator(self._database, self._now, kept))
