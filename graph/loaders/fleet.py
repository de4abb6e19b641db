"""The fleet's numbers by scope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from aiodataloader import DataLoader

from datasources.fleet import FleetScope, fleet_queue, fleet_robots, fleet_today
from datasources.postgres import Database

Value = TypeVar("Value")


class FleetLoaders:
    """Each group of the fleet's numbers is read only when one of them is asked for."""

    def __init__(self, database: Database, offline_after: float, midnight: datetime, now: datetime) -> None:
        self.robots = _by_scope(lambda scope: fleet_robots(database, scope, offline_after))
        self.queue = _by_scope(lambda scope: fleet_queue(database, scope, now))
        self.today = _by_scope(lambda scope: fleet_today(database, scope, midnight))


def _by_scope(fetch: Callable[[FleetScope], Awaitable[Value]]) -> DataLoader[FleetScope, Value]:
    async def load(scopes: list[FleetScope]) -> list[Value]:
        return list(await asyncio.gather(*(fetch(scope) for scope in scopes)))

    return DataLoader(batch_load_fn=load)
