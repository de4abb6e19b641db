"""The fleet's numbers by environment; None is all environments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from aiodataloader import DataLoader

from datasources.fleet import fleet_queue, fleet_robots, fleet_today
from datasources.postgres import Database

Value = TypeVar("Value")


class FleetLoaders:
    """Each group of the fleet's numbers is read only when one of them is asked for."""

    def __init__(self, database: Database, offline_after: float, midnight: datetime) -> None:
        self.robots = _by_environment(lambda environment: fleet_robots(database, environment, offline_after))
        self.queue = _by_environment(lambda environment: fleet_queue(database, environment))
        self.today = _by_environment(lambda environment: fleet_today(database, environment, midnight))


def _by_environment(fetch: Callable[[str | None], Awaitable[Value]]) -> DataLoader[str | None, Value]:
    async def load(environments: list[str | None]) -> list[Value]:
        return list(await asyncio.gather(*(fetch(environment) for environment in environments)))

    return DataLoader(batch_load_fn=load)
