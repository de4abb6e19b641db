"""Robots that present themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from datasources.postgres import Database, fetch
from datasources.reports.refusals import (
    Refusal,
    RefusalCode,
    Reported,
    ReportOutcome,
    environment_of_robot,
    outside,
    refused,
)
from datasources.reports.values import Id, Ids, fault, storable
from datasources.sql import queries

_SQL = queries("reports/robots")


@dataclass(frozen=True, slots=True)
class Registration:
    """A robot that presents itself."""

    robot_id: Id
    hostname: Id
    environment: Id = "default"
    capabilities: Ids = ()
    queue_manager_id: Id | None = None


@dataclass(frozen=True, slots=True)
class _RobotNamed:
    robot_id: Id


async def register_robot(database: Database, robot: Registration, now: datetime) -> Reported:
    """A new robot is created, a known one updated."""
    scope = database.scope
    async with database.transaction() as connection:
        if (wrong := fault(robot, now)) is not None:
            return await refused(connection, Refusal(RefusalCode.INVALID_VALUE, wrong, storable(robot.robot_id)))
        await fetch(connection, _SQL["one_registration_at_a_time"])
        before = await environment_of_robot(connection, robot.robot_id)
        if not scope.sees(robot.environment) or not (before is None or scope.sees(before)):
            return await refused(connection, outside("robot", robot.robot_id, scope))
        others = {"queue_manager_id": robot.queue_manager_id, "robot_id": robot.robot_id}
        if holder := await fetch(connection, _SQL["queue_manager_holder"], others):
            holder_id = holder[0]["robot_id"] if scope.sees(holder[0]["environment"]) else "another"
            message = f"queue manager {robot.queue_manager_id} is robot {holder_id} already"
            return await refused(connection, Refusal(RefusalCode.NAME_TAKEN, message, robot.robot_id))
        row = {**asdict(robot), "capabilities": list(robot.capabilities)}
        rows = await fetch(connection, _SQL["register_robot"], row)
    if not rows:
        return Reported(ReportOutcome.UNCHANGED, accepted=1)
    return Reported(ReportOutcome.CREATED if rows[0]["created"] else ReportOutcome.UPDATED, accepted=1)


async def registered(database: Database, robot_id: str) -> Registration | None:
    """A robot as it presented itself; None if there is none."""
    rows = await database.fetch(_SQL["registered"], {"robot_id": robot_id})
    return Registration(*rows[0]) if rows else None


async def unregister_robot(database: Database, robot_id: str, now: datetime) -> Reported:
    """A robot goes offline and is forgotten, with its heartbeats; the jobs it ran are kept."""
    async with database.transaction() as connection:
        if (wrong := fault(_RobotNamed(robot_id), now)) is not None:
            return await refused(connection, Refusal(RefusalCode.INVALID_VALUE, wrong, storable(robot_id)))
        if not await fetch(connection, _SQL["say_goodbye"], {"robot_id": robot_id}):
            message = f"robot {robot_id} is not registered"
            return await refused(connection, Refusal(RefusalCode.UNKNOWN_ROBOT, message, robot_id))
        await fetch(connection, _SQL["forget_robot"], {"robot_id": robot_id})
    return Reported(ReportOutcome.UPDATED, accepted=1)
