"""Quantile sketches: never further from the truth than they say, and added without loss."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datasources.measures import FRACTIONS
from datasources.sketches import RELATIVE_ERROR, Sketch, middle

Ask = Callable[..., Any]

# Microseconds from nothing to 290,000 years, of all sizes: what times in Postgres can differ by.
TIMES = st.one_of(
    st.integers(0, 10),
    st.integers(0, 10_000_000),
    st.integers(0, 9 * 10**18),
    st.integers(0, 62).map(lambda power: 2**power),
).map(lambda microseconds: microseconds / 1000)
SAMPLES = st.lists(TIMES, min_size=1, max_size=60)
PROPERTY = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

_BINS = (
    "SELECT monitor.sketch_bin(value) AS bin, count(*) AS count FROM unnest($1::float8[]) AS value"
    " GROUP BY 1 ORDER BY 1"
)
_TRUTH = "SELECT percentile_cont($2::float8[]) WITHIN GROUP (ORDER BY value) FROM unnest($1::float8[]) AS value"


@pytest.fixture(scope="module")
def ask(seeded_dsn: str) -> Iterator[Ask]:
    """Ask Postgres, over one connection for all examples."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(seeded_dsn, timeout=10))

        def run(question: Awaitable[Any]) -> Any:
            return runner.run(question)

        yield lambda statement, *arguments: run(connection.fetch(statement, *arguments))
        runner.run(connection.close(timeout=5))


def sketched(ask: Ask, values: list[float]) -> Sketch:
    rows = ask(_BINS, values)
    return Sketch([row["bin"] for row in rows], [row["count"] for row in rows])


@PROPERTY
@given(values=SAMPLES)
@example(values=[0.0])
@example(values=[0.001, 9e15])
@example(values=[1.0] * 50)
def test_a_quantile_is_within_its_stated_error_of_the_true_one(ask: Ask, values: list[float]) -> None:
    told = sketched(ask, values).quantiles(FRACTIONS)
    [[truth]] = ask(_TRUTH, values, FRACTIONS)
    for near, true in zip(told, truth, strict=True):
        assert near == pytest.approx(true, rel=RELATIVE_ERROR, abs=1e-12)


@PROPERTY
@given(values=SAMPLES)
def test_values_below_nothing_mirror_those_above(ask: Ask, values: list[float]) -> None:
    above, below = sketched(ask, values), sketched(ask, [-value for value in values])
    assert [-bin_ for bin_ in reversed(below.bins)] == list(above.bins)
    assert list(reversed(below.counts)) == list(above.counts)


@PROPERTY
@given(first=SAMPLES, second=SAMPLES)
def test_two_sketches_added_are_the_sketch_of_all(ask: Ask, first: list[float], second: list[float]) -> None:
    one, other, both = sketched(ask, first), sketched(ask, second), sketched(ask, first + second)
    added = Counter(dict(zip(one.bins, one.counts, strict=True))) + Counter(
        dict(zip(other.bins, other.counts, strict=True))
    )
    assert added == Counter(dict(zip(both.bins, both.counts, strict=True)))


def test_a_bin_is_two_percent_wider_than_the_one_before() -> None:
    for smaller, larger in pairwise(range(1, 2300)):
        assert middle(larger) / middle(smaller) == pytest.approx(1.02)


def test_nothing_has_no_quantiles() -> None:
    assert Sketch().quantiles(FRACTIONS) == [None] * len(FRACTIONS)


@PROPERTY
@given(values=SAMPLES, bins=st.integers(1, 200))
def test_a_histogram_holds_every_value_once(ask: Ask, values: list[float], bins: int) -> None:
    least, most = min(values), max(values)
    edges = [least + (most - least) * number / bins for number in range(bins)] + [most]
    counts = sketched(ask, values).histogram(edges)
    assert len(counts) == bins
    assert sum(counts) == len(values)
