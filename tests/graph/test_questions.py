"""What people ask of a fleet, asked over HTTP and answered with exactly the fields they chose."""

from datetime import UTC, datetime, timedelta

import pytest


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


def test_one_query_tells_who_is_busy_with_what_and_why_a_job_failed(standing_fleet):
    data = standing_fleet.ask("""
        {
          robots(filter: {status: [BUSY]}) {
            nodes { robotId currentJob { jobId workflowName progressPercent nodeExecutions { nodeId status } } }
          }
          job(jobId: "j-bad") {
            status rawStatus errorType errorMessage retryCount durationMs queueWaitMs
            robot { hostname }
            nodeExecutions { nodeId position status success durationMs errorMessage retryCount }
          }
        }
    """).data
    assert data == {
        "robots": {
            "nodes": [
                {
                    "robotId": "r-busy",
                    "currentJob": {
                        "jobId": "j-run",
                        "workflowName": "Invoice intake",
                        "progressPercent": 40.0,
                        "nodeExecutions": [
                            {"nodeId": "download", "status": "COMPLETED"},
                            {"nodeId": "extract", "status": "RUNNING"},
                        ],
                    },
                }
            ]
        },
        "job": {
            "status": "FAILED",
            "rawStatus": "ERROR",
            "errorType": "InvoiceFormatError",
            "errorMessage": "line 3: no amount",
            "retryCount": 2,
            "durationMs": 2000.0,
            "queueWaitMs": 1000.0,
            "robot": {"hostname": "vm-b"},
            "nodeExecutions": [
                {
                    "nodeId": "download",
                    "position": 0,
                    "status": "COMPLETED",
                    "success": True,
                    "durationMs": 500.0,
                    "errorMessage": None,
                    "retryCount": 0,
                },
                {
                    "nodeId": "parse",
                    "position": 1,
                    "status": "FAILED",
                    "success": False,
                    "durationMs": 1500.0,
                    "errorMessage": "line 3: no amount",
                    "retryCount": 2,
                },
            ],
        },
    }


def test_the_fleet_counts_robots_by_what_they_really_are(small_fleet):
    fleet = small_fleet.ask("""
        { fleet { totalRobots activeRobots idleRobots offlineRobots failedRobots activeJobs queueDepth
                  averageJobDurationSeconds oldestPendingSeconds stale asOf } }
    """).data["fleet"]
    assert {key: fleet[key] for key in list(fleet)[:7]} == {
        "totalRobots": 3,
        "activeRobots": 1,
        "idleRobots": 1,
        "offlineRobots": 1,
        "failedRobots": 0,
        "activeJobs": 2,
        "queueDepth": 1,
    }
    assert 10 <= fleet["oldestPendingSeconds"] < 60
    assert fleet["stale"] is False
    assert fleet["asOf"].endswith("Z")


def test_the_fleet_of_one_environment_leaves_out_the_others(standing_fleet):
    data = standing_fleet.ask("""
        { staging: fleet(environment: "staging") { totalRobots activeJobs queueDepth oldestPendingSeconds }
          nowhere: fleet(environment: "nowhere") { totalRobots averageJobDurationSeconds } }
    """).data
    assert data["staging"] == {"totalRobots": 1, "activeJobs": 1, "queueDepth": 0, "oldestPendingSeconds": None}
    assert data["nowhere"] == {"totalRobots": 0, "averageJobDurationSeconds": None}


def test_a_silent_robot_is_offline_whatever_it_said_last(standing_fleet):
    data = standing_fleet.ask("""
        { robot(robotId: "r-gone") { status currentJobId }
          offline: robots(filter: {status: [OFFLINE]}) { totalCount nodes { robotId } } }
    """).data
    assert data["robot"] == {"status": "OFFLINE", "currentJobId": "j-lost"}
    assert data["offline"] == {"totalCount": 1, "nodes": [{"robotId": "r-gone"}]}


