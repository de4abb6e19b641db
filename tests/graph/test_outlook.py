"""What operators ask of the fleet and of robots beyond counts, and what it rests on."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from serving import Graph, eventually, serving

_JOB = """
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
    created_at, claimed_at, completed_at)
SELECT $1::text || '-' || number, 'pgqueuer', $2, 'Works', $3, $4, $5::text, $5,
    now() - make_interval(secs => $6::float8 + $7::float8),
    CASE WHEN $5 <> 'pending' THEN now() - make_interval(secs => $6 + $7) END,
    CASE WHEN $5 NOT IN ('pending', 'claimed') THEN now() - make_interval(secs => $6) END
FROM generate_series(1, $8::int) AS number"""
_ROBOT = """
INSERT INTO monitor.robots (robot_id, hostname, environment, status, last_heartbeat, registered_at)
VALUES ($1, 'h', $2, $3, now() - make_interval(secs => $4), now() - interval '2 hours')"""


def jobs(graph: Graph, name: str, count: int = 1, *, status: str = "pending", **differing: Any) -> None:
    """Jobs name-1 and so on: that ended `ago` seconds ago after so many seconds, or were created then."""
    told = {"workflow": "w", "robot": None, "environment": "default", "ago": 10, "seconds": 0} | differing
    workflow, robot, environment, ago, seconds = told.values()
    graph.sql(_JOB, name, workflow, robot, environment, status, float(ago), float(seconds), count)


def robot(
    graph: Graph, robot_id: str, status: str = "idle", *, environment: str = "default", silent: float = 0
) -> None:
    graph.sql(_ROBOT, robot_id, environment, status, float(silent))


def fleet(graph: Graph, selection: str, arguments: str = "") -> Any:
    reply = graph.ask(f"{{ fleet{arguments} {{ {selection} }} }}")
    return reply.data["fleet"]


def becomes(graph: Graph, selection: str, expected: Any, arguments: str = "") -> None:
    """The fleet tells this, as soon as it has heard of what was written."""
    told: list[Any] = []

    def holds() -> bool:
        told.append(fleet(graph, selection, arguments))
        return told[-1] == expected

    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, told[-1]
        time.sleep(0.05)


def test_the_queue_is_told_by_environment_and_by_workflow(graph: Graph) -> None:
    jobs(graph, "a", 3, workflow="invoices")
    jobs(graph, "b", 1, workflow="reports", environment="production")
    jobs(graph, "c", 1, workflow="invoices", environment="production", status="claimed")
    becomes(
        graph,
        "pendingByEnvironment { environment depth activeJobs } pendingByWorkflow(first: 1) { workflowId depth }",
        {
            "pendingByEnvironment": [
                {"environment": "default", "depth": 3, "activeJobs": 0},
                {"environment": "production", "depth": 1, "activeJobs": 1},
            ],
            "pendingByWorkflow": [{"workflowId": "invoices", "depth": 3}],
        },
    )
    becomes(graph, "queueDepth pendingByWorkflow { workflowId workflow { workflowName } }", {
        "queueDepth": 1,
        "pendingByWorkflow": [{"workflowId": "reports", "workflow": {"workflowName": "Works"}}],
    }, '(environment: "production")')  # fmt: skip


def test_jobs_are_unservable_where_no_robot_of_their_environment_can_work(graph: Graph) -> None:
    for environment in ("served", "offline", "failed", "silent", "empty"):
        jobs(graph, environment, 2, environment=environment)
    robot(graph, "r1", "busy", environment="served")
    robot(graph, "r2", "offline", environment="offline")
    robot(graph, "r3", "failed", environment="failed")
    robot(graph, "r4", "idle", environment="silent", silent=120)
    becomes(graph, "unservablePending queueDepth", {"unservablePending": 8, "queueDepth": 10})


def test_jobs_of_robots_that_are_gone_are_stuck_since_their_last_sign(graph: Graph) -> None:
    robot(graph, "at-work", "busy")
    robot(graph, "silent", "busy", silent=600)
    robot(graph, "left", "offline", silent=5)
    for name in ("at-work", "silent", "left", "stranger"):
        jobs(graph, f"of-{name}", robot=name, status="claimed", ago=3600)
    jobs(graph, "of-nobody", status="claimed")
    selection = "stuckJobCount stuckJobs(first: 2) { jobId robotId reason robot { hostname } job { status } }"
    becomes(graph, selection, {"stuckJobCount": 3, "stuckJobs": [
        {"jobId": "of-stranger-1", "robotId": "stranger", "reason": "ROBOT_UNKNOWN", "robot": None,
         "job": {"status": "CLAIMED"}},
        {"jobId": "of-silent-1", "robotId": "silent", "reason": "ROBOT_SILENT", "robot": {"hostname": "h"},
         "job": {"status": "CLAIMED"}},
    ]})  # fmt: skip
    nodes = fleet(graph, "stuckJobs { jobId reason since }")["stuckJobs"]
    assert nodes[2]["reason"] == "ROBOT_OFFLINE"
    [row] = graph.sql("SELECT last_heartbeat FROM monitor.robots WHERE robot_id = 'silent'")
    assert nodes[1]["since"] == row["last_heartbeat"].isoformat().replace("+00:00", "Z")


def test_utilisation_is_the_busy_share_of_the_robots_online(graph: Graph) -> None:
    assert fleet(graph, "utilisation") == {"utilisation": None}
    for number, status in enumerate(("busy", "idle", "idle", "failed", "offline")):
        robot(graph, f"r{number}", status)
    becomes(graph, "utilisation", {"utilisation": 25})


def test_throughput_counts_what_ended_in_the_last_minutes(graph: Graph) -> None:
    jobs(graph, "now", 3, status="completed", ago=10)
    jobs(graph, "bad", 1, status="failed", ago=20)
    jobs(graph, "before", 4, status="cancelled", ago=200)
    jobs(graph, "earlier", 2, status="failed", ago=800)
    jobs(graph, "yesterday", 1, status="failed", ago=90_000)
    selection = "throughput { minutes jobsPerMinute completed failed cancelled failureRate }"
    becomes(graph, selection, {"throughput": [
        {"minutes": 1, "jobsPerMinute": 4, "completed": 3, "failed": 1, "cancelled": 0, "failureRate": 25},
        {"minutes": 5, "jobsPerMinute": 1.6, "completed": 3, "failed": 1, "cancelled": 4, "failureRate": 12.5},
        {"minutes": 15, "jobsPerMinute": 2 / 3, "completed": 3, "failed": 3, "cancelled": 4, "failureRate": 30},
    ]})  # fmt: skip


def test_nothing_is_no_rate(graph: Graph) -> None:
    [minute, *_] = fleet(graph, "throughput { jobsPerMinute failureRate }")["throughput"]
    assert minute == {"jobsPerMinute": 0, "failureRate": None}


DRAIN = """estimatedDrainSeconds drainAssumptions { pending robots averageDurationSeconds throughputPerMinute reason }
    robotsNeeded(deadline: {within: "PT1M"}) { robots assumptions { reason } }"""


def test_how_long_the_queue_lasts_and_how_many_robots_it_takes_is_reckoned_by_environment(graph: Graph) -> None:
    robot(graph, "r1", "busy")
    robot(graph, "r2", "idle")
    robot(graph, "r3", "offline")
    robot(graph, "p1", "idle", environment="production")
    jobs(graph, "done", 4, status="completed", seconds=30)
    jobs(graph, "a", 10)
    jobs(graph, "b", 3, environment="production")
    becomes(graph, DRAIN, {
        "estimatedDrainSeconds": 150,
        "drainAssumptions": {
            "pending": 13, "robots": 3, "averageDurationSeconds": 30, "throughputPerMinute": 6, "reason": None,
        },
        "robotsNeeded": {"robots": 7, "assumptions": {"reason": None}},
    })  # fmt: skip


def test_a_job_is_not_divided_among_robots(graph: Graph) -> None:
    for number in range(4):
        robot(graph, f"r{number}", "idle")
    jobs(graph, "done", 4, status="completed", seconds=30)
    jobs(graph, "a", 3)
    selection = """estimatedDrainSeconds
        enough: robotsNeeded(deadline: {within: "PT50S"}) { robots }
        never: robotsNeeded(deadline: {within: "PT20S"}) { robots assumptions { reason } }"""
    reason = "a job of default takes longer than that"
    becomes(graph, selection, {
        "estimatedDrainSeconds": 30,
        "enough": {"robots": 3},
        "never": {"robots": None, "assumptions": {"reason": reason}},
    })  # fmt: skip


def test_an_empty_queue_is_drained_and_needs_nobody(graph: Graph) -> None:
    told = fleet(graph, DRAIN)
    assert told["estimatedDrainSeconds"] == 0
    assert told["robotsNeeded"]["robots"] == 0


def test_what_cannot_be_estimated_is_null_with_a_reason(graph: Graph) -> None:
    jobs(graph, "a", 2)
    selection = "estimatedDrainSeconds drainAssumptions { reason } queueDepth"
    no_robot = {"reason": "no robot of default can work"}
    becomes(graph, selection, {"estimatedDrainSeconds": None, "drainAssumptions": no_robot, "queueDepth": 2})
    robot(graph, "r", "idle")
    reason = {"reason": "no job that completed or failed today tells how long one takes"}
    becomes(graph, selection, {"estimatedDrainSeconds": None, "drainAssumptions": reason, "queueDepth": 2})
    becomes(
        graph,
        'robotsNeeded(deadline: {within: "PT1H"}) { robots assumptions { reason } }',
        {"robotsNeeded": {"robots": None, "assumptions": reason}},
    )


def test_workflows_that_fail_more_than_they_used_to_are_told_the_worst_first(graph: Graph) -> None:
    day = 86_400
    for name, before, failed_before, runs, failed in (
        ("always-bad", 30, 15, 10, 6),
        ("worse", 30, 3, 10, 5),
        ("new", 0, 0, 5, 4),
        ("fine", 40, 1, 10, 1),
        ("rare", 30, 0, 4, 4),
    ):
        jobs(graph, f"{name}-old", before - failed_before, workflow=name, status="completed", ago=day)
        jobs(graph, f"{name}-oldbad", failed_before, workflow=name, status="failed", ago=day)
        jobs(graph, f"{name}-good", runs - failed, workflow=name, status="completed")
        jobs(graph, f"{name}-bad", failed, workflow=name, status="failed")
    selection = "failingWorkflows { workflowId ended failed failureRate baselineFailureRate baselineEnded }"
    assert fleet(graph, selection)["failingWorkflows"] == [
        {"workflowId": "new", "ended": 5, "failed": 4, "failureRate": 80, "baselineFailureRate": None,
         "baselineEnded": 0},
        {"workflowId": "worse", "ended": 10, "failed": 5, "failureRate": 50, "baselineFailureRate": 10,
         "baselineEnded": 30},
    ]  # fmt: skip


def test_a_robot_tells_why_it_is_offline_and_when_it_was_seen(graph: Graph) -> None:
    robot(graph, "here")
    robot(graph, "silent", silent=300)
    robot(graph, "left", "offline", silent=90)
    graph.sql(
        "INSERT INTO monitor.robots (robot_id, hostname, registered_at) VALUES ('new', 'h', now() - interval '1 h')"
    )
    graph.sql(
        """INSERT INTO monitor.heartbeats (robot_id, at, status) SELECT robot_id, last_heartbeat,
               CASE robot_id WHEN 'left' THEN 'offline' ELSE 'busy' END
           FROM monitor.robots WHERE last_heartbeat IS NOT NULL"""
    )
    nodes = graph.ask("{ robots { nodes { robotId offlineReason lastSeenSeconds } } }").data["robots"]["nodes"]
    assert {node["robotId"]: node["offlineReason"] for node in nodes} == {
        "here": None, "silent": "SILENT", "left": "SAID_GOODBYE", "new": "NEVER_HEARD",
    }  # fmt: skip
    seen = {node["robotId"]: node["lastSeenSeconds"] for node in nodes}
    assert seen["new"] is None
    assert 300 <= seen["silent"] < 330


def turned(graph: Graph, robot_id: str, status: str, minutes: float) -> None:
    graph.sql("UPDATE monitor.robots SET status = $2 WHERE robot_id = $1", robot_id, status)
    graph.sql(
        """UPDATE monitor.events SET at = now() - make_interval(secs => $2)
           WHERE seq = (SELECT max(seq) FROM monitor.events WHERE robot_id = $1)""",
        robot_id,
        60 * minutes,
    )


def test_how_busy_a_robot_was_is_told_from_its_turns(graph: Graph) -> None:
    robot(graph, "r")
    graph.sql("UPDATE monitor.events SET at = now() - interval '2 hours'")
    turned(graph, "r", "busy", 90)
    turned(graph, "r", "idle", 30)
    turned(graph, "r", "offline", 20)
    turned(graph, "r", "busy", 10)
    robot(graph, "still", "busy")
    graph.sql("UPDATE monitor.events SET at = now() - interval '2 hours' WHERE robot_id = 'still'")
    graph.sql("UPDATE monitor.robots SET last_heartbeat = now()")
    query = """
        query ($earlier: TimeWindow!) { robots { nodes { robotId hour: busyRatio five: busyRatio(window: {last: "PT5M"})
            all: busyRatio(window: {last: "P7D"}) earlier: busyRatio(window: $earlier) } } }
    """
    ago = [(datetime.now(UTC) - timedelta(minutes=minutes)).isoformat() for minutes in (105, 25)]
    answer = graph.ask(query, earlier={"between": dict(zip(("from", "to"), ago, strict=True))})
    robots = {each["robotId"]: each for each in answer.data["robots"]["nodes"]}
    assert robots["r"]["hour"] == pytest.approx(80, abs=0.5)  # 40 of 50 minutes
    assert robots["r"]["five"] == pytest.approx(100, abs=0.5)
    assert robots["r"]["all"] == pytest.approx(100 * 70 / 110, abs=0.5)
    assert robots["r"]["earlier"] == pytest.approx(75, abs=0.5)  # 60 of 80 minutes
    assert robots["still"]["hour"] == robots["still"]["earlier"] == 100


@pytest.fixture
def short_ledger(dsn: str) -> Iterator[Graph]:
    with serving(dsn, ledger_events=3) as graph:
        yield graph


@pytest.mark.slow
def test_a_window_beyond_what_the_ledger_still_knows_is_refused(short_ledger: Graph) -> None:
    robot(short_ledger, "r")
    for _ in range(4):
        turned(short_ledger, "r", "busy", 0)
        turned(short_ledger, "r", "idle", 0)
    eventually(lambda: short_ledger.sql("SELECT pruned FROM monitor.ledger")[0]["pruned"] >= 6)
    reply = short_ledger.ask('{ robot(robotId: "r") { busyRatio } }')
    assert reply.codes == ["BAD_USER_INPUT"]
    assert "The window begins before the ledger does, which begins at" in reply.body["errors"][0]["message"]


@pytest.mark.parametrize(
    ("selection", "limit"),
    [
        ('fleet { robotsNeeded(deadline: {within: "PT0S"}) { robots } }', "must lie a second after now"),
        ('fleet { robotsNeeded(deadline: {within: "P367D"}) { robots } }', "within a year (366 days)"),
        ('fleet { robotsNeeded(deadline: {at: "2026-01-01T00:00:00Z"}) { robots } }', "must lie a second after now"),
        ('fleet { robotsNeeded(deadline: {at: "2126-01-01T00:00:00Z"}) { robots } }', "within a year (366 days)"),
        ("fleet { stuckJobs(first: 0) { jobId } }", "first must lie between 1 and 100"),
        ("fleet { failingWorkflows(first: 0) { ended } }", "first must lie between 1 and 100"),
        ("fleet { pendingByWorkflow(first: 101) { depth } }", "first must lie between 1 and 100"),
        (
            'robot(robotId: "r-busy") { busyRatio(window: {last: "P8D"}) }',
            "begins before the ledger does, which is kept since",
        ),
        ('robot(robotId: "r-busy") { busyRatio(window: {last: "PT0S"}) }', "ends before it starts"),
    ],
)
def test_what_nobody_can_have_is_refused_with_its_limit(standing_fleet: Graph, selection: str, limit: str) -> None:
    reply = standing_fleet.ask(f"{{ {selection} }}")
    assert reply.codes == ["BAD_USER_INPUT"]
    assert limit in reply.body["errors"][0]["message"]
