"""Each path answers what the graph answers, and each stored operation is valid and used."""

import re
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse, validate
from serving import Graph

from graph.schema import build_schema, core
from graph.transports.resources import RESOURCES
from graph.transports.rest import DOCUMENT

ROBOT = "robotId hostname status cpuPercent memoryMb currentJobId lastHeartbeat"
JOB = "jobId workflowId workflowName robotId status createdAt completedAt durationMs"
STEP = "nodeId nodeType status success durationMs startedAt completedAt errorType errorMessage retryCount"
FEED = "type timestamp title details robotId jobId"
SHOWN = "[JOB_STARTED, JOB_COMPLETED, JOB_FAILED, ROBOT_ONLINE, ROBOT_OFFLINE]"


def as_rest(value: Any) -> Any:
    """The same in the documents' names and words."""
    if isinstance(value, list):
        return [as_rest(item) for item in value]
    if isinstance(value, dict):
        return {re.sub(r"([A-Z])", r"_\1", name).lower(): as_rest(item) for name, item in value.items()}
    return value.lower() if isinstance(value, str) and re.fullmatch(r"[A-Z]+(_[A-Z]+)*", value) else value


@pytest.mark.parametrize(
    ("path", "question"),
    [
        (
            "fleet",
            "fleet { totalRobots activeRobots idleRobots offlineRobots activeJobs queueDepth totalJobsToday"
            " averageJobDurationSeconds }",
        ),
        ("robots", f"robots(first: 100) {{ nodes {{ {ROBOT} }} }}"),
        ("robots?status=offline", f"robots(first: 100, filter: {{status: [OFFLINE]}}) {{ nodes {{ {ROBOT} }} }}"),
        (
            "robots/robot-007",
            f'robot(robotId: "robot-007") {{ {ROBOT} memoryPercent jobsCompletedToday jobsFailedToday'
            " averageJobDurationSeconds }",
        ),
        ("jobs", f"jobs {{ nodes {{ {JOB} }} }}"),
        ("jobs?limit=7&status=failed", f"jobs(first: 7, filter: {{status: [FAILED]}}) {{ nodes {{ {JOB} }} }}"),
        ("jobs?status=running", f"jobs(filter: {{status: [CLAIMED]}}) {{ nodes {{ {JOB} }} }}"),
        (
            "jobs?robot_id=robot-003&status=completed",
            f'jobs(filter: {{robotId: "robot-003", status: [COMPLETED]}}) {{ nodes {{ {JOB} }} }}',
        ),
        (
            "jobs/seed-7-00000001",
            f'job(jobId: "seed-7-00000001") {{ {JOB} claimedAt errorMessage errorType retryCount'
            f" nodeExecutions {{ {STEP} }} }}",
        ),
        (
            "analytics?days=2",
            'analytics(window: {last: "P2D"}) { totalJobs successRate failureRate averageDurationMs p50DurationMs'
            " p90DurationMs p99DurationMs slowestWorkflows { workflowId workflowName averageDurationMs }"
            " errorDistribution { errorType count } selfHealingSuccessRate }",
        ),
    ],
)
def test_a_path_answers_what_the_graph_answers(seeded_rest: Graph, path: str, question: str) -> None:
    expected = as_rest(seeded_rest.ask(f"{{ found: {question} }}").data["found"])
    told = seeded_rest.http.get(f"/api/v1/metrics/{path}").json()
    assert told
    assert told == expected.get("nodes", expected)


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("activity", f"types: {SHOWN}"),
        ("activity?limit=2", f"types: {SHOWN}, first: 2"),
        ("activity?event_type=job_failed", "types: [JOB_FAILED]"),
    ],
)
def test_activity_is_what_the_graph_tells(standing_fleet: Graph, path: str, arguments: str) -> None:
    question = f"{{ activity({arguments}) {{ totalCount nodes {{ id: eventId {FEED} }} }} }}"
    expected = as_rest(standing_fleet.ask(question).data["activity"])
    told = standing_fleet.http.get(f"/api/v1/metrics/{path}").json()
    assert told["events"]
    assert told == {"events": expected["nodes"], "total": expected["total_count"]}


def test_every_stored_operation_is_valid() -> None:
    assert validate(core(build_schema()), parse(DOCUMENT)) == []


def test_every_stored_operation_is_a_paths_and_has_its_parameters_for_variables() -> None:
    operations = {
        node.name.value: {variable.variable.name.value for variable in node.variable_definitions or ()}
        for node in parse(DOCUMENT).definitions
        if isinstance(node, OperationDefinitionNode) and node.name
    }
    pages = {"first", "after", "count"}
    assert set(operations) == {resource.operation for resource in RESOURCES}
    for resource in RESOURCES:
        named = {parameter.name for parameter in resource.parameters} - {"limit"}
        assert operations[resource.operation] == (named | pages if resource.most else named)


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("fleet", 0),
        ("robots", 1),
        ("robots?count=true", 2),
        ("robots/robot-007", 2),
        ("jobs?limit=100", 1),
        ("jobs?limit=500", 5),
        ("jobs?limit=500&count=true", 6),
        ("jobs/seed-7-00000001", 2),
        ("analytics", 5),
        ("activity?event_type=job_failed", 2),
    ],
)
def test_a_path_takes_as_many_statements_as_its_operation(seeded_rest: Graph, path: str, statements: int) -> None:
    answer = seeded_rest.http.get(f"/api/v1/metrics/{path}")
    assert answer.status_code == 200
    assert f'desc="{statements} statements"' in answer.headers["server-timing"]