def test_a_robot_tells_its_day_and_its_heartbeats(standing_fleet):
    robot = standing_fleet.ask("""
        { robot(robotId: "r-busy") {
            hostname environment capabilities cpuPercent memoryMb memoryPercent currentJobId
            jobs(first: 2) { totalCount nodes { jobId } pageInfo { hasNextPage } }
            heartbeats(last: 2) { status cpuPercent jobId } } }
    """).data["robot"]
    assert robot == {
        "hostname": "vm-b",
        "environment": "production",
        "capabilities": ["browser", "sap"],
        "cpuPercent": 45.2,
        "memoryMb": 1024.5,
        "memoryPercent": 12.5,
        "currentJobId": "j-run",
        "jobs": {
            "totalCount": 3,
            "nodes": [{"jobId": "j-run"}, {"jobId": "j-bad"}],
            "pageInfo": {"hasNextPage": True},
        },
        "heartbeats": [
            {"status": "BUSY", "cpuPercent": 45.2, "jobId": "j-run"},
            {"status": "BUSY", "cpuPercent": 40.0, "jobId": "j-run"},
        ],
    }


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ("{status: [FAILED]}", ["j-bad"]),
        ("{status: [PENDING, CANCELLED]}", ["j-wait", "j-stop"]),
        ("{status: []}", []),
        ('{workflowId: "report"}', ["j-wait", "j-stop"]),
        ('{robotId: "r-gone"}', ["j-lost"]),
        ('{environment: "staging"}', ["j-lost"]),
        ('{errorType: "InvoiceFormatError"}', ["j-bad"]),
        ('{source: "report"}', ["j-stop", "j-lost"]),
        ('{search: "NO AMOUNT"}', ["j-bad"]),
        ('{search: "monthly"}', ["j-wait", "j-stop"]),
        ('{search: "%"}', []),
        ('{status: [CLAIMED], workflowId: "intake", robotId: "r-busy"}', ["j-run"]),
        ('{completedAt: {from: "2000-01-01T00:00:00Z"}}', ["j-stop", "j-bad", "j-ok"]),
        ('{createdAt: {to: "2000-01-01T00:00:00+02:00"}}', []),
        ("null", ["j-wait", "j-run", "j-stop", "j-bad", "j-ok", "j-lost"]),
    ],
)
def test_every_filter_of_jobs_finds_what_it_names(standing_fleet, criteria, found):
    jobs = standing_fleet.ask(f"{{ jobs(filter: {criteria}) {{ totalCount nodes {{ jobId }} }} }}").data["jobs"]
    assert [job["jobId"] for job in jobs["nodes"]] == found
    assert jobs["totalCount"] == len(found)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("CREATED_AT_ASC", ["j-lost", "j-ok", "j-bad", "j-stop", "j-run", "j-wait"]),
        ("COMPLETED_AT_DESC", ["j-wait", "j-run", "j-lost", "j-stop", "j-bad", "j-ok"]),
        ("COMPLETED_AT_ASC", ["j-ok", "j-bad", "j-stop", "j-lost", "j-run", "j-wait"]),
        ("DURATION_DESC", ["j-ok", "j-bad", "j-wait", "j-stop", "j-run", "j-lost"]),
        ("DURATION_ASC", ["j-lost", "j-run", "j-stop", "j-wait", "j-bad", "j-ok"]),
    ],
)
def test_jobs_come_in_every_order(standing_fleet, order, found):
    jobs = standing_fleet.ask(f"{{ jobs(orderBy: {order}) {{ nodes {{ jobId }} }} }}").data["jobs"]
    assert [job["jobId"] for job in jobs["nodes"]] == found


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ('{environment: "production"}', ["r-busy", "r-idle"]),
        ('{capability: "browser"}', ["r-busy", "r-gone"]),
        ('{search: "VM-C"}', ["r-gone"]),
        ("{status: [IDLE, OFFLINE]}", ["r-gone", "r-idle"]),
    ],
)
def test_every_filter_of_robots_finds_what_it_names(standing_fleet, criteria, found):
    robots = standing_fleet.ask(f"{{ robots(filter: {criteria}) {{ totalCount nodes {{ robotId }} }} }}").data["robots"]
    assert [robot["robotId"] for robot in robots["nodes"]] == found
    assert robots["totalCount"] == len(found)


