"""Whoever reports within a scope changes nothing outside it, and learns no more of that than they must."""

import pytest
from reporting import BEAT, REGISTER, STEPS, heartbeat
from reporting import JOB as REPORTING
from serving import Graph, Reply
from sighted import SETTINGS, bearing

JOB = REPORTING.replace("rawStatus", "rawStatus environment")
OURS, THEIRS = "open", "secret"
STEP = {"position": 0, "nodeId": "n", "nodeType": "step", "status": "RUNNING"}


@pytest.fixture
def graph(serve):
    """A server that knows a robot and a job in either environment."""
    with serve(**SETTINGS) as graph:
        for environment in (OURS, THEIRS):
            said(graph, REGISTER, robot(f"{environment}-robot", environment), scope=None)
            said(graph, JOB, job(f"{environment}-job", environment, robotId=f"{environment}-robot"), scope=None)
        yield graph


def said(graph: Graph, mutation: str, report, scope=(OURS,), role="robot viewer"):
    [answer] = Reply(sent(graph, mutation, report, scope, role)).data.values()
    return answer


def sent(graph: Graph, mutation: str, report, scope, role):
    body = {"query": mutation, "variables": {"input": report}}
    return graph.http.post("/graphql", json=body, headers=bearing(role, scope))


def robot(robot_id, environment=OURS, **words):
    return {"robotId": robot_id, "hostname": "vm", "environment": environment, **words}


def job(job_id, environment=OURS, **words):
    named = {} if environment is None else {"environment": environment}
    return {"jobId": job_id, "workflowId": "w", "status": "CLAIMED", **named, **words}


def refused(answer):
    """The code and message, where nothing is told of what lies outside."""
    assert answer["outcome"] == "REFUSED"
    about = answer.get("job") or answer.get("robot") or {}
    assert about.get("environment", OURS) == OURS
    return answer["refusal"]["code"], answer["refusal"]["message"]


def test_what_lies_within_is_taken(graph):
    assert said(graph, REGISTER, robot("new"))["outcome"] == "CREATED"
    assert said(graph, JOB, job("new"))["outcome"] == "CREATED"
    assert said(graph, JOB, job("open-job", environment=None, status="COMPLETED"))["outcome"] == "UPDATED"
    assert said(graph, BEAT, [heartbeat("open-robot")])["accepted"] == 1


@pytest.mark.parametrize(
    ("mutation", "report"),
    [
        pytest.param(REGISTER, robot("new", THEIRS), id="a robot of another environment"),
        pytest.param(REGISTER, robot("secret-robot"), id="a robot whose id is taken there"),
        pytest.param(REGISTER, robot("open-robot", THEIRS), id="a robot that would leave"),
        pytest.param(JOB, job("new", THEIRS), id="a job of another environment"),
        pytest.param(JOB, job("new", None), id="a job of the environment that is meant where none is named"),
        pytest.param(JOB, job("secret-job"), id="a job whose id is taken there"),
        pytest.param(JOB, job("secret-job", None), id="a job that lives there"),
        pytest.param(JOB, job("open-job", THEIRS, robotId="open-robot"), id="a job that would leave"),
    ],
)
def test_what_lies_outside_is_refused(graph, mutation, report):
    before = [graph.sql(f"SELECT {table}::text FROM monitor.{table} ORDER BY 1") for table in ("robots", "jobs")]
    code, message = refused(said(graph, mutation, report))
    assert code == "OUTSIDE_SCOPE"
    assert THEIRS not in message.replace(report.get("jobId", report.get("robotId", "")), "")
    assert before == [
        graph.sql(f"SELECT {table}::text FROM monitor.{table} ORDER BY 1") for table in ("robots", "jobs")
    ]


def test_whether_an_id_is_taken_outside_does_not_show_where_the_environment_is_not_named(graph):
    taken = refused(said(graph, JOB, job("secret-job", None)))
    free = refused(said(graph, JOB, job("unknown-job", None)))
    assert taken == (free[0], free[1].replace("unknown-job", "secret-job"))


def test_jobs_of_a_robot_outside_are_as_those_of_no_robot(graph):
    answers = [refused(said(graph, JOB, job("new", robotId=name))) for name in ("secret-robot", "unknown-robot")]
    assert answers[0][0] == "UNKNOWN_ROBOT"
    assert answers[1] == (answers[0][0], answers[0][1].replace("secret-robot", "unknown-robot"))
    assert graph.sql("SELECT count(*) FROM monitor.jobs WHERE job_id = 'new'")[0][0] == 0


