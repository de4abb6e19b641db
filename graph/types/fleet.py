"""Fleet: all robots, the queue and today, in numbers."""

from __future__ import annotations

from datetime import datetime

import strawberry

from datasources.fleet import FleetPart, FleetScope
from graph.context import Info
from graph.types.loaded import loaded


@strawberry.type(description="All robots, the queue and today, in numbers; of one environment if one was named.")
class Fleet:
    """The fleet; its root is a FleetScope."""

    @loaded(int, lambda loaders: loaders.fleet, value=lambda _, found: found.total, description="Registered robots.")
    @staticmethod
    def total_robots(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.ROBOTS

    @loaded(
        int,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.busy,
        description="Robots that run a job: the busy ones.",
    )
    @staticmethod
    def active_robots(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.ROBOTS

    @loaded(
        int,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.idle,
        description="Robots that wait for a job.",
    )
    @staticmethod
    def idle_robots(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.ROBOTS

    @loaded(
        int,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.offline,
        description="Robots that said goodbye or have fallen silent.",
    )
    @staticmethod
    def offline_robots(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.ROBOTS

    @loaded(
        int,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.failed,
        description="Robots that are alive and say that they cannot work.",
    )
    @staticmethod
    def failed_robots(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.ROBOTS

    @loaded(
        int,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.active,
        description="Jobs that robots run right now.",
    )
    @staticmethod
    def active_jobs(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.QUEUE

    @loaded(
        int,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.pending,
        description="Jobs that wait for a robot.",
    )
    @staticmethod
    def queue_depth(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.QUEUE

    @loaded(
        int,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.total,
        description="Jobs created since midnight UTC.",
    )
    @staticmethod
    def total_jobs_today(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.TODAY

    @loaded(
        float | None,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.average_seconds,
        description="Average run of the jobs created since midnight UTC that completed or failed, in seconds; "
        "null if there are none.",
    )
    @staticmethod
    def average_job_duration_seconds(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.TODAY

    @loaded(
        float | None,
        lambda loaders: loaders.fleet,
        value=lambda _, found: found.oldest_seconds,
        description="How long the job that waits longest has waited, in seconds; null if none waits.",
    )
    @staticmethod
    def oldest_pending_seconds(fleet: strawberry.Parent[FleetScope]) -> tuple[FleetScope, FleetPart]:
        return fleet, FleetPart.QUEUE

    @strawberry.field(description="The moment that these numbers describe.")
    @staticmethod
    def as_of(_fleet: strawberry.Parent[FleetScope], info: Info) -> datetime:
        return info.context.now

    @strawberry.field(description="Whether these numbers are older than they should be: false when freshly read.")
    @staticmethod
    def stale(_fleet: strawberry.Parent[FleetScope]) -> bool:
        return False
