"""How jobs went, by scope; the scopes of many workflows over one window are one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from datasources.analytics import AnalyticsScope, errors, healing_rates, percentiles, slowest, totals
from datasources.postgres import Database
from graph.loaders.batching import Loader

Value = TypeVar("Value")


class AnalyticsLoaders:
    """Each group of measures is read only when one of them is asked for."""

    def __init__(self, database: Database) -> None:
        self.totals = _by_window(lambda scopes: totals(database, scopes))
        self.percentiles = _by_window(lambda scopes: percentiles(database, scopes))
        self.slowest = _by_window(lambda scopes: slowest(database, scopes))
        self.errors = _by_window(lambda scopes: errors(database, scopes))
        self.healing_rates = _by_window(lambda scopes: healing_rates(database, scopes))


def _by_window(
    fetch: Callable[[list[AnalyticsScope]], Awaitable[list[Value]]],
) -> Loader[AnalyticsScope, Value]:
    async def load(scopes: list[AnalyticsScope]) -> list[Value]:
        groups: dict[object, list[AnalyticsScope]] = {}
        for scope in dict.fromkeys(scopes):
            group = (scope.since, scope.until, scope.robot_id, scope.workflow_id is None)
            groups.setdefault(group, []).append(scope)
        answers = await asyncio.gather(*(fetch(group) for group in groups.values()))
        found = {
            scope: value
            for group, values in zip(groups.values(), answers, strict=True)
            for scope, value in zip(group, values, strict=True)
        }
        return [found[scope] for scope in scopes]

    return Loader(load)
