"""How jobs went, by scope; the scopes of many workflows or robots over one window are one statement."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from datasources.analytics import MOST_EXACT, MetricsAggregator
from datasources.measures import Measure, Percentiles, Point
from datasources.windows import AnalyticsScope, Step
from graph.errors import BadUserInput
from graph.loaders.batching import Loader

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SeriesKey(NamedTuple):
    """A scope, and the time series that are wanted of it."""

    scope: AnalyticsScope
    step: Step
    measures: tuple[Measure, ...]


class AnalyticsLoaders:
    """Each group of measures is read only when one of them is asked for."""

    def __init__(self, aggregator: MetricsAggregator) -> None:
        self.totals = _by_shape(aggregator.totals)
        self.runs: Loader[AnalyticsScope, Percentiles] = _by_shape(
            lambda scopes: _percentiles(aggregator, scopes, "run")
        )
        self.waits: Loader[AnalyticsScope, Percentiles] = _by_shape(
            lambda scopes: _percentiles(aggregator, scopes, "wait")
        )
        self.slowest = _by_shape(aggregator.slowest)
        self.errors = _by_shape(aggregator.errors)
        self.healing = _by_shape(aggregator.healing)
        self.bottlenecks = _by_shape(aggregator.bottlenecks)
        self.robot_time = _by_shape(aggregator.robot_time)
        self.series = _series(aggregator)
        self.first_job = _first_job(aggregator)


class _Once(Loader[Key, Value]):
    """A loader that asks for each key once: several fields are made of the same numbers, at different times."""

    def __init__(self, read: Callable[[list[Key]], Awaitable[Sequence[Value]]]) -> None:
        super().__init__(read)
        self._answers: dict[Key, Future[Value]] = {}
        self._waiting: Counter[Key] = Counter()

    def load(self, key: Key) -> Future[Value]:
        """The value of a key, which goes on being read for others where one gives up."""
        answer = self._answers.get(key)
        if answer is None or answer.cancelled():
            answer = self._answers[key] = super().load(key)
        shared = asyncio.shield(answer)
        self._waiting[key] += 1
        shared.add_done_callback(lambda _: self._leave(key))
        return shared

    def load_many(self, keys: Iterable[Key]) -> Future[list[Value]]:
        """The values of these keys, in their order."""
        return asyncio.gather(*map(self.load, keys))

    def _leave(self, key: Key) -> None:
        self._waiting[key] -= 1
        if not self._waiting[key]:
            self._answers[key].cancel()


def _batched(
    fetch: Callable[[list[Key]], Awaitable[Sequence[Value | BadUserInput]]], shape: Callable[[Key], Hashable]
) -> Loader[Key, Value]:
    """A loader whose keys of one shape are answered by one statement; what is refused is raised."""

    async def load(keys: list[Key]) -> list[Value | BadUserInput]:
        groups: dict[Hashable, list[Key]] = {}
        for key in dict.fromkeys(keys):
            groups.setdefault(shape(key), []).append(key)
        asked = [fetch(group) for group in groups.values()]
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)  # one needs no task
        found = {
            key: value
            for group, values in zip(groups.values(), answers, strict=True)
            for key, value in zip(group, values, strict=True)
        }
        return [found[key] for key in keys]

    return _Once(load)  # type: ignore[arg-type]  # an exception is of its key alone


def _by_shape(
    fetch: Callable[[list[AnalyticsScope]], Awaitable[Sequence[Value | BadUserInput]]],
) -> Loader[AnalyticsScope, Value]:
    return _batched(fetch, lambda scope: scope.shape)


async def _percentiles(
    aggregator: MetricsAggregator, scopes: list[AnalyticsScope], measure: str
) -> list[Percentiles | BadUserInput]:
    """The percentiles, or why they cannot be as exact as was asked for."""
    found = await aggregator.percentiles(scopes, measure)
    return [
        percentiles if percentiles.exact or not scope.exact else _inexact(percentiles)
        for scope, percentiles in zip(scopes, found, strict=True)
    ]


def _inexact(percentiles: Percentiles) -> BadUserInput:
    jobs = percentiles.sketch.total
    if jobs <= MOST_EXACT:
        return BadUserInput(
            f"Exact percentiles are read from the jobs: of these {jobs:,} some are kept no longer, or there are more "
            f"than {MOST_EXACT:,} together with the others that are asked for. Ask without `exact`."
        )
    return BadUserInput(
        f"Exact percentiles are read from at most {MOST_EXACT:,} jobs, and there are {jobs:,} in the window: "
        "take a shorter window, or ask without `exact`."
    )


def _series(aggregator: MetricsAggregator) -> Loader[SeriesKey, list[Point]]:
    def fetch(keys: list[SeriesKey]) -> Awaitable[list[list[Point]]]:
        return aggregator.series([key.scope for key in keys], keys[0].step, keys[0].measures)

    return _batched(fetch, lambda key: key._replace(scope=key.scope.shape))


def _first_job(aggregator: MetricsAggregator) -> Loader[str, datetime | None]:
    async def fetch(keys: list[str]) -> list[datetime | None]:
        return [await aggregator.first_job()] * len(keys)

    return _batched(fetch, lambda _: None)
