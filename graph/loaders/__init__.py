"""Loaders: each collects the keys that one tick of an operation asks for, and answers all with one statement."""

from __future__ import annotations

from datetime import datetime, timedelta

from datasources.analytics import MetricsAggregator
from datasources.postgres import Database
from datasources.settings import Settings
from graph.loaders.analytics import AnalyticsLoaders
from graph.loaders.executions import executions_loader
from graph.loaders.fleet import FleetLoaders
from graph.loaders.jobs import job_counts_loader, job_loader, job_pages_loader
from graph.loaders.robots import heartbeats_loader, robot_busy_loader, robot_loader, robot_today_loader
from graph.loaders.workflows import workflow_loader
from subscriptions.collector import RPAMetricsCollector


class Loaders:
    """The loaders of one operation."""

    def __init__(
        self, database: Database, settings: Settings, now: datetime, collector: RPAMetricsCollector | None = None
    ) -> None:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)  # in UTC, as `now` is
        self.jobs = job_loader(database)
        self.job_pages = job_pages_loader(database)
        self.job_counts = job_counts_loader(database)
        self.robots = robot_loader(database, settings.offline_after_seconds)
        self.robots_today = robot_today_loader(database, midnight)
        self.robots_busy = robot_busy_loader(database, settings.ledger_events)
        self.heartbeats = heartbeats_loader(database)
        self.executions = executions_loader(database)
        self.workflows = workflow_loader(database)
        self.fleet = FleetLoaders(database, settings.offline_after_seconds, midnight, now, collector)
        kept = None if settings.job_days is None else midnight - timedelta(days=settings.job_days - 1)
        self.analytics = AnalyticsLoaders(MetricsAggregator(database, now, kept))
