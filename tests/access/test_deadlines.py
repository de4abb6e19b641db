"""An operation that is over takes its SQL with it, whatever ended it; the statements wait for a lock meanwhile."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import httpx
import orjson
import pytest
from serving import Graph, eventually, kept_going, serving
from websockets.sync.client import connect

SLOW = "{ jobs(first: 3) { nodes { nodeExecutions(first: 2) { nodeId } } } }"
WAITING = r"""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'casare-monitor' AND wait_event_type = 'Lock'
  AND coalesce(substring(query FROM '/\* (\w+) \*/'), '') <> ALL($1::text[])"""


@contextmanager
def locked(graph: Graph, table: str) -> Iterator[None]:
    """Nobody reads the table while the block lasts."""
    begun, over = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(graph.dsn, timeout=10)
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table}")
            begun.set()
            await asyncio.to_thread(over.wait, 60)
        await connection.close(timeout=5)

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    assert begun.wait(10)
    try:
        yield
    finally:
        over.set()
        holder.join(timeout=10)


def until_waiting(graph: Graph, number: int) -> None:
    """Wait until so many statements wait for the lock that were run for somebody."""
    deadline = time.monotonic() + 10
    while (waiting := graph.sql(WAITING, kept_going())[0][0]) != number:
        assert time.monotonic() < deadline, f"{waiting} statements wait, not {number}"
        time.sleep(0.02)


@pytest.fixture
def graph(dsn: str) -> Iterator[Graph]:
    """A server whose statements may take longer than the tests do."""
    with serving(dsn, statement_timeout_seconds=60, operation_timeout_seconds=50) as graph:
        fill(graph)
        yield graph


def fill(graph: Graph) -> None:
    graph.sql(
        "INSERT INTO monitor.jobs"
        " (job_id, source, workflow_id, workflow_name, environment, status, raw_status, created_at)"
        " SELECT 'job-' || n, 'tests', 'w', 'w', 'production', 'pending', 'pending', now() FROM generate_series(1, 3) n"
    )


@pytest.mark.parametrize("table", ["monitor.jobs", "monitor.node_executions"])
def test_the_sql_of_an_operation_that_is_too_late_ends_with_it(dsn, table):
    with serving(dsn, statement_timeout_seconds=60, operation_timeout_seconds=0.5) as graph:
        fill(graph)
        with locked(graph, table):
            assert graph.ask(SLOW).codes[0] == "UPSTREAM_TIMEOUT"
            until_waiting(graph, 0)


@pytest.mark.parametrize("path", ["/graphql", "/api/v1/metrics/jobs/job-1"])
def test_the_sql_of_an_http_client_that_went_away_ends(graph, path):
    with locked(graph, "monitor.node_executions"):
        body = {"json": {"query": SLOW}} if path == "/graphql" else {}

        def ask() -> None:
            with pytest.raises(httpx.ReadTimeout):
                httpx.request("POST" if body else "GET", graph.url + path, timeout=2, **body)

        asking = threading.Thread(target=ask)
        asking.start()
        until_waiting(graph, 1)
        asking.join(timeout=10)
        until_waiting(graph, 0)


@pytest.mark.parametrize(
    "asked",
    [
        "jobsCompletedToday jobsFailedToday",
        "jobsCompletedToday currentJob { jobId }",
        "analytics { totalJobs } jobsFailedToday",
    ],
)
def test_what_was_asked_at_one_time_ends_together(dsn, asked):
    with serving(dsn, statement_timeout_seconds=60, operation_timeout_seconds=1) as graph:
        graph.sql(
            "INSERT INTO monitor.robots (robot_id, hostname, status, environment, registered_at, reported_job_id)"
            " SELECT 'robot-' || n, 'h', 'idle', 'production', now(), 'job-1' FROM generate_series(1, 3) n"
        )
        with locked(graph, "monitor.jobs"):
            assert graph.ask(f"{{ robots {{ nodes {{ {asked} }} }} }}").codes[0] == "UPSTREAM_TIMEOUT"
            until_waiting(graph, 0)


@pytest.mark.parametrize("ending", ["complete", "close"])
def test_the_sql_of_an_operation_that_a_socket_gives_up_ends(graph, ending):
    with (
        locked(graph, "monitor.node_executions"),
        connect(graph.url.replace("http", "ws") + "/graphql", subprotocols=["graphql-transport-ws"]) as socket,
    ):
        socket.send(orjson.dumps({"type": "connection_init"}).decode())
        assert orjson.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        socket.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": {"query": SLOW}}).decode())
        until_waiting(graph, 1)
        if ending == "complete":
            socket.send(orjson.dumps({"type": "complete", "id": "1"}).decode())
        else:
            socket.close()
        until_waiting(graph, 0)


def test_a_batch_goes_on_for_the_one_who_still_waits(graph):
    """Only those who gave up go without: what others asked in the same tick is answered."""

    async def run() -> list[object]:
        from graph.loaders.batching import by_key

        begun, go = asyncio.Event(), asyncio.Event()

        async def fetch(keys: list[int]) -> dict[int, int]:
            begun.set()
            await go.wait()
            return {key: key * 10 for key in keys}

        loader = by_key(fetch, lambda: -1)
        waiting = [asyncio.ensure_future(loader.load(key)) for key in range(4)]
        await begun.wait()
        for gone in (0, 3, 2):
            waiting[gone].cancel()
            await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert asyncio.run(run())[1] == 10


def test_a_report_is_taken_to_its_end_though_the_robot_is_gone(graph):
    report = 'mutation { registerRobot(input: {robotId: "r1", hostname: "h"}) { outcome } }'
    with locked(graph, "monitor.robots"):

        def tell() -> None:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(graph.url + "/graphql", json={"query": report}, timeout=2)

        telling = threading.Thread(target=tell)
        telling.start()
        until_waiting(graph, 1)
        telling.join(timeout=10)
    eventually(lambda: graph.sql("SELECT 1 FROM monitor.robots WHERE robot_id = 'r1'"), seconds=10)
