"""Fleet: all robots, the queue and today, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import strawberry

from graph.context import Info


@dataclass(frozen=True, slots=True)
class FleetOf:
    """The fleet of an environment, or of all."""

    environment: str | None


@strawberry.type(description="All robots, the queue and today, in numbers; of one environment if one was named.")
class Fleet:
    """The fleet; its root is a FleetOf."""

    @strawberry.field(description="Registered robots.")
    @staticmethod
    async def total_robots(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet.environment)).total

    @strawberry.field(description="Robots that run a job: the busy ones.")
    @staticmethod
    async def active_robots(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet.environment)).busy

    @strawberry.field(description="Robots that wait for a job.")
    @staticmethod
    async def idle_robots(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet.environment)).idle

    @strawberry.field(description="Robots that said goodbye or have fallen silent.")
    @staticmethod
    async def offline_robots(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet.environment)).offline

    @strawberry.field(description="Robots that are alive and say that they cannot work.")
    @staticmethod
    async def failed_robots(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet.environment)).failed

    @strawberry.field(description="Jobs that robots run right now.")
    @staticmethod
    async def active_jobs(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.queue.load(fleet.environment)).active

    @strawberry.field(description="Jobs that wait for a robot.")
    @staticmethod
    async def queue_depth(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.queue.load(fleet.environment)).pending

    @strawberry.field(description="Jobs created since midnight UTC.")
    @staticmethod
    async def total_jobs_today(fleet: strawberry.Parent[FleetOf], info: Info) -> int:
        return (await info.context.loaders.fleet.today.load(fleet.environment)).total

    @strawberry.field(
        description="Average run of the jobs created since midnight UTC that completed or failed, in seconds; "
        "null if there are none."
    )
    @staticmethod
    async def average_job_duration_seconds(
        fleet: strawberry.Parent[FleetOf], info: Info
    ) -> float | None:
        return (await info.context.loaders.fleet.today.load(fleet.environment)).average_seconds

    @strawberry.field(description="How long the job that waits longest has waited, in seconds; null if none waits.")
    @staticmethod
    async def oldest_pending_seconds(fleet: strawberry.Parent[FleetOf], info: Info) -> float | None:
        return (await info.context.loaders.fleet.queue.load(fleet.environment)).oldest_seconds

    @strawberry.field(description="The moment that these numbers describe.")
    @staticmethod
    def as_of(_fleet: strawberry.Parent[FleetOf], info: Info) -> datetime:
        return info.context.now

    @strawberry.field(description="Whether these numbers are older than they should be: false when freshly read.")
    @staticmethod
    def stale(_fleet: strawberry.Parent[FleetOf]) -> bool:
        return False
