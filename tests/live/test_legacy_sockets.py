"""The sockets of the documents, with the documents' JSON."""

import json
import re

import pytest
from live_server import Client, LiveServer, wait_until

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def open_socket(server: LiveServer, path: str) -> Client:
    return Client(f"{server.ws}{path}", ())


def test_a_job_that_changes_is_told_as_documented(server: LiveServer) -> None:
    with open_socket(server, "/ws/live-jobs") as client:
        server.settle(1)
        server.new_jobs(1)
        server.sql("UPDATE monitor.jobs SET status = 'completed'")
        created, completed = client.hear(), client.hear()
        assert list(created) == list(completed) == ["job_id", "status", "timestamp"]
        assert (created["job_id"], created["status"]) == ("j0", "pending")
        assert (completed["job_id"], completed["status"]) == ("j0", "completed")
        assert UTC.fullmatch(completed["timestamp"])


def test_robots_are_told_at_once_and_with_every_heartbeat(server: LiveServer) -> None:
    server.sql(
        """INSERT INTO monitor.robots (robot_id, hostname, status, cpu_percent, memory_mb, last_heartbeat)
           VALUES ('robot-001', 'h', 'busy', 45.2, 1024.5, '2125-11-29T10:30:00Z')"""
    )
    with open_socket(server, "/ws/robot-status") as client:
        documented = {
            "robot_id": "robot-001",
            "status": "busy",
            "cpu_percent": 45.2,
            "memory_mb": 1024.5,
            "timestamp": "2125-11-29T10:30:00Z",
        }
        assert json.loads(client.hear_text()) == documented
        server.sql("UPDATE monitor.robots SET status = 'idle', cpu_percent = 1")
        assert client.hear() == {**documented, "status": "idle", "cpu_percent": 1.0}


def test_the_depth_of_the_queue_is_told_at_once_and_when_it_changes(server: LiveServer) -> None:
    with open_socket(server, "/ws/queue-metrics") as client:
        first = client.hear()
        assert list(first) == ["depth", "timestamp"]
        assert first["depth"] == 0
        assert UTC.fullmatch(first["timestamp"])
        server.new_jobs(3)
        while client.hear()["depth"] != 3:
            pass


@pytest.mark.slow
def test_the_depth_of_the_queue_is_told_every_5_seconds(server: LiveServer) -> None:
    with open_socket(server, "/ws/queue-metrics") as client:
        assert [client.hear()["depth"] for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("path", ["/ws/live-jobs", "/ws/robot-status", "/ws/queue-metrics"])
def test_ping_is_answered_with_pong(server: LiveServer, path: str) -> None:
    with open_socket(server, path) as client:
        for words in ("hello", b"ping", '{"type":"ping"}', "ping"):
            client.say(words)
        for _ in range(2):
            while client.hear_text() != "pong":
                pass
            client.say("ping")


def test_many_sockets_share_one_execution(server: LiveServer) -> None:
    clients = [open_socket(server, "/ws/live-jobs").__enter__() for _ in range(20)]
    server.settle(20)
    server.new_jobs(1)
    messages = [client.hear() for client in clients]
    assert all(message == messages[0] for message in messages)
    for client in clients:
        client.cut()
        client.__exit__(None, None, None)
    wait_until(lambda: server.traffic.open_operations == server.traffic.open_sockets == 0)


@pytest.mark.slow
def test_a_reader_that_is_too_slow_is_told_so(server: LiveServer) -> None:
    with Client(f"{server.ws}/ws/live-jobs", (), receive_buffer=4096) as slow:
        server.settle(1)
        made = 0
        while not server.traffic.closed_slow:
            server.new_jobs(5000, first=made)
            made += 5000
            assert made < 500_000, "it is not found too slow"
        assert slow.hear_close() == (4410, "slow consumer: resume with your cursor")
