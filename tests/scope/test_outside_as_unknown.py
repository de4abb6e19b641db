"""What lies outside a scope answers as what nobody has ever heard of, whichever way its name is said."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Graph, serving
from sighted import SETTINGS, bearing

MISSPELT = '{ job(jobId: "%s-job") { statu } }'
QUESTIONS = [
    '{ viewer { name roles environments } robot(robotId: "%s-robot") { hostname jobs { totalCount } } }',
    '{ job(jobId: "%s-job") { status nodeExecutions { nodeId } } }',
    '{ workflow(workflowId: "%s-flow") { workflowId } }',
    '{ fleet(environment: "%s") { totalRobots } }',
    '{ robots(filter: {environment: "%s"}) { totalCount nodes { robotId } } }',
    '{ jobs(filter: {environment: "%s"}) { totalCount nodes { jobId } } }',
    '{ workflows(search: "%s") { nodes { workflowId } } }',
    '{ analytics(window: {last: "P1D"}, robotId: "%s-robot") { totalJobs } }',
    MISSPELT,
]
PATHS = ["/api/v1/metrics/robots/%s-robot", "/api/v1/metrics/jobs/%s-job", "/api/v1/metrics/jobs?robot_id=%s-robot"]


@pytest.fixture
def graph(dsn: str) -> Iterator[Graph]:
    """A server that knows one robot and one job, outside the scope."""
    with serving(dsn, **SETTINGS) as graph:
        graph.sql(
            "INSERT INTO monitor.robots (robot_id, hostname, environment) VALUES ('secret-robot', 'secret', 'secret')"
        )
        graph.sql(
            "INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status,"
            " raw_status, created_at) VALUES ('secret-job', 'report', 'secret-flow', 'secret', 'secret-robot',"
            " 'secret', 'pending', 'pending', now())"
        )
        yield graph


def heard(response: Any, name: str) -> tuple[int, str]:
    """A response without its correlation id, and whatever name was said in it."""
    text = re.sub(r'"correlation(_id|Id)": ?"[^"]*"', "", response.text)
    return response.status_code, text.replace(name, "some")


def asked(graph: Graph, query: str, role: str, name: str) -> tuple[int, str]:
    response = graph.http.post("/graphql", json={"query": query}, headers=bearing(role, ("open",)))
    return heard(response, name)


@pytest.mark.parametrize("role", ["viewer", "robot", "admin"])
def test_in_a_question(graph: Graph, role: str) -> None:
    outside = [asked(graph, question % "secret", role, "secret") for question in QUESTIONS]
    unknown = [asked(graph, question % "absent", role, "absent") for question in QUESTIONS]
    assert outside == unknown
    refused = [question for question, (_, body) in zip(QUESTIONS, outside, strict=True) if "errors" in body]
    assert role == "robot" or refused == [MISSPELT]


@pytest.mark.parametrize("kind", ["Robot:%s-robot", "Job:%s-job", "Workflow:%s-flow"])
def test_in_a_global_id(graph: Graph, kind: str) -> None:
    for name in ("secret", "absent"):
        global_id = base64.urlsafe_b64encode((kind % name).encode()).decode().rstrip("=")
        query = f'{{ node(id: "{global_id}") {{ id }} nodes(ids: ["{global_id}"]) {{ id }} }}'
        assert asked(graph, query, "viewer", name) == (200, '{"data":{"node":null,"nodes":[null]}}')


def test_in_a_path(graph: Graph) -> None:
    headers = bearing("viewer", ("open",))
    outside = [heard(graph.http.get(path % "secret", headers=headers), "secret") for path in PATHS]
    assert outside == [heard(graph.http.get(path % "absent", headers=headers), "absent") for path in PATHS]
    assert [status for status, _ in outside] == [404, 404, 200]


def test_in_jobs_that_robots_have_claimed(graph: Graph) -> None:
    stuck = "{ fleet { activeJobs stuckJobCount stuckJobs { jobId reason } } }"
    for name in ("secret", "absent"):
        graph.sql(
            "INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status,"
            " raw_status, created_at, claimed_at) VALUES ($1 || '-claimed', 'report', 'w', 'w', $1 || '-robot',"
            " $1 || '-open', 'claimed', 'claimed', now(), now())",
            name,
        )
    graph.renew()
    of_none = {"jobId": "absent-claimed", "reason": "ROBOT_UNKNOWN"}
    for scope, told in (
        (("secret-open",), {"activeJobs": 1, "stuckJobCount": 0, "stuckJobs": []}),
        (("absent-open",), {"activeJobs": 1, "stuckJobCount": 0, "stuckJobs": []}),
        (None, {"activeJobs": 2, "stuckJobCount": 1, "stuckJobs": [of_none]}),
    ):
        answer = graph.http.post("/graphql", json={"query": stuck}, headers=bearing("operator", scope)).json()
        assert answer == {"data": {"fleet": told}}
