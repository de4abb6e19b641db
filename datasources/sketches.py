"""Quantile sketches: how many values lie in each of many bins that grow by two percent.

The bins are those of `monitor.sketch_bin`. As every value counts in a bin of its own size, a quantile is within one
percent of the true one whatever the values are, and two sketches are added by adding their counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import orjson

RELATIVE_ERROR = 0.01
_GROWTH = 1.02
_ONE = 400  # the bin that ends at 1
_MIDDLE = 2 / (_GROWTH + 1)


@dataclass(frozen=True, slots=True)
class Sketch:
    """Bins in ascending order, and how many values lie in each."""

    bins: Sequence[int] = ()
    counts: Sequence[int] = ()

    @classmethod
    def of(cls, pieces: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Sketch:
        """The sum of sketches, whose bins may come in any order; counts below zero take away."""
        parts = [part for part in pieces if part[0]]
        if not parts:
            return EMPTY
        least, most = min(min(bins) for bins, _ in parts), max(max(bins) for bins, _ in parts)
        added = [0] * (max(most, 0) - min(least, 0) + 1)  # bins below zero count from its end
        for bins, counts in parts:
            for bin_, count in zip(bins, counts, strict=True):
                added[bin_] += count
        kept = [(bin_, added[bin_]) for bin_ in range(least, most + 1) if added[bin_] > 0]
        return cls(*zip(*kept, strict=True)) if kept else EMPTY

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    def quantiles(self, fractions: Sequence[float]) -> list[float | None]:
        """The values that these fractions of all lie below, interpolated as `percentile_cont` does; None of nothing."""
        reached = list(accumulate(self.counts))
        if not reached:
            return [None] * len(fractions)

        def at(rank: int) -> float:
            return middle(self.bins[bisect_right(reached, rank)])

        last = reached[-1] - 1
        found: list[float | None] = []
        for fraction in fractions:
            rank = int(fraction * last)
            part = fraction * last - rank
            found.append(at(rank) * (1 - part) + at(min(rank + 1, last)) * part)
        return found

    def histogram(self, edges: Sequence[float]) -> list[int]:
        """How many values lie from each edge to the next; what is beyond the outer ones counts as just within."""
        counts = [0] * (len(edges) - 1)
        for bin_, count in zip(self.bins, self.counts, strict=True):
            place = bisect_right(edges, middle(bin_)) - 1
            counts[min(max(place, 0), len(counts) - 1)] += count
        return counts


EMPTY = Sketch()


def numbers(text: str) -> list[int]:
    """Integers with commas between, as `monitor.rollup_sketches` holds them."""
    found: list[int] = orjson.loads(f"[{text}]")
    return found


def middle(bin_: int) -> float:
    """What stands for all values of a bin, in the unit that was sketched."""
    if bin_ == 0:
        return 0.0
    size: float = _GROWTH ** (abs(bin_) - _ONE) * _MIDDLE
    return size if bin_ > 0 else -size
