"""Scores of how well a workflow runs, from its measures: each can be told from its factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasources.measures import Errors, Percentiles, TierHealing, Totals

_FAST_MS = 60_000.0  # a p95 up to here is as good as can be
_SLOW_MS = 300_000.0  # and from here on as bad
_KINDS = ((0, 100.0), (2, 80.0), (5, 50.0))  # up to so many kinds of errors, such a score
_MANY_KINDS = 20.0


@dataclass(frozen=True, slots=True)
class Factor:
    """A part of a score: its own score of 0 to 100, its weight, and the measured value it was made from."""

    name: str
    weight: float
    score: float
    value: float


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How efficiently jobs ran, 0 to 100: the weighted mean of its factors."""

    factors: tuple[Factor, ...]

    @property
    def score(self) -> float:
        """0 to 100."""
        return sum(factor.weight * factor.score for factor in self.factors)


def efficiency(totals: Totals, runs: Percentiles, healing: Sequence[TierHealing], errors: Errors) -> Efficiency | None:
    """The score of these jobs; None where none ran to an end."""
    success_rate, p95 = totals.success_rate, runs.p95
    if success_rate is None or p95 is None:
        return None
    attempts = sum(tier.attempts for tier in healing) / (totals.completed + totals.failed)
    slowness = (p95 - _FAST_MS) / (_SLOW_MS - _FAST_MS)
    kinds = next((score for most, score in _KINDS if errors.kinds <= most), _MANY_KINDS)
    return Efficiency(
        (
            Factor("reliability", 0.40, success_rate, success_rate),
            Factor("performance", 0.30, 100 * (1 - min(max(slowness, 0.0), 1.0)), p95),
            Factor("resource", 0.15, max(0.0, 100 - 100 * attempts), attempts),
            Factor("maintainability", 0.15, kinds, float(errors.kinds)),
        )
    )


@dataclass(frozen=True, slots=True)
class SlaTarget:
    """What was agreed of a measure, and what was measured; `met` is None where nothing was."""

    measure: str
    target: float
    actual: float | None
    met: bool | None


def at_least(measure: str, target: float, actual: float | None) -> SlaTarget:
    """A target that more is better of."""
    return SlaTarget(measure, target, actual, None if actual is None else actual >= target)


def at_most(measure: str, target: float, actual: float | None) -> SlaTarget:
    """A target that less is better of."""
    return SlaTarget(measure, target, actual, None if actual is None else actual <= target)
