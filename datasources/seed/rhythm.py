"""When work arrives: office hours on working days, a lunch dip, some of it at night and at weekends."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from datasources.seed.binary_copy import moment

# Jobs arriving in each hour of a working day (UTC), relative to the busiest.
_HOURS = (
    0.10, 0.08, 0.25, 0.10, 0.08, 0.15, 0.35, 0.70, 1.00, 1.00, 0.95, 0.85,
    0.60, 0.85, 0.95, 0.90, 0.80, 0.55, 0.35, 0.25, 0.20, 0.18, 0.15, 0.12,
)  # fmt: skip
_WEEKEND = 0.25
_SATURDAY = 5
_SLOT = 900_000_000


def arrivals(random: Random, count: int, start: int, end: int) -> Iterator[int]:
    """`count` moments between `start` and `end` in order, all in microseconds since Postgres' epoch."""
    slots = [(at, min(_SLOT, end - at)) for at in range(start, end, _SLOT)]
    weights = [_intensity(at) * width for at, width in slots]
    expected, made, total = 0.0, 0, sum(weights)
    for (at, width), weight in zip(slots, weights, strict=True):
        expected += count * weight / total
        arriving = round(expected) - made
        made += arriving
        yield from sorted(at + int(random.random() * width) for _ in range(arriving))


def _intensity(at: int) -> float:
    when = moment(at)
    return _HOURS[when.hour] * (_WEEKEND if when.weekday() >= _SATURDAY else 1.0)
