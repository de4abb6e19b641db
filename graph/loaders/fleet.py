"""The fleet's numbers by scope: from the collector's memory, or from Postgres for as long as it is not there yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from datasources.fleet import FleetNumbers, FleetScope, fleet_numbers
from datasources.postgres import Database, UnstorableValue, UpstreamUnavailable
from datasources.scope import Scope
from graph.loaders.batching import Loader
from subscriptions.collector import RPAMetricsCollector
from subscriptions.collector.fleet import LiveFleet


class FleetLoaders:
    """The fleet at the moment at which it is first asked for; as long as it is not there, from Postgres."""

    def __init__(
        self, database: Database, offline_after: float, now: datetime, collector: RPAMetricsCollector | None = None
    ) -> None:
        self._collector = collector
        self._pictures = _Pictures(database.scope, collector)
        from_postgres = partial(fleet_numbers, database, offline_after=offline_after, now=now)
        self.numbers: Loader[FleetScope, FleetNumbers] = Loader(partial(_numbers, self._pictures, from_postgres))

    def at_hand(self, scope: FleetScope) -> LiveFleet | None:
        """The fleet in memory; None before it is there."""
        return self._pictures.at_hand(scope)

    async def live(self, scope: FleetScope) -> LiveFleet:
        """The fleet in memory, waiting a moment for it; raises UpstreamUnavailable where it does not come."""
        if self._collector is not None:
            await self._collector.begun()
        if (picture := self.at_hand(scope)) is None:
            raise UpstreamUnavailable("the live fleet is not kept here")
        return picture


class _Pictures:
    """The fleet in memory, as it was when first looked at: apart, so that no loader holds what holds it."""

    def __init__(self, seen: Scope, collector: RPAMetricsCollector | None) -> None:
        self._seen = seen
        self._collector = collector
        self._taken: dict[FleetScope, LiveFleet] = {}

    def at_hand(self, scope: FleetScope) -> LiveFleet | None:
        if scope not in self._taken and self._collector is not None and self._collector.ready:
            if "\0" in (scope.environment or ""):
                raise UnstorableValue("The name of an environment holds no NUL.")  # as Postgres would say it
            self._taken[scope] = self._collector.fleet(self._seen, scope.environment)
        return self._taken.get(scope)


async def _numbers(
    pictures: _Pictures, from_postgres: Callable[[FleetScope], Awaitable[FleetNumbers]], scopes: list[FleetScope]
) -> list[FleetNumbers]:
    """The numbers of these; each that is not in memory takes two statements."""
    found = {
        scope: await from_postgres(scope) if (live := pictures.at_hand(scope)) is None else live.numbers
        for scope in dict.fromkeys(scopes)
    }
    return [found[scope] for scope in scopes]
