"""When the database is away, slow or broken: said with a code, in time, without a secret, and over by itself."""

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from serving import eventually, serving

from datasources.embedded import EmbeddedPostgres, throwaway
from datasources.migrate import migrate

JOBS = "{ jobs { totalCount } }"
ROBOTS = "{ robots { totalCount } }"
UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
TIMEOUT = "UPSTREAM_TIMEOUT"
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'casare-monitor'"


@contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    """Somebody else's transaction that lets nobody read the table."""
    taken, done = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {table}", timeout=10)
                taken.set()
                await asyncio.to_thread(done.wait, 60)
        finally:
            await connection.close(timeout=5)

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    try:
        assert taken.wait(20)
        yield
    finally:
        done.set()
        holder.join(timeout=20)


def test_connections_that_died_are_replaced_without_anybody_noticing(graph) -> None:
    assert graph.ask(JOBS).data
    ended = [row["pid"] for row in graph.sql(f"SELECT pid, pg_terminate_backend(pid) {OURS}")]
    eventually(lambda: not graph.sql(f"SELECT {OURS} AND pid = ANY($1)", ended))
    assert graph.ask(JOBS).data
    assert graph.http.get("/health").status_code == 200


def test_a_statement_that_takes_too_long_is_given_up(serve) -> None:
    with serve(statement_timeout_seconds=0.3) as graph:
        with locked(graph.dsn, "monitor.jobs"):
            assert graph.ask(JOBS).codes == [TIMEOUT]
            assert graph.http.get("/health").status_code == 200
        assert graph.ask(JOBS).data


def test_an_operation_that_takes_too_long_is_an_answer_without_data(serve) -> None:
    with serve(operation_timeout_seconds=0.3) as graph, locked(graph.dsn, "monitor.jobs"):
        accept = {"Accept": "application/graphql-response+json"}
        answer = graph.http.post("/graphql", json={"query": JOBS}, headers=accept)
        assert answer.status_code == 200
        assert answer.json()["data"] is None
        assert answer.json()["errors"][0]["extensions"]["code"] == TIMEOUT


@pytest.mark.slow
def test_the_statements_of_an_operation_that_was_given_up_end_with_it(serve) -> None:
    with serve(operation_timeout_seconds=0.3) as graph, locked(graph.dsn, "monitor.jobs"):
        assert graph.ask(JOBS).codes == [TIMEOUT]
        eventually(lambda: not graph.sql(f"SELECT {OURS} AND state = 'active'"))


def test_a_pool_without_a_free_connection_is_not_waited_for_longer_than_told(serve) -> None:
    with serve(pool_size=1, connect_timeout_seconds=0.3, statement_timeout_seconds=5) as graph:
        with locked(graph.dsn, "monitor.jobs"):
            first = threading.Thread(target=graph.ask, args=(JOBS,))
            first.start()
            eventually(lambda: graph.sql(f"SELECT {OURS} AND wait_event_type = 'Lock'"))
            assert graph.ask(ROBOTS).codes == [UNAVAILABLE]
            health = graph.http.get("/health")
            assert health.status_code == 503
            assert "no database connection within 0.3 s" in health.json()["checks"]["database"]["reason"]
        first.join(timeout=20)
        assert graph.ask(ROBOTS).data


def test_what_broke_in_a_resolver_is_masked_and_logged_under_an_id_that_the_client_gets(small_fleet, caplog) -> None:
    small_fleet.sql("DROP TABLE monitor.node_executions CASCADE")
    with caplog.at_level(logging.ERROR, "graph"):
        answer = small_fleet.http.post(
            "/graphql",
            json={"query": '{ job(jobId: "j-bad") { jobId nodeExecutions { nodeId } } robots { totalCount } }'},
            headers={"X-Request-ID": "trace-42"},
        )
    (error,) = answer.json()["errors"]
    assert answer.status_code == 200
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "correlationId": "trace-42"}
    assert error["path"] == ["job", "nodeExecutions"]
    assert answer.headers["x-request-id"] == "trace-42"
    assert answer.json()["data"] == {"job": None, "robots": {"totalCount": 3}}
    assert not re.search("Traceback|node_executions|Undefined|asyncpg", answer.text)
    assert "trace-42" in caplog.text
    assert 'relation "monitor.node_executions" does not exist' in caplog.text
    assert "Traceback" in caplog.text


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    with throwaway() as server:
        asyncio.run(migrate(server.dsn))
        asyncio.run(checkpoint(server.dsn))  # a throwaway server forgets in a crash what it committed just before
        yield server