def test_workflows_are_known_from_their_jobs(standing_fleet):
    data = standing_fleet.ask("""
        { workflows(search: "in") { totalCount nodes { workflowId workflowName } }
          workflow(workflowId: "intake") {
            jobs(filter: {status: [COMPLETED]}) { nodes { jobId } }
            analytics { totalJobs successRate failureRate p50DurationMs } } }
    """).data
    assert data["workflows"] == {
        "totalCount": 2,
        "nodes": [
            {"workflowId": "intake", "workflowName": "Invoice intake"},
            {"workflowId": "scrape", "workflowName": "Price scraping"},
        ],
    }
    assert data["workflow"]["jobs"]["nodes"] == [{"jobId": "j-ok"}]
    assert data["workflow"]["analytics"] == {
        "totalJobs": 3,
        "successRate": 50.0,
        "failureRate": 50.0,
        "p50DurationMs": 3000.0,
    }


def test_analytics_divide_by_the_jobs_that_ended(standing_fleet):
    analytics = standing_fleet.ask("""
        { analytics(window: {last: "PT1H"}) { totalJobs successRate failureRate averageDurationMs
            p50DurationMs p90DurationMs p95DurationMs p99DurationMs slowestWorkflows { workflowId }
            errorDistribution { errorType count } selfHealingSuccessRate } }
    """).data["analytics"]
    assert analytics == {
        "totalJobs": 5,
        "successRate": pytest.approx(100 / 3),
        "failureRate": pytest.approx(100 / 3),
        "averageDurationMs": 3000.0,
        "p50DurationMs": 3000.0,
        "p90DurationMs": pytest.approx(3800.0),
        "p95DurationMs": pytest.approx(3900.0),
        "p99DurationMs": pytest.approx(3980.0),
        "slowestWorkflows": [],
        "errorDistribution": [{"errorType": "InvoiceFormatError", "count": 1}],
        "selfHealingSuccessRate": 75.0,
    }


def test_analytics_of_nothing_are_null_not_zero(standing_fleet):
    analytics = standing_fleet.ask(
        """query ($from: DateTime!, $to: DateTime!) {
          analytics(window: {between: {from: $from, to: $to}}) {
            totalJobs successRate averageDurationMs p99DurationMs errorDistribution { count } selfHealingSuccessRate } }
        """,
        **{"from": ago(minutes=90), "to": ago(minutes=60)},
    ).data["analytics"]
    assert analytics == {
        "totalJobs": 0,
        "successRate": None,
        "averageDurationMs": None,
        "p99DurationMs": None,
        "errorDistribution": [],
        "selfHealingSuccessRate": None,
    }


def test_analytics_of_a_robot_hold_its_jobs_only(standing_fleet):
    data = standing_fleet.ask("""
        { busy: analytics(robotId: "r-busy") { totalJobs }
          both: analytics(robotId: "r-busy", workflowId: "report") { totalJobs } }
    """).data
    assert data == {"busy": {"totalJobs": 3}, "both": {"totalJobs": 0}}


def test_every_object_can_be_asked_for_again_by_its_id(standing_fleet):
    ids = standing_fleet.ask("""
        { job(jobId: "j-ok") { id } robot(robotId: "r-idle") { id } workflow(workflowId: "report") { id } }
    """).data
    wanted = [ids["job"]["id"], ids["robot"]["id"], ids["workflow"]["id"]]
    found = standing_fleet.ask(
        """query ($ids: [ID!]!, $id: ID!) {
             nodes(ids: $ids) {
               __typename id ... on Job { jobId } ... on Robot { robotId } ... on Workflow { workflowId }
             }
             node(id: $id) { id }
        }""",
        ids=wanted,
        id=wanted[0],
    ).data
    assert found["nodes"] == [
        {"__typename": "Job", "id": wanted[0], "jobId": "j-ok"},
        {"__typename": "Robot", "id": wanted[1], "robotId": "r-idle"},
        {"__typename": "Workflow", "id": wanted[2], "workflowId": "report"},
    ]
    assert found["node"] == {"id": wanted[0]}


def test_what_does_not_exist_is_null(standing_fleet):
    data = standing_fleet.ask("""
        { job(jobId: "none") { jobId } robot(robotId: "") { robotId } workflow(workflowId: "none") { workflowId }
          node(id: "Sm9iOm5vbmU") { id } nodes(ids: ["Um9ib3Q6bm9uZQ"]) { id } }
    """).data
    assert data == {"job": None, "robot": None, "workflow": None, "node": None, "nodes": [None]}
