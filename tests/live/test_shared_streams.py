"""What many ask alike is executed once; whoever joins or leaves changes nothing for the others, and leaves nothing."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import psutil
import pytest
from live_server import PROBE, Client, LiveServer, has_begun, wait_until

from datasources.events import Position
from datasources.settings import Settings
from subscriptions.cursor import write_cursor
from subscriptions.gauge import Gauge

JOBS = """
subscription Jobs($filter: JobFilter, $after: String) {
  jobUpdates(filter: $filter, after: $after) { jobId }
}"""
QUEUE = "subscription { queueMetrics(intervalSeconds: 3600) { depth } }"
BURST = 400


@pytest.fixture
def clients(server: LiveServer) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Client(f"{server.ws}/graphql")).introduce() for _ in range(4)]


def beginning(server: LiveServer) -> str:
    """The cursor of a ledger in which nothing has happened."""
    [row] = server.sql("SELECT identity FROM monitor.ledger")
    return write_cursor(row["identity"], Position(0))


def job_of(message: dict) -> str:
    assert message["type"] == "next", message
    return message["payload"]["data"]["jobUpdates"]["jobId"]


def test_four_hundred_subscribers_cost_one_execution_for_each_event(server: LiveServer, clients: list[Client]) -> None:
    for client in clients:
        for number in range(100):
            client.subscribe(str(number), JOBS)
    wait_until(lambda: server.traffic.open_operations == 400)
    server.settle(400)
    assert server.streams.shared == 1
    executions = server.streams.counts["executions"]
    server.new_jobs(3)
    for client in clients:
        assert sorted(job_of(client.hear()) for _ in range(300)) == ["j0"] * 100 + ["j1"] * 100 + ["j2"] * 100
    assert server.streams.counts["executions"] == executions + 3


def test_different_variables_are_different_streams(server: LiveServer, clients: list[Client]) -> None:
    server.new_jobs(1)
    for client, workflow in zip(clients, ["w", "w", "v", "v"], strict=True):
        client.subscribe("1", JOBS, filter={"workflowId": workflow}, after=beginning(server))
    assert [job_of(client.hear()) for client in clients[:2]] == ["j0", "j0"]
    wait_until(lambda: server.streams.shared == 2)
    server.new_jobs(1, first=1)
    server.sql("UPDATE monitor.jobs SET workflow_id = 'v', status = 'failed' WHERE job_id = 'j0'")
    assert [job_of(client.hear()) for client in clients] == ["j1", "j1", "j0", "j0"]


def test_cursors_make_no_difference_to_what_is_shared(server: LiveServer, clients: list[Client]) -> None:
    clients[0].subscribe("1", JOBS)
    server.settle(1)
    server.new_jobs(1)
    assert job_of(clients[0].hear()) == "j0"
    clients[1].subscribe("1", JOBS, after=beginning(server))
    assert job_of(clients[1].hear()) == "j0"
    assert server.streams.shared == 1
    server.new_jobs(1, first=1)
    assert [job_of(client.hear()) for client in clients[:2]] == ["j1", "j1"]


def test_a_cursor_of_the_wrong_type_harms_nobody_who_asks_the_same(server: LiveServer, clients: list[Client]) -> None:
    for client, after in zip(clients, [7, beginning(server), ["x"], None], strict=True):
        client.subscribe("1", JOBS, after=after)
    assert clients[0].hear()["type"] == "error"
    assert clients[2].hear()["type"] == "error"
    server.settle(1)
    server.new_jobs(1)
    assert job_of(clients[1].hear()) == "j0"


@pytest.mark.parametrize("document", [JOBS, QUEUE, "subscription { robotStatus { robotId } }"])
def test_a_stream_ends_with_its_last_subscriber(server: LiveServer, clients: list[Client], document: str) -> None:
    for client in clients:
        client.subscribe("1", document)
    wait_until(lambda: server.traffic.open_operations == 4)
    assert server.streams.shared == 1
    for client in clients[:3]:
        client.say({"id": "1", "type": "complete"})
    wait_until(lambda: server.traffic.open_operations == 1)
    assert server.streams.shared == 1
    clients[3].cut()
    wait_until(lambda: server.streams.shared == server.traffic.open_operations == 0)


def test_a_newcomer_to_a_gauge_is_told_its_state_at_once(server: LiveServer, clients: list[Client]) -> None:
    server.new_jobs(2)
    clients[0].subscribe("1", QUEUE)
    told = {"data": {"queueMetrics": {"depth": 2}}}
    while clients[0].hear()["payload"] != told:
        pass  # the collector has not heard of the jobs yet
    executions = server.streams.counts["executions"]
    clients[1].subscribe("1", QUEUE)
    assert clients[1].hear()["payload"] == told
    assert server.streams.counts["executions"] == executions


def test_whoever_joins_in_the_middle_of_a_burst_misses_nothing_and_hears_nothing_twice(
    server: LiveServer, clients: list[Client]
) -> None:
    jobs: list[str] = []
    joined = threading.Event()

    def burst() -> None:
        while len(jobs) < BURST or (not joined.is_set() and len(jobs) < 100 * BURST):
            server.new_jobs(10, first=len(jobs))
            jobs.extend(f"j{number}" for number in range(len(jobs), len(jobs) + 10))

    after = beginning(server)
    writing = threading.Thread(target=burst)
    writing.start()
    heard: list[list[str]] = []
    for client in clients[:2]:
        client.subscribe("after", JOBS, after=after)
        heard.append([job_of(client.hear()) for _ in range(50)])
    clients[2].subscribe("now", JOBS)
    late = [job_of(clients[2].hear())]
    joined.set()
    writing.join(timeout=60)
    for client, some in zip(clients, heard, strict=False):
        assert some + [job_of(client.hear()) for _ in jobs[50:]] == jobs
    late += [job_of(clients[2].hear()) for _ in jobs[jobs.index(late[0]) + 1 :]]
    assert late == jobs[-len(late) :]
    server.new_jobs(1, first=len(jobs))
    assert [job_of(client.hear()) for client in clients[:3]] == [f"j{len(jobs)}"] * 3


async def test_a_reading_that_takes_long_does_not_undo_a_later_one() -> None:
    readings: list[asyncio.Future[Mapping[str, int]]] = [asyncio.get_running_loop().create_future() for _ in range(2)]
    begun = iter(readings)
    gauge = Gauge("numbers", lambda: next(begun))
    slow, quick = asyncio.create_task(gauge.refresh()), asyncio.create_task(gauge.refresh())
    await asyncio.sleep(0)
    readings[1].set_result({"a": 2})
    await quick
    readings[0].set_result({"a": 1})
    await slow
    assert gauge.since(0) == [("a", 2)]


@pytest.mark.slow
@pytest.mark.parametrize("abruptly", [False, True])
def test_a_thousand_connections_that_come_and_go_leave_nothing(server: LiveServer, abruptly: bool) -> None:
    wait_until(has_begun)
    process = psutil.Process()
    files = process.num_fds()
    for _ in range(10):
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(f"{server.ws}/graphql")).introduce() for _ in range(100)]
            for client in clients:
                client.subscribe("1", JOBS)
                client.subscribe("2", JOBS, filter={"workflowId": "w"}, after=beginning(server))
                client.subscribe("3", QUEUE)
            wait_until(lambda: server.traffic.open_operations == 300)
            server.new_jobs(1, name=PROBE)
            for client in clients:
                if abruptly:
                    client.cut()
        server.sql("TRUNCATE monitor.jobs CASCADE")
    wait_until(lambda: server.streams.shared == server.traffic.open_operations == server.traffic.open_sockets == 0, 2)
    wait_until(lambda: process.num_fds() <= files + Settings().pool_size, 2)  # connections to Postgres stay
