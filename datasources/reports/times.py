"""The order of the times in one life. Two clocks tell them, the robot's and ours, so a little disorder is no lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from datasources.reports.values import CLOCK_SKEW, spoken


def settle(row: dict[str, Any], told: dict[str, Any], names: Sequence[str]) -> None:
    """Raise a time to the one it must follow, unless one report told both or they differ by more than two clocks do."""
    for earlier, later in _pairs(row, names):
        if earlier not in told and row[later] < row[earlier] <= row[later] + CLOCK_SKEW:
            row[later] = row[earlier]


def disorder(row: dict[str, Any], names: Sequence[str]) -> str | None:
    """The contradiction in the times of a row; None if there is none."""
    found = ((earlier, later) for earlier, later in _pairs(row, names) if row[earlier] > row[later])
    return next((f"{spoken(earlier)} lies after {spoken(later)}" for earlier, later in found), None)


def _pairs(row: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    return pairwise(name for name in names if row[name] is not None)
