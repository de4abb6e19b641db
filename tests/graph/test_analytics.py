"""Analytics over HTTP: what can be asked of history, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from serving import Graph

from datasources.windows import Step


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


def between(start: str, end: str) -> dict[str, Any]:
    return {"between": {"from": start, "to": end}}


def test_one_question_tells_how_a_fleet_has_done(standing_fleet: Graph) -> None:
    told = standing_fleet.ask("""
        { analytics(window: {last: "PT1H"}) {
            standardDeviationMs minDurationMs maxDurationMs p75DurationMs exact relativeError
            queueWait { averageMs maxMs p50Ms p95Ms p99Ms }
            selfHealing { tier attempts successes successRate }
            errorDistribution { errorType count previousCount }
            bottleneckNodes { workflowId nodeId nodeType runs timeShare averageDurationMs p95DurationMs failureRate }
            distribution(bins: 2) { fromMs toMs count }
            efficiencyScore { score change trend factors { name weight score value } }
            slaCompliance(targets: {successRate: 30, p95DurationMs: 1000}) {
              met targets { measure target actual met } } } }
    """).data["analytics"]
    assert told["standardDeviationMs"] == pytest.approx(2**0.5 * 1000)
    assert (told["minDurationMs"], told["maxDurationMs"], told["p75DurationMs"]) == (2000.0, 4000.0, 3500.0)
    assert (told["exact"], told["relativeError"]) == (True, 0.0)
    assert told["queueWait"] == {
        "averageMs": 1500.0,
        "maxMs": 2000.0,
        "p50Ms": 1500.0,
        "p95Ms": pytest.approx(1950),
        "p99Ms": pytest.approx(1990),
    }
    assert told["selfHealing"] == [
        {"tier": "anchor", "attempts": 2, "successes": 2, "successRate": 100.0},
        {"tier": "heuristic", "attempts": 1, "successes": 0, "successRate": 0.0},
        {"tier": "vision", "attempts": 1, "successes": 1, "successRate": 100.0},
    ]
    assert told["errorDistribution"] == [{"errorType": "InvoiceFormatError", "count": 1, "previousCount": 0}]
    assert [(step["nodeId"], step["runs"], step["failureRate"]) for step in told["bottleneckNodes"]] == [
        ("download", 2, 0.0),
        ("parse", 1, 100.0),
    ]
    assert told["bottleneckNodes"][0]["timeShare"] == pytest.approx(70)
    assert told["bottleneckNodes"][1]["p95DurationMs"] == pytest.approx(1500, rel=0.01)
    assert told["distribution"] == [
        {"fromMs": 2000.0, "toMs": 3000.0, "count": 1},
        {"fromMs": 3000.0, "toMs": 4000.0, "count": 1},
    ]
    score = told["efficiencyScore"]
    assert (score["change"], score["trend"]) == (None, None)
    assert {factor["name"]: factor["score"] for factor in score["factors"]} == {
        "reliability": pytest.approx(100 / 3),
        "performance": 100.0,
        "resource": 0.0,
        "maintainability": 80.0,
    }
    assert score["score"] == pytest.approx(0.4 * 100 / 3 + 30 + 12)
    assert told["slaCompliance"] == {
        "met": False,
        "targets": [
            {"measure": "successRate", "target": 30.0, "actual": pytest.approx(100 / 3), "met": True},
            {"measure": "p95DurationMs", "target": 1000.0, "actual": pytest.approx(3900), "met": False},
        ],
    }


def test_a_window_is_compared_with_the_one_before(standing_fleet: Graph) -> None:
    told = standing_fleet.ask(
        """query ($window: TimeWindow!) {
          analytics(window: $window) { compareToPrevious {
            previous { totalJobs successRate } totalJobsChange successRateChange averageDurationChange p95DurationChange
          } } }""",
        window=between(ago(seconds=45), ago(seconds=-1)),
    ).data["analytics"]["compareToPrevious"]
    assert told == {
        "previous": {"totalJobs": 1, "successRate": 100.0},
        "totalJobsChange": 300.0,
        "successRateChange": -100.0,
        "averageDurationChange": -50.0,
        "p95DurationChange": -50.0,
    }


def test_a_robot_a_workflow_and_an_environment_have_analytics_of_their_own(standing_fleet: Graph) -> None:
    told = standing_fleet.ask("""
        { robot(robotId: "r-busy") { analytics(window: {last: "P1D"}) {
            totalJobs robotHours { busy utilisation } bottleneckNodes { nodeId } } }
          workflow(workflowId: "intake") { analytics(window: {last: "P1D"}) {
            totalJobs robotHours { busy } bottleneckNodes { nodeId } throughputPerHour } }
          staging: analytics(environment: "staging") { totalJobs successRate throughputPerHour } }
    """).data
    assert told["robot"]["analytics"] == {
        "totalJobs": 3,
        "robotHours": {"busy": pytest.approx(0, abs=0.1), "utilisation": pytest.approx(100)},
        "bottleneckNodes": None,
    }
    assert told["workflow"]["analytics"] == {
        "totalJobs": 3,
        "robotHours": None,
        "bottleneckNodes": [{"nodeId": "download"}, {"nodeId": "parse"}],
        "throughputPerHour": pytest.approx(2 / 24),
    }
    assert told["staging"] == {"totalJobs": 1, "successRate": None, "throughputPerHour": None}


def test_a_time_series_has_a_point_for_every_step(standing_fleet: Graph) -> None:
    told = standing_fleet.ask("""
        { analytics(window: {last: "P3D"}) {
            timeSeries(measures: [TOTAL_JOBS, P95_DURATION_MS, SUCCESS_RATE, TOTAL_JOBS], step: DAY) {
              measure relativeError points { start value } } } }
    """).data["analytics"]["timeSeries"]
    assert [series["measure"] for series in told] == ["TOTAL_JOBS", "P95_DURATION_MS", "SUCCESS_RATE"]
    assert [series["relativeError"] for series in told] == [0.0, 0.01, 0.0]
    today = Step.DAY.floor(datetime.now(UTC))
    days = [f"{today - timedelta(days=number):%Y-%m-%dT00:00:00Z}" for number in (3, 2, 1, 0)]
    assert all([point["start"] for point in series["points"]] == days for series in told)
    assert sum(point["value"] for point in told[0]["points"]) == 6
    assert {point["value"] for point in told[2]["points"]} >= {None}


def test_an_empty_window_is_nulls_and_only_counts_are_zero(standing_fleet: Graph) -> None:
    told = standing_fleet.ask(
        """query ($window: TimeWindow!) { analytics(window: $window) {
            totalJobs standardDeviationMs minDurationMs maxDurationMs p75DurationMs throughputPerHour
            exact relativeError
            queueWait { averageMs p95Ms } distribution { count } efficiencyScore { score } bottleneckNodes { runs }
            slaCompliance { met targets { actual met } } selfHealing { tier }
            compareToPrevious { totalJobsChange successRateChange previous { totalJobs } }
            timeSeries(measures: [TOTAL_JOBS, P50_DURATION_MS], step: MINUTE) { points { value } } } }""",
        window=between(ago(minutes=90), ago(minutes=88)),
    ).data["analytics"]
    values = [{point["value"] for point in series["points"]} for series in told.pop("timeSeries")]
    assert values == [{0.0}, {None}]
    assert told == {
        "totalJobs": 0,
        **dict.fromkeys(("standardDeviationMs", "minDurationMs", "maxDurationMs", "p75DurationMs")),
        "throughputPerHour": None,
        "exact": True,
        "relativeError": 0.0,
        "queueWait": {"averageMs": None, "p95Ms": None},
        "distribution": [],
        "efficiencyScore": None,
        "bottleneckNodes": [],
        "slaCompliance": {"met": None, "targets": [{"actual": None, "met": None}] * 2},
        "selfHealing": [],
        "compareToPrevious": {"totalJobsChange": None, "successRateChange": None, "previous": {"totalJobs": 0}},
    }


@pytest.mark.parametrize(
    ("window", "field", "word"),
    [
        (between(ago(days=1), ago(days=2)), "totalJobs", "`from` must lie before `to`"),
        (between(ago(days=-1), ago(days=-2)), "totalJobs", "future"),
        (between(ago(days=400), ago(days=1)), "totalJobs", "366 days"),
        (between(ago(days=300), ago(days=200)), "totalJobs", "before the first job"),
        ({"last": "P63D"}, "timeSeries(measures: [TOTAL_JOBS], step: HOUR) { measure }", "at most 1,500 points"),
        ({"last": "P2D"}, "timeSeries(measures: [TOTAL_JOBS], step: MINUTE) { measure }", "at most 1,500 points"),
        ({"last": "P1D"}, "distribution(bins: 201) { count }", "between 1 and 200"),
        ({"last": "P1D"}, "distribution(bins: 0) { count }", "between 1 and 200"),
        ({"last": "P1D"}, "slaCompliance(targets: {successRate: 101}) { met }", "between 0 and 100"),
        ({"last": "P1D"}, "slaCompliance(targets: {p95DurationMs: 0}) { met }", "more than 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_limit(seeded: Graph, window: Any, field: str, word: str) -> None:
    reply = seeded.ask(f"query ($window: TimeWindow) {{ analytics(window: $window) {{ {field} }} }}", window=window)
    assert reply.codes == ["BAD_USER_INPUT"]
    assert word in reply.body["errors"][0]["message"]


def test_a_fleet_that_has_no_jobs_yet_has_analytics(graph: Graph) -> None:
    told = graph.ask(
        "query ($window: TimeWindow) { analytics(window: $window) { totalJobs } }",
        window=between(ago(days=2), ago(days=1)),
    ).data
    assert told == {"analytics": {"totalJobs": 0}}


def test_a_minute_is_the_finest_of_a_day(seeded: Graph) -> None:
    told = seeded.ask("""
        { analytics(window: {last: "P1D"}) { totalJobs
            timeSeries(measures: [TOTAL_JOBS], step: MINUTE) { points { value } } } }
    """).data["analytics"]
    assert sum(point["value"] for point in told["timeSeries"][0]["points"]) == told["totalJobs"]


@pytest.mark.parametrize(
    ("statements", "fields"),
    [
        (1, "totalJobs minDurationMs standardDeviationMs throughputPerHour queueWait { averageMs }"),
        (1, "p50DurationMs p75DurationMs exact relativeError"),
        (1, "timeSeries(measures: [TOTAL_JOBS, SUCCESS_RATE], step: DAY) { measure }"),
        (2, "timeSeries(measures: [TOTAL_JOBS, P50_DURATION_MS, P99_DURATION_MS], step: DAY) { measure }"),
        (4, "efficiencyScore { score }"),
        (8, "efficiencyScore { score change trend }"),
        (1, "slaCompliance(targets: {p95DurationMs: null}) { met }"),
        (2, "compareToPrevious { totalJobsChange successRateChange failureRateChange averageDurationChange }"),
    ],
)
def test_only_what_is_selected_is_read(seeded: Graph, statements: int, fields: str) -> None:
    reply = seeded.ask(f'{{ analytics(window: {{last: "P2D"}}) {{ {fields} }} }}')
    assert reply.data
    assert reply.statements == statements


def test_all_robots_are_one_statement_for_each_group(seeded: Graph) -> None:
    reply = seeded.ask("{ robots(first: 100) { nodes { analytics { totalJobs p95DurationMs robotHours { busy } } } } }")
    assert len(reply.data["robots"]["nodes"]) == 100
    assert reply.statements == 4


def test_time_series_of_everything_are_more_than_an_answer_can_hold(seeded: Graph) -> None:
    reply = seeded.ask("""
        { workflows(first: 100) { nodes { analytics {
            timeSeries(measures: [TOTAL_JOBS, P95_DURATION_MS], step: HOUR) { points { start value } } } } } }
    """)
    assert reply.body["errors"][0]["message"]
    assert "data" not in reply.body or reply.body["data"] is None
