"""What is pushed within a scope, and what is not: of the rest not a byte goes out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from asking import SCHEMA, Asking
from graphql import get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_server import Client, LiveServer, serving_live, wait_until
from sighted import SETTINGS, token
from subscribing import ACTIVITY, JOBS, STEPS, here, move, new_job, new_robot, refusal, told

pytestmark = pytest.mark.slow

OUTSIDE, INSIDE = "secret", "open"
ROBOTS = """
subscription { robotStatus { robotId currentJobId robot { environment } now: robot { currentJob { jobId } } } }"""
QUEUE = "subscription { queueMetrics(intervalSeconds: 0.2) { depth activeJobs byEnvironment { environment depth } } }"
FLEET = "subscription { fleet(maxRatePerSecond: 20) { totalRobots activeJobs queueDepth totalJobsToday } }"


@pytest.fixture
def server(dsn: str) -> Iterator[LiveServer]:
    with serving_live(dsn, **SETTINGS) as server:
        yield server


class Watcher(Client):
    """Somebody with a role and environments."""

    def __init__(self, server: LiveServer, role: str = "viewer", environments: tuple[str, ...] | None = (INSIDE,)):
        super().__init__(f"{server.ws}/graphql")
        self._token = token(role, environments)

    def __enter__(self) -> Watcher:
        super().__enter__()
        self.say({"type": "connection_init", "payload": {"Authorization": f"Bearer {self._token}"}})
        assert self.hear()["type"] == "connection_ack"
        return self


def test_only_jobs_within_the_scope_are_told(server: LiveServer) -> None:
    with Watcher(server) as watcher:
        watcher.subscribe("1", JOBS, after=here(server))
        new_job(server, "hidden", environment=OUTSIDE)
        new_job(server, "shown", environment=INSIDE)
        assert told(watcher)["jobId"] == "shown"
        move(server, "hidden", "failed")
        move(server, "shown", "failed")
        assert told(watcher)["status"] == "FAILED"


def test_a_backlog_holds_only_what_happened_within_the_scope(server: LiveServer) -> None:
    start = here(server)
    for number in range(5):
        new_job(server, f"hidden-{number}", environment=OUTSIDE)
        new_job(server, f"shown-{number}", environment=INSIDE)
    with Watcher(server) as watcher:
        watcher.subscribe("1", JOBS, after=start)
        assert [told(watcher)["jobId"] for _ in range(5)] == [f"shown-{number}" for number in range(5)]


def test_a_job_that_moves_out_is_told_of_no_more(server: LiveServer) -> None:
    new_job(server, "j", environment=INSIDE, status="claimed")
    with Watcher(server) as watcher:
        watcher.subscribe("1", JOBS, after=here(server))
        server.sql("UPDATE monitor.jobs SET environment = $1, status = 'failed'", OUTSIDE)
        new_job(server, "next", environment=INSIDE)
        assert told(watcher)["jobId"] == "next"


@pytest.mark.parametrize("job", ["j", "unheard-of"])
def test_the_steps_of_a_job_outside_are_refused_as_those_of_none(server: LiveServer, job: str) -> None:
    new_job(server, "j", environment=OUTSIDE, status="claimed")
    with Watcher(server) as watcher:
        watcher.subscribe("1", STEPS.replace('"j"', f'"{job}"'))
        assert refusal(watcher) == "NOT_FOUND"
        watcher.subscribe("2", STEPS.replace('"j"', f'"{job}"'), after=here(server))
        assert refusal(watcher) == "NOT_FOUND"


def test_activity_tells_of_no_environment_but_those_of_the_scope(server: LiveServer) -> None:
    with Watcher(server) as watcher:
        watcher.subscribe("1", ACTIVITY, after=here(server))
        new_robot(server, "hidden-robot", OUTSIDE)
        new_job(server, "hidden-job", environment=OUTSIDE)
        new_robot(server, "shown-robot", INSIDE)
        assert told(watcher)["robotId"] == "shown-robot"


def test_robots_outside_are_not_told_and_their_jobs_not_named(server: LiveServer) -> None:
    new_robot(server, "hidden", OUTSIDE)
    new_robot(server, "shown", INSIDE)
    new_job(server, "secret-job", environment=OUTSIDE, status="claimed", robot="shown")
    server.sql("UPDATE monitor.robots SET reported_job_id = 'secret-job'")
    with Watcher(server) as watcher:
        watcher.subscribe("1", ROBOTS)
        first = told(watcher)
        assert (first["robotId"], first["currentJobId"], first["now"]) == ("shown", None, {"currentJob": None})
        server.sql("UPDATE monitor.robots SET cpu_percent = 1 WHERE robot_id = 'hidden'")
        server.sql("UPDATE monitor.robots SET cpu_percent = 2 WHERE robot_id = 'shown'")
        assert told(watcher)["robotId"] == "shown"


def test_a_robot_that_leaves_the_scope_is_told_of_no_more_and_shown_to_nobody_who_comes_later(
    server: LiveServer,
) -> None:
    new_robot(server, "leaves", INSIDE)
    new_robot(server, "stays", INSIDE)
    with Watcher(server) as watcher, Watcher(server) as later:
        watcher.subscribe("1", ROBOTS)
        assert {told(watcher)["robotId"] for _ in range(2)} == {"leaves", "stays"}
        server.sql("UPDATE monitor.robots SET environment = $1, hostname = 'moved' WHERE robot_id = 'leaves'", OUTSIDE)
        server.sql("UPDATE monitor.robots SET cpu_percent = 2 WHERE robot_id = 'stays'")
        assert told(watcher)["robotId"] == "stays"
        later.subscribe("1", ROBOTS)
        assert told(later)["robotId"] == "stays"
        server.sql("UPDATE monitor.robots SET cpu_percent = 3 WHERE robot_id = 'stays'")
        assert told(later)["robotId"] == "stays"


def test_the_queue_is_that_of_the_scope(server: LiveServer) -> None:
    new_job(server, "hidden", environment=OUTSIDE, status="pending")
    new_job(server, "shown", environment=INSIDE, status="pending")
    with Watcher(server, environments=None) as everyone, Watcher(server) as watcher:
        everyone.subscribe("1", QUEUE)
        while told(everyone)["depth"] < 2:
            pass
        watcher.subscribe("1", QUEUE)
        while not (queues := told(watcher)["byEnvironment"]):
            pass  # what is in memory by now may be a little behind
        assert queues == [{"environment": INSIDE, "depth": 1}]


def test_the_fleet_is_that_of_the_scope(server: LiveServer) -> None:
    new_robot(server, "hidden", OUTSIDE)
    new_robot(server, "shown", INSIDE)
    new_job(server, "hidden", environment=OUTSIDE, status="pending", days=0)
    with Watcher(server, environments=None) as everyone, Watcher(server) as watcher:
        everyone.subscribe("1", FLEET)
        while told(everyone) != {"totalRobots": 2, "activeJobs": 0, "queueDepth": 1, "totalJobsToday": 1}:
            pass
        watcher.subscribe("1", FLEET)
        while not (numbers := told(watcher))["totalRobots"]:
            pass
        assert numbers == {"totalRobots": 1, "activeJobs": 0, "queueDepth": 0, "totalJobsToday": 0}


@pytest.mark.parametrize("query", [JOBS, ROBOTS, QUEUE, FLEET, ACTIVITY], ids=lambda query: query.split("{")[1].strip())
def test_only_those_who_see_the_same_share_a_stream(server: LiveServer, query: str) -> None:
    with (
        Watcher(server) as one,
        Watcher(server) as same,
        Watcher(server, environments=(OUTSIDE,)) as another,
        Watcher(server, environments=(INSIDE, OUTSIDE)) as both,
        Watcher(server, role="operator") as operator,
        Watcher(server, environments=None) as everything,
    ):
        for watcher, streams in ((one, 1), (same, 1), (another, 2), (both, 3), (operator, 4), (everything, 5)):
            watcher.subscribe("1", query)
            wait_until(lambda streams=streams: server.streams.shared == streams)
            watcher.say({"type": "ping"})
            while watcher.hear()["type"] != "pong":
                pass
            assert server.streams.shared == streams


def legacy(server: LiveServer, path: str, environments: tuple[str, ...] | None) -> Client:
    return Client(f"{server.ws}/ws/{path}?token={token('viewer', environments)}", subprotocols=())


def test_the_documents_socket_of_robots_tells_of_none_outside(server: LiveServer) -> None:
    new_robot(server, "hidden", OUTSIDE)
    new_robot(server, "shown", INSIDE)
    with legacy(server, "robot-status", (INSIDE,)) as narrow, legacy(server, "robot-status", None) as whole:
        assert {whole.hear()["robot_id"] for _ in range(2)} == {"hidden", "shown"}
        assert narrow.hear()["robot_id"] == "shown"
        server.sql("UPDATE monitor.robots SET cpu_percent = 1 WHERE robot_id = 'hidden'")
        assert whole.hear()["robot_id"] == "hidden"
        server.sql("UPDATE monitor.robots SET cpu_percent = 2 WHERE robot_id = 'shown'")
        assert narrow.hear() | {"timestamp": None} == {
            "robot_id": "shown", "status": "idle", "cpu_percent": 2, "memory_mb": None, "timestamp": None
        }  # fmt: skip


def test_the_documents_socket_of_the_queue_counts_none_outside(server: LiveServer) -> None:
    new_job(server, "hidden", environment=OUTSIDE, status="pending")
    with legacy(server, "queue-metrics", (INSIDE,)) as narrow, legacy(server, "queue-metrics", None) as whole:
        assert (narrow.hear()["depth"], whole.hear()["depth"]) == (0, 1)


def test_the_documents_socket_of_jobs_tells_of_none_outside(server: LiveServer) -> None:
    with legacy(server, "live-jobs", (INSIDE,)) as narrow, legacy(server, "live-jobs", None) as whole:
        wait_until(lambda: server.streams.shared == 2)
        heard = set()
        for number in range(20):
            new_job(server, f"hidden-{number}", environment=OUTSIDE)
            new_job(server, f"shown-{number}", environment=INSIDE)
            with suppress(TimeoutError):
                heard.add(json.loads(narrow.connection.recv(timeout=0.1))["job_id"].partition("-")[0])
        assert heard == {"shown"}
        assert {whole.hear()["job_id"].partition("-")[0] for _ in range(4)} == {"hidden", "shown"}


def silent(server: LiveServer, counts: list[int]) -> bool:
    """Whether nothing was delivered for the last thirty looks."""
    counts.append(server.traffic.deliveries)
    return len(counts) >= 30 and len(set(counts[-30:])) == 1


def _fields() -> list[str]:
    return sorted(SCHEMA.subscription_type.fields)


@pytest.mark.parametrize("field", _fields())
def test_not_a_byte_of_what_lies_outside_is_sent_whatever_is_asked(server: LiveServer, field: str) -> None:
    """Every field of every stream, beside everything that can happen outside."""
    queries: list[str] = []

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def collect(data: Any) -> None:
        asking = Asking(data.draw, lambda *_: [])
        given_type = SCHEMA.subscription_type.fields[field]
        required = '(jobId: "in")' if field == "nodeExecutions" else ""
        queries.append(f"subscription {{ {field}{required}{asking.selection(get_named_type(given_type.type), 3)} }}")

    collect()
    new_robot(server, "MARK-robot", OUTSIDE)
    new_robot(server, "in-robot", INSIDE)
    new_job(server, "in", environment=INSIDE, status="claimed", robot="in-robot", workflow="shared")
    new_job(server, "MARK-job", environment=OUTSIDE, status="claimed", robot="in-robot", workflow="shared")
    server.sql("UPDATE monitor.robots SET reported_job_id = 'MARK-job'")
    with Watcher(server) as watcher:
        for number, query in enumerate(dict.fromkeys(queries)):
            watcher.subscribe(str(number), query)
        for count in range(12):
            new_job(server, f"MARK-{count}", environment=OUTSIDE, robot="in-robot", workflow="shared")
            new_job(server, f"in-{count}", environment=INSIDE, robot="in-robot", workflow="shared")
            server.sql(
                "INSERT INTO monitor.node_executions (job_id, position, node_id, node_type, status)"
                " VALUES ('in', $1::int, 'n', 'n', 'running'), ('MARK-job', $1::int, 'MARK-node', 'n', 'running')",
                count,
            )
            server.sql("UPDATE monitor.robots SET cpu_percent = $1, hostname = robot_id", float(count))
            watcher.say({"type": "ping", "payload": {"count": count}})
            heard = ""
            while '"pong"' not in (text := watcher.hear_text()):
                heard += text
            assert "MARK" not in heard
        counts: list[int] = []
        wait_until(lambda: silent(server, counts))  # what is cut off in the middle is no matter of this test
        assert counts[-1] > 0
