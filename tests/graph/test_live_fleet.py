"""The fleet is told from memory: without the tables, while they are away, and true again soon after they lied."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from serving import Graph, eventually, serving

from datasources.embedded import EmbeddedPostgres, throwaway
from datasources.migrate import migrate
from subscriptions.collector import live_jobs

FLEET = "{ fleet { totalRobots activeRobots activeJobs queueDepth totalJobsToday stale asOf } }"


def new_jobs(graph: Graph, count: int, environment: str = "default") -> None:
    graph.sql(
        """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, environment, status, raw_status,
               created_at)
           SELECT gen_random_uuid(), 'pgqueuer', 'w', 'W', $2, 'pending', 'pending', now()
           FROM generate_series(1, $1::int)""",
        count,
        environment,
    )


def depth(graph: Graph) -> int | None:
    """The queue's depth as it is known in memory; None before it is."""
    reply = graph.ask("{ fleet { queueDepth } }")
    return None if reply.statements else reply.data["fleet"]["queueDepth"]


@contextmanager
def locked(dsn: str, tables: str) -> Iterator[None]:
    """Nobody can read these tables for as long as the block lasts."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(dsn, timeout=10))
        runner.run(connection.execute(f"BEGIN; LOCK TABLE {tables}", timeout=10))
        try:
            yield
        finally:
            runner.run(connection.close(timeout=5))


def test_the_fleet_and_the_queue_are_told_without_reading_jobs(graph: Graph) -> None:
    new_jobs(graph, 3)
    eventually(lambda: depth(graph) == 3)
    query = {"query": "subscription { queueMetrics { depth } }"}
    with locked(graph.dsn, "monitor.jobs"):
        graph.sql("INSERT INTO monitor.reported_queues (environment, depth, at) VALUES ('production', 4, now())")
        eventually(lambda: depth(graph) == 7)
        with graph.http.stream("GET", "/graphql", params=query, headers={"Accept": "text/event-stream"}) as stream:
            told = next(line for line in stream.iter_lines() if line.startswith("data:") and len(line) > 6)
            assert json.loads(told[5:]) == {"data": {"queueMetrics": {"depth": 7}}}


@pytest.mark.slow
def test_a_job_that_vanishes_without_a_transition_is_found_by_comparing(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_jobs, "_COMPARED", (0.2, 0.4))
    with serving(dsn) as graph:
        new_jobs(graph, 3)
        eventually(lambda: depth(graph) == 3)
        graph.sql("DELETE FROM monitor.jobs WHERE job_id = (SELECT min(job_id) FROM monitor.jobs)")
        eventually(lambda: depth(graph) == 2)
        assert graph.http.get("/health").json()["checks"]["collector"]["differences"] == 1


def test_two_servers_tell_the_same_as_an_environment_is_told(dsn: str) -> None:
    with serving(dsn) as one, serving(dsn) as other:
        new_jobs(one, 3)
        new_jobs(other, 2, "production")
        for graph in (one, other):
            eventually(lambda graph=graph: depth(graph) == 5)
            production = graph.ask('{ fleet(environment: "production") { queueDepth totalJobsToday } }').data["fleet"]
            assert production == {"queueDepth": 2, "totalJobsToday": 2}


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    with throwaway() as server:
        asyncio.run(migrate(server.dsn))
        yield server


@pytest.mark.slow
def test_while_the_database_is_away_the_fleet_is_stale_and_as_of_when_it_was_known(server: EmbeddedPostgres) -> None:
    with serving(server.dsn, connect_timeout_seconds=1) as graph:
        graph.sql((Path(__file__).parent / "fleet.sql").read_text().split(";")[0])
        new_jobs(graph, 3)
        eventually(lambda: depth(graph) == 3)
        eventually(lambda: graph.ask(FLEET).data["fleet"]["totalRobots"] == 3)
        server.stop()
        stopped = datetime.now(UTC)
        eventually(lambda: graph.ask(FLEET).data["fleet"]["stale"])
        fleet = graph.ask(FLEET).data["fleet"]
        assert datetime.fromisoformat(fleet["asOf"]) <= stopped
        assert (fleet["totalRobots"], fleet["activeRobots"], fleet["queueDepth"]) == (3, 1, 3)
        server.start()
        new_jobs(graph, 1)
        eventually(lambda: depth(graph) == 4, 40)
        eventually(lambda: not graph.ask(FLEET).data["fleet"]["stale"])
        assert datetime.fromisoformat(graph.ask(FLEET).data["fleet"]["asOf"]) > stopped


@pytest.mark.slow
def test_before_the_fleet_is_in_memory_it_is_read_and_what_needs_memory_waits(dsn: str) -> None:
    of_memory = "{ fleet { throughput { completed } } }"
    with ExitStack() as held:
        held.enter_context(locked(dsn, "monitor.ledger, monitor.events"))  # the collector cannot begin
        with serving(dsn) as graph:
            asked = graph.ask("{ fleet { totalRobots queueDepth } }")
            assert asked.data == {"fleet": {"totalRobots": 0, "queueDepth": 0}}
            assert asked.statements == 2
            assert graph.ask(of_memory).codes == ["UPSTREAM_UNAVAILABLE"]
            held.close()
            eventually(lambda: not graph.ask(of_memory).codes)
            assert graph.ask(of_memory).statements == 0
