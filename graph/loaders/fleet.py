"""The fleet's numbers by scope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from datasources.fleet import FleetScope, fleet_queue, fleet_robots, fleet_today
from datasources.postgres import Database
from graph.loaders.batching import Loader

Value = TypeVar("Value")


class FleetLoaders:
    """Each group of the fleet's numbers is read only when one of them is asked for."""

    def __init__(self, database: Database, offline_after: float, midnight: datetime, now: datetime) -> None:
        self.robots = _by_scope(lambda scope: fleet_robots(database, scope, offline_after))
        self.queue = _by_scope(lambda scope: fleet_queue(database, scope, now))
        self.today = _by_scope(lambda scope: fleet_today(database, scope, midnight))


def _by_scope(fetch: Callable[[FleetScope], Awaitable[Value]]) -> Loader[FleetScope, Value]:
    async def load(asked: list[FleetScope]) -> list[Value]:
        scopes = list(dict.fromkeys(asked))
        if len(scopes) == 1:
            return [await fetch(scopes[0])] * len(asked)
        found = dict(zip(scopes, await asyncio.gather(*map(fetch, scopes)), strict=True))
        return [found[scope] for scope in asked]

    return Loader(load)
