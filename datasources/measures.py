"""What is measured of jobs: rows of the aggregator. Durations are milliseconds; None where nothing happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import sqrt

from datasources.sketches import EMPTY, RELATIVE_ERROR, Sketch

FRACTIONS = (0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Totals:
    """How many jobs there were, how they ended, how long they ran and how long they waited before."""

    alive: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    runs: int = 0
    run_ms: float = 0.0
    variance: float | None = None
    shortest: float | None = None
    longest: float | None = None
    waits: int = 0
    wait_ms: float = 0.0
    longest_wait: float | None = None

    @property
    def total(self) -> int:
        """All jobs, in whatever state they are."""
        return self.alive + self.ended

    @property
    def ended(self) -> int:
        """Jobs that completed, failed or were cancelled."""
        return self.completed + self.failed + self.cancelled

    @property
    def success_rate(self) -> float | None:
        """Completed jobs in percent of those that ended."""
        return percent(self.completed, self.ended)

    @property
    def failure_rate(self) -> float | None:
        """Failed jobs in percent of those that ended."""
        return percent(self.failed, self.ended)

    @property
    def average_duration_ms(self) -> float | None:
        """The mean run."""
        return self.run_ms / self.runs if self.runs else None

    @property
    def standard_deviation_ms(self) -> float | None:
        """The sample's standard deviation; None of fewer than two runs."""
        return None if self.variance is None else sqrt(max(self.variance, 0.0))

    @property
    def average_wait_ms(self) -> float | None:
        """The mean time from creation to claim."""
        return self.wait_ms / self.waits if self.waits else None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Times that this share of the jobs stayed within; `exact` where the jobs themselves were read for them."""

    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    exact: bool = True
    sketch: Sketch = EMPTY

    @property
    def relative_error(self) -> float:
        """How far these may be off, as a share of the true value."""
        return 0.0 if self.exact else RELATIVE_ERROR


@dataclass(frozen=True, slots=True)
class SlowWorkflow:
    """A workflow, its average run in milliseconds and how often it ran."""

    workflow_id: str
    workflow_name: str
    average_duration_ms: float
    runs: int


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """An error type and how many jobs failed with it."""

    error_type: str
    count: int


@dataclass(frozen=True, slots=True)
class Errors:
    """The most frequent error types, and how many there are of all."""

    counts: tuple[ErrorCount, ...] = ()
    kinds: int = 0

    def of(self, error_type: str) -> int:
        """How many jobs failed with this error."""
        return next((error.count for error in self.counts if error.error_type == error_type), 0)


@dataclass(frozen=True, slots=True)
class TierHealing:
    """How often a tier tried to heal a broken step, and how often it did."""

    tier: str
    attempts: int
    successes: int

    @property
    def success_rate(self) -> float | None:
        """Healed steps in percent of those tried."""
        return percent(self.successes, self.attempts)


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A step of a workflow, and what it takes of all the time that steps take."""

    workflow_id: str
    node_id: str
    node_type: str
    ended: int
    failed: int
    runs: int
    run_ms: float
    time_share: float | None
    p95_duration_ms: float | None

    @property
    def average_duration_ms(self) -> float:
        """The mean run of the step."""
        return self.run_ms / self.runs

    @property
    def failure_rate(self) -> float | None:
        """Failed steps in percent of those that ended."""
        return percent(self.failed, self.ended)


@dataclass(frozen=True, slots=True)
class RobotTime:
    """Hours that robots spent in each state; None where nothing is known of any."""

    busy: float = 0.0
    idle: float = 0.0
    offline: float = 0.0
    failed: float = 0.0

    @property
    def utilisation(self) -> float | None:
        """Busy hours in percent of those in which a robot could have worked."""
        return percent(self.busy, self.busy + self.idle)


class Measure(StrEnum):
    """What a time series can show."""

    TOTAL_JOBS = "total_jobs"
    COMPLETED_JOBS = "completed_jobs"
    FAILED_JOBS = "failed_jobs"
    CANCELLED_JOBS = "cancelled_jobs"
    SUCCESS_RATE = "success_rate"
    FAILURE_RATE = "failure_rate"
    AVERAGE_DURATION_MS = "average_duration_ms"
    STANDARD_DEVIATION_MS = "standard_deviation_ms"
    MIN_DURATION_MS = "min_duration_ms"
    MAX_DURATION_MS = "max_duration_ms"
    P50_DURATION_MS = "p50_duration_ms"
    P75_DURATION_MS = "p75_duration_ms"
    P90_DURATION_MS = "p90_duration_ms"
    P95_DURATION_MS = "p95_duration_ms"
    P99_DURATION_MS = "p99_duration_ms"
    AVERAGE_QUEUE_WAIT_MS = "average_queue_wait_ms"
    MAX_QUEUE_WAIT_MS = "max_queue_wait_ms"

    @property
    def fraction(self) -> float | None:
        """Which quantile this is, if it is one."""
        return int(self.value[1:3]) / 100 if self.value[1:3].isdigit() else None

    def of(self, totals: Totals, sketch: Sketch) -> float | None:
        """Its value, from what it is read from."""
        return _COUNTED[self](totals) if self.fraction is None else sketch.quantiles([self.fraction])[0]


_COUNTED: Mapping[Measure, Callable[[Totals], float | None]] = {
    Measure.TOTAL_JOBS: lambda totals: totals.total,
    Measure.COMPLETED_JOBS: lambda totals: totals.completed,
    Measure.FAILED_JOBS: lambda totals: totals.failed,
    Measure.CANCELLED_JOBS: lambda totals: totals.cancelled,
    Measure.SUCCESS_RATE: lambda totals: totals.success_rate,
    Measure.FAILURE_RATE: lambda totals: totals.failure_rate,
    Measure.AVERAGE_DURATION_MS: lambda totals: totals.average_duration_ms,
    Measure.STANDARD_DEVIATION_MS: lambda totals: totals.standard_deviation_ms,
    Measure.MIN_DURATION_MS: lambda totals: totals.shortest,
    Measure.MAX_DURATION_MS: lambda totals: totals.longest,
    Measure.AVERAGE_QUEUE_WAIT_MS: lambda totals: totals.average_wait_ms,
    Measure.MAX_QUEUE_WAIT_MS: lambda totals: totals.longest_wait,
}


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a time series, and the values of the measures asked for, from there to the next."""

    start: datetime
    values: tuple[float | None, ...]


def percent(part: float, whole: float) -> float | None:
    """The part in percent of the whole; None of nothing."""
    return 100.0 * part / whole if whole else None
