"""Fleet: all robots, the queue and today, in numbers."""

from __future__ import annotations

from datetime import datetime

import strawberry

from datasources.fleet import FleetScope
from graph.context import Info


@strawberry.type(description="All robots, the queue and today, in numbers; of one environment if one was named.")
class Fleet:
    """The fleet; its root is a FleetScope."""

    @strawberry.field(description="Registered robots.")
    @staticmethod
    async def total_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).total

    @strawberry.field(description="Robots that run a job: the busy ones.")
    @staticmethod
    async def active_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).busy

    @strawberry.field(description="Robots that wait for a job.")
    @staticmethod
    async def idle_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).idle

    @strawberry.field(description="Robots that said goodbye or have fallen silent.")
    @staticmethod
    async def offline_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).offline

    @strawberry.field(description="Robots that are alive and say that they cannot work.")
    @staticmethod
    async def failed_robots(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.robots.load(fleet)).failed

    @strawberry.field(description="Jobs that robots run right now.")
    @staticmethod
    async def active_jobs(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.queue.load(fleet)).active

    @strawberry.field(description="Jobs that wait for a robot.")
    @staticmethod
    async def queue_depth(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.queue.load(fleet)).pending

    @strawberry.field(description="Jobs created since midnight UTC.")
    @staticmethod
    async def total_jobs_today(fleet: strawberry.Parent[FleetScope], info: Info) -> int:
        return (await info.context.loaders.fleet.today.load(fleet)).total

    @strawberry.field(
        description="Average run of the jobs created since midnight UTC that completed or failed, in seconds; "
        "null if there are none."
    )
    @staticmethod
    async def average_job_duration_seconds(fleet: strawberry.Parent[FleetScope], info: Info) -> float | None:
        return (await info.context.loaders.fleet.today.load(fleet)).average_seconds

    @strawberry.field(description="How long the job that waits longest has waited, in seconds; null if none waits.")
    @staticmethod
    async def oldest_pending_seconds(fleet: strawberry.Parent[FleetScope], info: Info) -> float | None:
        return (await info.context.loaders.fleet.queue.load(fleet)).oldest_seconds

    @strawberry.field(description="The moment that these numbers describe.")
    @staticmethod
    def as_of(_fleet: strawberry.Parent[FleetScope], info: Info) -> datetime:
        return info.context.now

    @strawberry.field(description="Whether these numbers are older than they should be: false when freshly read.")
    @staticmethod
    def stale(_fleet: strawberry.Parent[FleetScope]) -> bool:
        return False