def test_steps_of_a_job_outside_are_as_those_of_no_job(graph):
    answers = [said(graph, STEPS, {"jobId": name, "nodes": [STEP]}) for name in ("secret-job", "unknown-job")]
    assert [answer["refused"][0]["code"] for answer in answers] == ["UNKNOWN_JOB", "UNKNOWN_JOB"]
    assert [answer["job"] for answer in answers] == [None, None]
    assert graph.sql("SELECT count(*) FROM monitor.node_executions")[0][0] == 0


def test_heartbeats_of_a_robot_outside_are_as_those_of_no_robot(graph):
    answer = said(graph, BEAT, [heartbeat(name) for name in ("secret-robot", "unknown-robot", "open-robot")])
    assert [(each["index"], each["code"]) for each in answer["refused"]] == [(0, "UNKNOWN_ROBOT"), (1, "UNKNOWN_ROBOT")]
    assert graph.sql("SELECT robot_id FROM monitor.heartbeats")[0][0] == "open-robot"


def test_a_heartbeat_moves_no_job_outside(graph):
    said(graph, JOB, job("loose-job", THEIRS), scope=None)
    beat = heartbeat("open-robot", currentJobId="loose-job", progressPercent=50, currentNode="n")
    assert said(graph, BEAT, [beat])["accepted"] == 1
    assert tuple(graph.sql("SELECT robot_id, progress_percent FROM monitor.jobs WHERE job_id = 'loose-job'")[0]) == (
        None,
        None,
    )


def test_a_job_outside_that_a_heartbeat_names_reads_as_one_that_nobody_knows(graph):
    asked = '{ robot(robotId: "open-robot") { currentJobId currentJob { jobId } heartbeats(last: 1) { jobId } } }'
    answers = []
    for name in ("secret-job", "unknown-job", "open-job"):
        said(graph, BEAT, [heartbeat("open-robot", currentJobId=name)])
        answers.append(graph.http.post("/graphql", json={"query": asked}, headers=bearing("viewer", (OURS,))).json())
    assert answers[0] == answers[1]
    assert answers[2]["data"]["robot"]["heartbeats"] == [{"jobId": "open-job"}]


def test_whose_queue_manager_it_is_outside_is_not_told(graph):
    said(graph, REGISTER, robot("secret-robot", THEIRS, queueManagerId="q"), scope=None)
    code, message = refused(said(graph, REGISTER, robot("new", queueManagerId="q")))
    assert code == "NAME_TAKEN"
    assert THEIRS not in message


def test_a_robot_without_an_environment_reports_nothing(graph):
    assert refused(said(graph, REGISTER, robot("new"), scope=()))[0] == "OUTSIDE_SCOPE"


def test_who_reports_and_looks_is_not_shown_what_errors_said(graph):
    failed = job("new", status="FAILED", errorType="E", errorMessage="account 4711")
    query = JOB.replace("errorType", "errorType errorMessage")
    assert said(graph, query, failed)["job"] is not None
    assert said(graph, query, failed)["job"]["errorMessage"] is None
    assert said(graph, query, failed, role="admin")["job"]["errorMessage"] == "account 4711"


@pytest.mark.parametrize("scope", [None, (OURS,)])
@pytest.mark.parametrize(
    ("mutation", "report", "field"),
    [
        (REGISTER, robot("new"), "RegisterRobotResult.robot"),
        (JOB, job("new"), "ReportJobResult.job"),
        (STEPS, {"jobId": "open-job", "nodes": [STEP]}, "ReportNodeExecutionsResult.job"),
    ],
)
def test_who_only_reports_cannot_look_through_the_answer(graph, mutation, report, field, scope):
    response = sent(graph, mutation, report, scope, "robot")
    [error] = response.json()["errors"]
    assert (response.status_code, error["extensions"]["code"]) == (403, "FORBIDDEN")
    assert field in error["message"]
    assert graph.sql("SELECT count(*) FROM monitor.robots WHERE robot_id = 'new'")[0][0] == 0
    assert graph.sql("SELECT count(*) FROM monitor.jobs WHERE job_id = 'new'")[0][0] == 0
