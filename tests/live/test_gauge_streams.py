"""Robots, the queue and the fleet are told at once and when they change, and of everything only the newest."""

import re
from collections import Counter
from datetime import datetime
from typing import Any

import httpx
import pytest
from live_server import PATIENCE, Client, LiveServer, wait_until
from serving import kept_going
from subscribing import ROBOTS, busy, new_robot, refusal, told


def test_every_robot_is_told_at_once_and_then_the_one_that_says_something_new(
    server: LiveServer, client: Client
) -> None:
    new_robot(server, "a")
    new_robot(server, "b")
    client.subscribe("1", ROBOTS)
    assert {(told(client)["robotId"]) for _ in range(2)} == {"a", "b"}
    busy(server, "b", 7)
    assert told(client) == {"robotId": "b", "status": "BUSY", "cpuPercent": 7}
    new_robot(server, "c")
    assert told(client)["robotId"] == "c"


@pytest.mark.parametrize("chosen", [{"ids": ["b"]}, {"filter": {"environment": "production"}}])
def test_only_the_robots_asked_for_are_told(server: LiveServer, client: Client, chosen: dict[str, Any]) -> None:
    new_robot(server, "a")
    new_robot(server, "b", "production")
    client.subscribe("1", ROBOTS, **chosen)
    assert told(client)["robotId"] == "b"
    busy(server, "a", 1)
    busy(server, "b", 2)
    assert told(client)["cpuPercent"] == 2


def test_a_robot_that_no_longer_matches_is_told_once_more_and_not_shown_to_whoever_comes_later(
    server: LiveServer, client: Client
) -> None:
    new_robot(server, "a")
    new_robot(server, "b")
    idle = {"status": ["IDLE"]}
    client.subscribe("1", ROBOTS, filter=idle)
    assert {(told(client)["robotId"]) for _ in range(2)} == {"a", "b"}
    busy(server, "a", 1)
    assert told(client) == {"robotId": "a", "status": "BUSY", "cpuPercent": 1}
    busy(server, "a", 2)
    server.sql("UPDATE monitor.robots SET cpu_percent = 3 WHERE robot_id = 'b'")
    assert told(client) == {"robotId": "b", "status": "IDLE", "cpuPercent": 3}
    with Client(f"{server.ws}/graphql") as later:
        later.introduce().subscribe("1", ROBOTS, filter=idle)
        assert told(later)["robotId"] == "b"
        server.sql("UPDATE monitor.robots SET cpu_percent = 4 WHERE robot_id = 'b'")
        assert told(later)["cpuPercent"] == 4


def test_of_a_robot_that_says_more_than_is_asked_for_the_newest_is_told(server: LiveServer, client: Client) -> None:
    new_robot(server, "a")
    client.subscribe("1", ROBOTS, rate=0.5)
    told(client)
    for cpu in range(6):
        busy(server, "a", cpu)
    assert told(client)["cpuPercent"] == 5


@pytest.mark.parametrize("rate", [0, -1, 21])
def test_a_rate_that_nobody_can_have_is_refused(client: Client, rate: float) -> None:
    client.subscribe("1", ROBOTS, rate=rate)
    assert refusal(client) == "BAD_USER_INPUT"


def test_the_queue_is_told_at_once_and_when_it_changes(server: LiveServer, client: Client) -> None:
    client.subscribe("1", "subscription { queueMetrics(intervalSeconds: 3600) { depth activeJobs timestamp } }")
    first = told(client)
    assert first["depth"] == 0
    server.new_jobs(3)
    then = told(client)
    assert then["depth"] == 3
    assert then["timestamp"] > first["timestamp"]


def statements(http: httpx.Client) -> Counter[str]:
    """How often each statement has run."""
    page = http.get("/metrics").text
    counts = re.findall(r'^\w*sql_statement_duration_seconds_count{query="(\w+)"} (\S+)', page, re.MULTILINE)
    return Counter({name: int(float(count)) for name, count in counts})


def in_memory(http: httpx.Client) -> bool:
    """Whether the fleet is."""
    answer = http.post("/graphql", json={"query": "{ fleet { queueDepth } }"})
    return '"0 statements"' in answer.headers["server-timing"]


def test_the_queue_is_told_over_sockets_and_streams_without_a_statement(server: LiveServer, client: Client) -> None:
    query = "subscription { queueMetrics(intervalSeconds: 0.1) { depth activeJobs byEnvironment { depth } } }"
    with httpx.Client(base_url=server.http, timeout=PATIENCE) as http:
        wait_until(lambda: in_memory(http))
        before = statements(http)
        assert before
        client.subscribe("1", query)
        with http.stream("GET", "/graphql", params={"query": query}, headers={"Accept": "text/event-stream"}) as stream:
            told(client)
            server.new_jobs(3)
            while told(client)["depth"] != 3:
                pass
            next(line for line in stream.iter_lines() if '"depth":3' in line)
            for _ in range(10):
                told(client)
        ran = statements(http) - before
    assert "jobs_now" in ran
    assert ran.keys() <= kept_going()


def test_the_queue_is_told_at_least_every_interval(client: Client) -> None:
    client.subscribe("1", "subscription { queueMetrics(intervalSeconds: 0.1) { depth } }")
    assert [told(client)["depth"] for _ in range(3)] == [0, 0, 0]


def test_a_queue_that_cannot_be_read_is_told_as_of_when_it_was(server: LiveServer, client: Client) -> None:
    client.subscribe("1", "subscription { queueMetrics(intervalSeconds: 0.1) { timestamp } }")
    told(client)
    with server.locked("monitor.jobs"):
        [row] = server.sql("SELECT now() AS now")
        moments = [datetime.fromisoformat(told(client)["timestamp"]) for _ in range(10)]
        assert max(moments) <= row["now"]
    while datetime.fromisoformat(told(client)["timestamp"]) <= row["now"]:
        pass


def test_an_interval_that_nobody_can_have_is_refused(client: Client) -> None:
    client.subscribe("1", "subscription { queueMetrics(intervalSeconds: 0) { depth } }")
    assert refusal(client) == "BAD_USER_INPUT"


def test_the_fleet_is_told_when_what_is_selected_of_it_changed(server: LiveServer, client: Client) -> None:
    client.subscribe("1", "subscription { fleet(maxRatePerSecond: 20) { totalRobots at: asOf } }")
    assert told(client)["totalRobots"] == 0
    executions = server.streams.counts["executions"]
    server.new_jobs(1)
    wait_until(lambda: server.streams.counts["executions"] > executions)
    new_robot(server, "a")
    assert told(client)["totalRobots"] == 1


def test_the_fleet_of_an_environment_is_told_of_that_environment(server: LiveServer, client: Client) -> None:
    document = 'subscription { fleet(environment: "production", maxRatePerSecond: 20) { totalRobots } }'
    client.subscribe("1", document)
    assert told(client) == {"totalRobots": 0}
    new_robot(server, "a")
    new_robot(server, "b", "production")
    assert told(client) == {"totalRobots": 1}
