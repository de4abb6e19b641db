"""The fleet's numbers by scope: from the collector's memory, or from Postgres for as long as it is not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from datasources.fleet import FleetPart, FleetQueue, FleetRobots, FleetScope, FleetToday, fleet_numbers
from datasources.postgres import Database, UnstorableValue, UpstreamUnavailable
from graph.loaders.batching import Loader
from subscriptions.collector import RPAMetricsCollector
from subscriptions.collector.fleet import LiveFleet

Value = TypeVar("Value", FleetRobots, FleetQueue, FleetToday)


class FleetLoaders:
    """The fleet at the moment at which it is first asked for; from Postgres, only what is asked for is read."""

    def __init__(
        self, database: Database, offline_after: float, now: datetime, collector: RPAMetricsCollector | None = None
    ) -> None:
        self._seen = database.scope
        self._collector = collector
        self._pictures: dict[FleetScope, LiveFleet] = {}
        numbers = _numbers_loader(database, offline_after, now)
        self.robots = FleetGroup[FleetRobots](self, FleetPart.ROBOTS, lambda live: live.robot_counts, numbers)
        self.queue = FleetGroup[FleetQueue](self, FleetPart.QUEUE, lambda live: live.queue, numbers)
        self.today = FleetGroup[FleetToday](self, FleetPart.TODAY, lambda live: live.today, numbers)

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
    """A part of the fleet's numbers; where they are not in memory, all parts of a scope are one statement."""

    def __init__(
        self,
        fleet: FleetLoaders,
        part: FleetPart,
        pick: Callable[[LiveFleet], Value],
        numbers: Loader[tuple[FleetScope, FleetPart], Any],
    ) -> None:
        self._fleet = fleet
        self._part = part
        self._pick: Callable[[LiveFleet], Value] = pick
        self._numbers = numbers

    async def load(self, scope: FleetScope) -> Value:
        """The numbers of this part of the fleet."""
        live = self._fleet.at_hand(scope)
        return cast(Value, await self._numbers.load((scope, self._part))) if live is None else self._pick(live)


def _numbers_loader(
    database: Database, offline_after: float, now: datetime
) -> Loader[tuple[FleetScope, FleetPart], Any]:
    """Numbers by the scope and part they are of."""

    async def load(keys: list[tuple[FleetScope, FleetPart]]) -> list[Any]:
        parts: dict[FleetScope, set[FleetPart]] = {}
        for scope, part in keys:
            parts.setdefault(scope, set()).add(part)
        answers = await asyncio.gather(
            *(fleet_numbers(database, scope, asked, offline_after, now) for scope, asked in parts.items())
        )
        found = dict(zip(parts, answers, strict=True))
        return [found[scope][part] for scope, part in keys]

    return Loader(load)
