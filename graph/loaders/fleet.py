"""The fleet's numbers by scope: from the collector's memory, or from Postgres for as long as it is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any

from datasources.fleet import FleetPart, FleetScope, fleet_numbers
from datasources.postgres import Database, UnstorableValue, UpstreamUnavailable
from graph.loaders.batching import Loader
from subscriptions.collector import RPAMetricsCollector
from subscriptions.collector.fleet import LiveFleet


class FleetLoaders:
    """The fleet at the moment at which it is first asked for; from Postgres, only what is asked for is read."""

    def __init__(
        self, database: Database, offline_after: float, now: datetime, collector: RPAMetricsCollector | None = None
    ) -> None:
        self._seen = database.scope
        self._collector = collector
        self._pictures: dict[FleetScope, LiveFleet] = {}
        self._from_postgres = partial(fleet_numbers, database, offline_after=offline_after, now=now)
        self.numbers: Loader[tuple[FleetScope, FleetPart], Any] = Loader(self._numbers)

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

    async def _numbers(self, keys: list[tuple[FleetScope, FleetPart]]) -> list[Any]:
        """The numbers of these parts; of a scope that is not in memory, all its parts are one statement."""
        parts: dict[FleetScope, set[FleetPart]] = {}
        for scope, part in keys:
            parts.setdefault(scope, set()).add(part)
        found = {scope: await self._told(scope, asked) for scope, asked in parts.items()}
        return [found[scope][part] for scope, part in keys]

    async def _told(self, scope: FleetScope, parts: set[FleetPart]) -> Mapping[FleetPart, Any]:
        if (live := self.at_hand(scope)) is None:
            return await self._from_postgres(scope, parts)
        return {part: _PARTS[part](live) for part in parts}


_PARTS: Mapping[FleetPart, Callable[[LiveFleet], Any]] = {
    FleetPart.ROBOTS: attrgetter("robot_counts"),
    FleetPart.QUEUE: attrgetter("queue"),
    FleetPart.TODAY: attrgetter("today"),
}
