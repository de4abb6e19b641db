"""The aggregator over a seeded past: the same answers as straight SQL over the jobs, without reading them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest
from explained import ExplainingDatabase
from straight import approximately, expect_totals, straight

from datasources.analytics import MetricsAggregator
from datasources.measures import FRACTIONS, Measure
from datasources.scores import efficiency
from datasources.settings import Settings
from datasources.sketches import RELATIVE_ERROR
from datasources.windows import AnalyticsScope, Cover, Step

NOW = datetime.now(UTC) + timedelta(minutes=10)  # after the seed, whose last jobs are created as it is sown
RAN = "j.status IN ('completed', 'failed')"
WINDOWS = [
    pytest.param(timedelta(hours=1), timedelta(0), id="an hour"),
    pytest.param(timedelta(minutes=20), timedelta(minutes=5), id="within an hour"),
    pytest.param(timedelta(days=1, minutes=13), timedelta(0), id="a day and a bit"),
    pytest.param(timedelta(days=3, seconds=1), timedelta(hours=7, minutes=31), id="broken at both ends"),
    pytest.param(timedelta(days=40), timedelta(0), id="all"),
]


@pytest.fixture
async def database(seeded_dsn: str) -> AsyncIterator[ExplainingDatabase]:
    database = ExplainingDatabase(seeded_dsn, Settings(pool_size=1))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def seeded(seeded_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(seeded_dsn, timeout=10)
    yield connection
    await connection.close(timeout=5)


def scopes(length: timedelta, ago: timedelta) -> list[AnalyticsScope]:
    whole = AnalyticsScope(NOW - length, NOW - ago)
    return [
        whole,
        replace(whole, workflow_id="invoice-intake"),
        replace(whole, robot_id="robot-003"),
        replace(whole, environment="production"),
        replace(whole, workflow_id="invoice-intake", environment="production"),
        replace(whole, workflow_id="invoice-intake", robot_id="robot-003"),
        replace(whole, workflow_id="unknown"),
    ]


@pytest.mark.parametrize(("length", "ago"), WINDOWS)
async def test_totals_are_those_of_the_jobs(
    database: ExplainingDatabase, seeded: asyncpg.Connection, length: timedelta, ago: timedelta
) -> None:
    for scope in scopes(length, ago):
        [totals] = await MetricsAggregator(database, NOW).totals([scope])
        await expect_totals(seeded, scope, totals)


@pytest.mark.parametrize("measure", ["run", "wait"])
@pytest.mark.parametrize(("length", "ago"), WINDOWS)
async def test_percentiles_of_few_jobs_are_exact_and_their_sketch_is_near(
    database: ExplainingDatabase, seeded: asyncpg.Connection, length: timedelta, ago: timedelta, measure: str
) -> None:
    column, which = ("j.duration_ms", RAN) if measure == "run" else ("j.queue_wait_ms", "j.completed_at IS NOT NULL")
    for scope in scopes(length, ago):
        [told] = await MetricsAggregator(database, NOW).percentiles([scope], measure)
        [[truth]] = await straight(
            seeded,
            "percentile_cont(ARRAY[0.5, 0.75, 0.9, 0.95, 0.99])"
            f" WITHIN GROUP (ORDER BY {column}) FILTER (WHERE {which})",
            scope,
        )
        assert told.exact
        assert [told.p50, told.p75, told.p90, told.p95, told.p99] == (truth or [None] * 5)
        for near, true in zip(told.sketch.quantiles(FRACTIONS), truth or [None] * 5, strict=True):
            assert near == (None if true is None else pytest.approx(true, rel=RELATIVE_ERROR))


async def test_percentiles_of_many_jobs_say_how_far_they_may_be_off(
    database: ExplainingDatabase, seeded: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasources.analytics._FEW", 100)
    scope = AnalyticsScope(NOW - timedelta(days=3), NOW)
    aggregator = MetricsAggregator(database, NOW)
    [near], [exact] = await aggregator.percentiles([scope]), await aggregator.percentiles([replace(scope, exact=True)])
    assert (near.exact, near.relative_error, exact.exact, exact.relative_error) == (False, RELATIVE_ERROR, True, 0.0)
    assert near.p95 == pytest.approx(exact.p95, rel=RELATIVE_ERROR)
    assert near.p95 != exact.p95
    monkeypatch.setattr("datasources.analytics.MOST_EXACT", 100)
    [refused] = await aggregator.percentiles([replace(scope, exact=True)])
    assert not refused.exact


async def test_many_workflows_are_answered_as_each_alone(database: ExplainingDatabase) -> None:
    aggregator = MetricsAggregator(database, NOW)
    whole = AnalyticsScope(NOW - timedelta(days=3), NOW)
    several = [replace(whole, workflow_id=name) for name in ("invoice-intake", "unknown", "tax-filing", "order-entry")]
    for scope, together in zip(several, await aggregator.totals(several), strict=True):
        [alone] = await aggregator.totals([scope])
        assert together == replace(alone, variance=approximately(alone.variance))  # squares are added in another order
    for ask in (aggregator.slowest, aggregator.errors, aggregator.healing, aggregator.bottlenecks):
        assert await ask(several) == [(await ask([scope]))[0] for scope in several]


@pytest.mark.parametrize(("length", "ago"), WINDOWS)
async def test_the_slowest_workflows_and_the_errors_are_those_of_the_jobs(
    database: ExplainingDatabase, seeded: asyncpg.Connection, length: timedelta, ago: timedelta
) -> None:
    aggregator = MetricsAggregator(database, NOW)
    for scope in scopes(length, ago):
        [slowest] = await aggregator.slowest([scope])
        truth = await straight(
            seeded,
            "j.workflow_id, max(j.workflow_name), avg(j.duration_ms), count(*)",
            scope,
            f"AND {RAN} AND j.duration_ms IS NOT NULL GROUP BY 1 HAVING count(*) >= 3 ORDER BY 3 DESC LIMIT 10",
        )
        told = [
            (one.workflow_id, one.workflow_name, approximately(one.average_duration_ms), one.runs) for one in slowest
        ]
        assert [tuple(row) for row in truth] == told
        [errors] = await aggregator.errors([scope])
        failed = await straight(
            seeded, "j.error_type, count(*)", scope, "AND j.status = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        assert [(error.error_type, error.count) for error in errors.counts] == [tuple(row) for row in failed]
        assert errors.kinds == len(failed)


@pytest.mark.parametrize("step", [Step.HOUR, Step.DAY, Step.WEEK, Step.MINUTE])
async def test_a_time_series_is_what_each_of_its_steps_says(
    database: ExplainingDatabase, seeded: asyncpg.Connection, step: Step
) -> None:
    length = timedelta(hours=5, minutes=7) if step is Step.MINUTE else timedelta(days=2, hours=3, minutes=7)
    measures = (Measure.TOTAL_JOBS, Measure.FAILED_JOBS, Measure.AVERAGE_DURATION_MS, Measure.P95_DURATION_MS)
    for scope in scopes(length, timedelta(minutes=3))[:4]:
        [points] = await MetricsAggregator(database, NOW).series([scope], step, measures)
        truth = {
            row["start"]: row
            for row in await straight(
                seeded,
                f"date_trunc('{step.value}', j.created_at, 'UTC') AS start, count(*) AS total,"
                f" count(*) FILTER (WHERE j.status = 'failed') AS failed,"
                f" avg(j.duration_ms) FILTER (WHERE {RAN}) AS mean,"
                f" percentile_cont(0.95) WITHIN GROUP (ORDER BY j.duration_ms) FILTER (WHERE {RAN}) AS p95",
                scope,
                "GROUP BY 1",
            )
        }
        assert [point.start for point in points] == step.starts(scope.since, scope.until)
        for point in points:
            row = truth.get(point.start)
            total, failed, mean, p95 = point.values
            assert (total, failed) == ((0, 0) if row is None else (row["total"], row["failed"]))
            assert mean == (None if row is None else approximately(row["mean"]))
            assert p95 == (None if row is None or row["p95"] is None else pytest.approx(row["p95"], rel=RELATIVE_ERROR))


async def test_scores_are_what_a_second_reckoning_says(
    database: ExplainingDatabase, seeded: asyncpg.Connection
) -> None:
    aggregator = MetricsAggregator(database, NOW)
    workflows = [row[0] for row in await seeded.fetch("SELECT DISTINCT workflow_id FROM monitor.jobs")]
    for workflow in workflows:
        scope = AnalyticsScope(NOW - timedelta(days=4), NOW, workflow_id=workflow)
        [totals], [runs], [healing], [errors] = (
            await aggregator.totals([scope]),
            await aggregator.percentiles([scope]),
            await aggregator.healing([scope]),
            await aggregator.errors([scope]),
        )
        told = efficiency(totals, runs, healing, errors)
        assert told is not None
        rows = await straight(
            seeded,
            "j.status, j.duration_ms, j.error_type, (SELECT count(*) FROM monitor.healing_events h"
            " WHERE h.job_id = j.job_id) AS healed",
            scope,
        )
        assert told.score == pytest.approx(reckoned(rows))


def reckoned(rows: list[asyncpg.Record]) -> float:
    """The score as the documents put it, over the jobs one by one."""
    ended = [row for row in rows if row["status"] in {"completed", "failed", "cancelled"}]
    executions = [row for row in ended if row["status"] != "cancelled"]
    ran = sorted(row["duration_ms"] for row in executions)
    rank = 0.95 * (len(ran) - 1)
    below, above = ran[int(rank)], ran[min(int(rank) + 1, len(ran) - 1)]
    seconds = (below + (above - below) * (rank % 1)) / 1000
    reliability = 100 * sum(row["status"] == "completed" for row in ended) / len(ended)
    performance = 100 if seconds <= 60 else 0 if seconds >= 300 else 100 * (300 - seconds) / 240
    resource = max(0, 100 - 100 * sum(row["healed"] for row in rows) / len(executions))
    kinds = len({row["error_type"] for row in ended if row["status"] == "failed"})
    maintainability = 100 if kinds == 0 else 80 if kinds <= 2 else 50 if kinds <= 5 else 20
    return 0.40 * reliability + 0.30 * performance + 0.15 * resource + 0.15 * maintainability


async def test_a_month_is_answered_without_reading_what_ended_in_it(database: ExplainingDatabase) -> None:
    since = Step.HOUR.floor(NOW - timedelta(days=30))
    whole = AnalyticsScope(since, NOW)
    aggregator = MetricsAggregator(database, NOW)
    async with database.connection() as connection:
        alive = await connection.fetchval("SELECT count(*) FROM monitor.jobs WHERE status IN ('pending', 'claimed')")
    for scope in (whole, replace(whole, workflow_id="invoice-intake"), replace(whole, robot_id="robot-003")):
        await aggregator.totals([scope])
        assert database.plan.read <= alive
        for ask in (aggregator.errors, aggregator.healing, aggregator.robot_time):
            await ask([scope])
            assert database.plan.read == 0
    for ask in (aggregator.slowest, aggregator.bottlenecks):
        await ask([whole])
        assert database.plan.read == 0


def test_a_window_is_put_together_without_gap_or_overlap() -> None:
    for length in (timedelta(minutes=3), timedelta(hours=5), timedelta(days=9, minutes=1), timedelta(days=366)):
        for ago in (timedelta(0), timedelta(minutes=59), timedelta(days=3)):
            since, until = NOW - length - ago, NOW - ago
            cover = Cover.of(since, until, NOW)
            pieces = sorted([(start, end) for _, start, end in cover.spans] + list(cover.edges))
            assert pieces[0][0] == since
            assert pieces[-1][1] >= until if ago == timedelta(0) else pieces[-1][1] == until
            assert all(end == start for (_, end), (start, _) in pairwise(pieces))
