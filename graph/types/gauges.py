"""Gauges that subscriptions push: of robots and of the queue, only the newest matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import strawberry

from datasources.queue import EnvironmentQueue
from datasources.robots import RobotRow
from datasources.statuses import RobotStatus
from graph.types.robots import Robot


@strawberry.type(description="What a robot is doing and how it is, at the moment it last said so.")
class RobotStatusUpdate:
    """A robot's gauges; its root is a RobotRow."""

    robot_id: strawberry.ID = strawberry.field(description="The robot's id.")
    status: RobotStatus = strawberry.field(description="What it is doing; offline once its heartbeats have stopped.")
    cpu_percent: float | None = strawberry.field(description="Its processor use, in percent of one core.")
    memory_mb: float | None = strawberry.field(description="Its memory, in megabytes.")
    memory_percent: float | None = strawberry.field(description="Its memory, in percent of the machine's.")
    current_job_id: strawberry.ID | None = strawberry.field(
        description="Id of the job it runs; null if none. Who sees some environments only is told of jobs known there."
    )

    @strawberry.field(description="When it was heard of last.")
    @staticmethod
    def timestamp(robot: strawberry.Parent[RobotRow]) -> datetime:
        return robot.last_sign

    @strawberry.field(graphql_type=Robot, description="The robot.")
    @staticmethod
    def robot(robot: strawberry.Parent[RobotRow]) -> RobotRow:
        return robot


@dataclass(frozen=True, slots=True)
class QueueOf:
    """The queues of all environments at a moment."""

    queues: Mapping[str, EnvironmentQueue]
    at: datetime


@strawberry.type(description="The queue of one environment.")
class EnvironmentDepth:
    """A queue; its root is an EnvironmentQueue."""

    environment: str = strawberry.field(description="The environment.")

    @strawberry.field(description="Jobs that wait for a robot.")
    @staticmethod
    def depth(queue: strawberry.Parent[EnvironmentQueue]) -> int:
        return queue.pending

    @strawberry.field(description="Jobs that robots run.")
    @staticmethod
    def active_jobs(queue: strawberry.Parent[EnvironmentQueue]) -> int:
        return queue.active


@strawberry.type(description="What waits and what runs.")
class QueueMetrics:
    """The queue; its root is a QueueOf."""

    @strawberry.field(description="Jobs that wait for a robot.")
    @staticmethod
    def depth(queue: strawberry.Parent[QueueOf]) -> int:
        return sum(environment.pending for environment in queue.queues.values())

    @strawberry.field(description="Jobs that robots run.")
    @staticmethod
    def active_jobs(queue: strawberry.Parent[QueueOf]) -> int:
        return sum(environment.active for environment in queue.queues.values())

    @strawberry.field(description="How long the job that waits longest has waited, in seconds; null if none waits.")
    @staticmethod
    def oldest_pending_seconds(queue: strawberry.Parent[QueueOf]) -> float | None:
        oldest = min((each.oldest_pending_at for each in queue.queues.values() if each.oldest_pending_at), default=None)
        return None if oldest is None else max(0.0, (queue.at - oldest).total_seconds())

    @strawberry.field(graphql_type=list[EnvironmentDepth], description="The same for each environment.")
    @staticmethod
    def by_environment(queue: strawberry.Parent[QueueOf]) -> list[EnvironmentQueue]:
        return sorted(queue.queues.values(), key=lambda each: each.environment)

    @strawberry.field(description="The moment that these numbers describe.")
    @staticmethod
    def timestamp(queue: strawberry.Parent[QueueOf]) -> datetime:
        return queue.at