async def checkpoint(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("CHECKPOINT", timeout=30)
    finally:
        await connection.close(timeout=5)


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    process = server._process
    assert process is not None
    return process


@pytest.mark.slow
def test_a_database_that_is_away_is_missed_until_it_is_back(server, caplog) -> None:
    password = urlsplit(server.dsn).password
    with serving(server.dsn) as graph, caplog.at_level(logging.DEBUG):
        assert graph.ask(JOBS).data
        server.stop()
        reply, health = graph.ask(JOBS), graph.http.get("/health")
        assert reply.codes == [UNAVAILABLE]
        assert (health.status_code, health.json()["status"]) == (503, "unavailable")
        assert "not reachable" in health.json()["checks"]["database"]["reason"]
        server.start()
        assert graph.ask(JOBS).data
        assert graph.http.get("/health").status_code == 200
    assert password not in caplog.text + reply.response.text + health.text


@pytest.mark.slow
def test_a_database_that_is_killed_comes_back_without_anybodys_help(server) -> None:
    with serving(server.dsn) as graph:
        assert graph.ask(JOBS).data
        postmaster(server).kill()
        eventually(lambda: server.restarts == 1, seconds=30)
        assert graph.ask(JOBS).data
        assert graph.http.get("/health").status_code == 200


@pytest.mark.slow
def test_a_database_that_hangs_is_missed_within_the_timeouts_and_comes_back(server) -> None:
    limits = {"connect_timeout_seconds": 0.5, "statement_timeout_seconds": 0.5, "operation_timeout_seconds": 1}
    with serving(server.dsn, **limits) as graph:
        assert graph.ask(JOBS).data
        everyone = [postmaster(server), *postmaster(server).children(recursive=True)]
        for process in everyone:
            process.suspend()
        try:
            assert set(graph.ask(JOBS).codes) <= {TIMEOUT, UNAVAILABLE}
            eventually(lambda: graph.ask(JOBS).codes == [UNAVAILABLE], seconds=30)
            assert graph.http.get("/health").status_code == 503
        finally:
            for process in everyone:
                if process.is_running():
                    process.resume()
        eventually(lambda: graph.http.get("/health").status_code == 200, seconds=30)
        assert graph.ask(JOBS).data


@pytest.mark.slow
def test_a_database_that_is_not_there_does_not_keep_the_server_from_starting() -> None:
    secret = "swordfish-7"
    with serving(f"postgresql://me:{secret}@127.0.0.1:1/rpa", connect_timeout_seconds=2) as graph:
        reply = graph.ask(JOBS)
        health = graph.http.get("/health")
    assert reply.codes == [UNAVAILABLE]
    assert health.status_code == 503
    assert secret not in reply.response.text + health.text


@pytest.mark.slow
@pytest.mark.parametrize("database", ["nope", "postgres"])
def test_a_wrong_database_or_password_is_unavailable_too(postgres, database: str) -> None:
    password = "swordfish-7" if database == "postgres" else urlsplit(postgres.dsn).password
    url = urlsplit(postgres.dsn)
    dsn = url._replace(netloc=f"{url.username}:{password}@{url.hostname}:{url.port}", path=f"/{database}").geturl()
    with serving(dsn) as graph:
        reply = graph.ask(JOBS)
        health = graph.http.get("/health")
    assert reply.codes == [UNAVAILABLE]
    assert password not in reply.response.text + health.text
