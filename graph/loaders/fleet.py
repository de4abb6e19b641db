"""The fleet's numbers by scope: from the collector's memory, or from Postgres for as long as it is not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, TypeVar

from aiodataloader import DataLoader

from datasources.fleet import FleetScope, fleet_queue, fleet_robots, fleet_today
from datasources.postgres import Database, UnstorableValue, UpstreamUnavailable
from subscriptions.collector import RPAMetricsCollector
from subscriptions.collector.fleet import LiveFleet

Value = TypeVar("Value")


class FleetLoaders:
    """The fleet at the moment at which it is first asked for; from Postgres, each group is read only when asked for."""

    def __init__(
        self,
        database: Database,
        offline_after: float,
        midnight: datetime,
        now: datetime,
        collector: RPAMetricsCollector | None = None,
    ) -> None:
        self._seen = database.scope
        self._collector = collector
        self._pictures: dict[FleetScope, LiveFleet] = {}
        self.robots = FleetGroup(
            self, lambda live: live.robot_counts, lambda scope: fleet_robots(database, scope, offline_after)
        )
        self.queue = FleetGroup(self, lambda live: live.queue, lambda scope: fleet_queue(database, scope, now))
        self.today = FleetGroup(self, lambda live: live.today, lambda scope: fleet_today(database, scope, midnight))

    def at_hand(self, scope: FleetScope) -> LiveFleet | None:
        """The fleet in memory; None before it is there."""
        if scope not in self._pictures and self._collector is not None and self._collector.ready:
            if "\0" in (scope.environment or ""):
                raise UnstorableValue("The name of an environment holds no NUL.")  # as Postgres would say it
            self._pictures[scope] = self._collector.fleet(self._seen, scope.environment)
        return self._pictures.get(scope)

    async def live(self, scope: FleetScope) -> LiveFleet:
        """The fleet in memory, waiting a moment for it; raises UpstreamUnavailable where it does not come."""
        if self._collector is not None:
            await self._collector.begun()
        if (picture := self.at_hand(scope)) is None:
            raise UpstreamUnavailable("the live fleet is not kept here")
        return picture


class FleetGroup(Generic[Value]):
    """Numbers of the fleet that are read together where they are not in memory."""

    def __init__(
        self,
        fleet: FleetLoaders,
        pick: Callable[[LiveFleet], Value],
        fetch: Callable[[FleetScope], Awaitable[Value]],
    ) -> None:
        async def load(scopes: list[FleetScope]) -> list[Value]:
            return list(await asyncio.gather(*(fetch(scope) for scope in scopes)))

        self._fleet = fleet
        self._pick = pick
        self._loader: DataLoader[FleetScope, Value] = DataLoader(batch_load_fn=load)

    async def load(self, scope: FleetScope) -> Value:
        """The numbers of this part of the fleet."""
        live = self._fleet.at_hand(scope)
        return await self._loader.load(scope) if live is None else self._pick(live)
