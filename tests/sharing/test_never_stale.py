"""Never stale: whatever is written, wherever, is in every answer to who asks after that."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repeating import JOBS, counted, new_job, ready, statements
from serving import Graph, eventually, serving

QUESTIONS = [
    JOBS,
    "{ jobs(filter: {status: [FAILED, PENDING]}) { totalCount edges { cursor node { id jobId environment } } } }",
    "{ robots { totalCount nodes { robotId status cpuPercent currentJob { jobId status } jobsCompletedToday } } }",
    "{ robots(filter: {status: [BUSY]}) { nodes { robotId heartbeats { at cpuPercent } } } }",
    "{ workflows { totalCount nodes { workflowId workflowName lastRunAt jobs { totalCount } } } }",
    '{ job(jobId: "j1") { status robot { hostname } workflow { workflowName } nodeExecutions { status success } } }',
    "{ activity(first: 20) { nodes { eventId title details job { status } } } }",
]
JOB = "mutation($input: JobReportInput!) { reportJob(input: $input) { outcome } }"
BEAT = "mutation($input: [HeartbeatInput!]!) { reportHeartbeats(input: $input) { accepted } }"
ROBOT = "mutation($input: RegisterRobotInput!) { registerRobot(input: $input) { outcome } }"
STEPS = "mutation($input: NodeExecutionsInput!) { reportNodeExecutions(input: $input) { outcome } }"
STATEMENTS = [
    "DELETE FROM monitor.jobs WHERE job_id = 'j1'",
    "DELETE FROM monitor.robots WHERE robot_id = 'r1'",
    "UPDATE monitor.jobs SET progress_percent = (coalesce(progress_percent, 0)::integer + 1) % 100",
    "UPDATE monitor.jobs SET workflow_name = workflow_name || 'x'",
    "UPDATE monitor.robots SET last_heartbeat = now() - interval '1 hour'",
    "UPDATE monitor.robots SET environment = 'elsewhere'",
    "DELETE FROM monitor.events WHERE seq % 2 = 0",
    "TRUNCATE monitor.heartbeats",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'casare-monitor snapshots'"
    " AND datname = current_database()",
]
IDS = st.sampled_from(["1", "2", "3"])
REPORTS = st.one_of(
    st.builds(
        lambda number, status: (JOB, {"jobId": f"j{number}", "workflowId": f"w{number}", "status": status}),
        IDS,
        st.sampled_from(["PENDING", "CLAIMED", "COMPLETED", "FAILED"]),
    ),
    st.builds(lambda number: (ROBOT, {"robotId": f"r{number}", "hostname": "h"}), IDS),
    st.builds(
        lambda number, cpu: (BEAT, [{"robotId": f"r{number}", "status": "BUSY", "at": None, "cpuPercent": cpu}]),
        IDS,
        st.integers(0, 99),
    ),
    st.builds(
        lambda number: (
            STEPS,
            {"jobId": f"j{number}", "nodes": [{"position": 1, "nodeId": "n", "nodeType": "t", "status": "COMPLETED"}]},
        ),
        IDS,
    ),
)
WRITES = st.one_of(
    st.tuples(st.integers(0, 1), REPORTS),
    st.tuples(st.none(), st.sampled_from(STATEMENTS)),
    st.just((None, "SELECT 1")),
)


@pytest.fixture
def workers(dsn: str) -> Iterator[list[Graph]]:
    """Two that share answers, and one that does not, on one database."""
    with serving(dsn) as one, serving(dsn) as other, serving(dsn, share_answers=False) as plain:
        ready(one)
        ready(other)
        yield [one, other, plain]


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(st.tuples(WRITES, st.lists(st.sampled_from(QUESTIONS), min_size=1, max_size=4)), max_size=12))
def test_after_any_writes_two_workers_answer_as_one_that_shares_nothing(workers: list[Graph], writes) -> None:
    for (worker, write), questions in writes:
        if worker is None:
            workers[0].sql(write)
        else:
            mutation, given = write
            if mutation is BEAT:
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                given = [{**beat, "at": now} for beat in given]
            assert "data" in workers[worker].ask(mutation, input=given).body
        for question in questions:
            # A worker may write meanwhile that a robot fell silent: what is told is true before or after that.
            before, one, other, after = (workers[place].ask(question).body for place in (2, 0, 1, 2))
            assert one in (before, after)
            assert other in (one, after)


@pytest.mark.slow
def test_who_asks_after_a_write_sees_it_on_either_worker(workers: list[Graph]) -> None:
    new_job(workers[0], "j1", status="pending", progress_percent=0.0)
    written, asked, wrong = [0] * 4, [0] * 4, []
    end = time.monotonic() + 6

    def write(place: int, graph: Graph) -> None:
        number = 0
        while time.monotonic() < end:
            number += 1
            job = {"jobId": f"k{place}", "workflowId": "w", "status": "CLAIMED", "priority": number}
            assert "errors" not in graph.ask(JOB, input=job).body
            written[place] = number

    def read(place: int, graph: Graph) -> None:
        while time.monotonic() < end:
            least = list(written)
            jobs = graph.ask("{ jobs { nodes { jobId priority } } }").data["jobs"]["nodes"]
            seen = {job["jobId"]: job["priority"] for job in jobs}
            wrong.extend(
                (place, least, seen) for number, at in enumerate(least) if at and seen.get(f"k{number}", 0) < at
            )
            asked[place] += 1

    # Two pairs write through the workers; four ask them, so that some share and others find what is kept.
    threads = [threading.Thread(target=write, args=(place, workers[place])) for place in (0, 1)]
    threads += [threading.Thread(target=read, args=(place, workers[place % 2])) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert min(written[:2]) > 0
    assert min(asked) > 0
    assert wrong == []


@pytest.mark.slow
def test_a_lost_connection_keeps_nobody_from_an_answer(workers: list[Graph]) -> None:
    graph = workers[0]
    for number in range(10):
        graph.sql(STATEMENTS[-1])
        new_job(graph, f"j{number}")
        assert graph.ask(JOBS).data["jobs"]["totalCount"] == number + 1
    ready(graph)
    assert statements(graph, JOBS) in {0, 2}
    eventually(lambda: counted(graph)["unverified"])
