"""Robots by id, their numbers of today and their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from datasources.busy import RobotTime, busy_by_robot
from datasources.columns import Reads
from datasources.postgres import Database
from datasources.robots import (
    HeartbeatRow,
    RobotRow,
    RobotToday,
    heartbeats_by_robot,
    robots_by_id,
    robots_today,
)
from graph.loaders.batching import Loader, by_group, by_key


def robot_loader(database: Database, offline_after: float, reads: Reads) -> Loader[str, RobotRow | None]:
    """Robots by their id."""

    async def fetch(robot_ids: list[str]) -> Mapping[str, RobotRow | None]:
        return await robots_by_id(database, robot_ids, offline_after, reads)

    return by_key(fetch, lambda: None)


def robot_today_loader(database: Database, midnight: datetime) -> Loader[str, RobotToday]:
    """What robots finished today, by robot id."""

    async def fetch(robot_ids: list[str]) -> Mapping[str, RobotToday]:
        return await robots_today(database, robot_ids, midnight)

    return by_key(fetch, RobotToday)


def robot_busy_loader(
    database: Database, ledger_events: int
) -> Loader[tuple[str, tuple[datetime, datetime]], RobotTime]:
    """How busy robots were, by robot id and from when to when."""

    async def fetch(time: tuple[datetime, datetime], robot_ids: list[str]) -> Mapping[str, RobotTime]:
        return await busy_by_robot(database, robot_ids, *time, ledger_events)

    return by_group(fetch, lambda _: RobotTime())


def heartbeats_loader(database: Database) -> Loader[tuple[str, int], list[HeartbeatRow]]:
    """The newest heartbeats, by robot id and number."""

    async def fetch(last: int, robot_ids: list[str]) -> Mapping[str, list[HeartbeatRow]]:
        return await heartbeats_by_robot(database, robot_ids, last)

    return by_group(fetch, lambda _: [])
