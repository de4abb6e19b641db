"""A moment without the database ends no stream: who shares one waits, and who joins meanwhile hears something."""

import asyncio
from collections.abc import Iterator

import pytest
from live_server import Client, LiveServer, serving_live, wait_until
from subscribing import JOBS, here, new_job, refusal, told

from datasources.events import Position
from datasources.postgres import Database, UpstreamUnavailable
from graph.streams import streaming
from subscriptions import follower as following
from subscriptions.feed import Feed
from subscriptions.follower import Follower

_SOME = {"status": ["PENDING", "FAILED"]}
_WAITS = "streams cannot go on yet"
_FAILURE = """
INSERT INTO monitor.events (kind, job_id, environment, status, previous_status)
VALUES ('job', $1, 'default', 'failed', 'claimed')"""


@pytest.fixture
def server(dsn: str) -> Iterator[LiveServer]:
    """One that soon gives up on a table that nobody can read."""
    with serving_live(dsn, statement_timeout_seconds=0.3) as server:
        new_job(server, "known", status="failed")
        yield server


@pytest.fixture
def filtered(server: LiveServer, client: Client) -> Client:
    """Somebody who is told of some jobs, as they happen."""
    client.subscribe("filtered", JOBS, filter=_SOME)
    server.settle(1)
    return client


def _heard(client: Client, count: int) -> list[tuple[str, str]]:
    """Of which job each of the next responses tells, by operation."""
    messages = [client.hear() for _ in range(count)]
    assert {message["type"] for message in messages} == {"next"}, messages
    return sorted((message["id"], message["payload"]["data"]["jobUpdates"]["jobId"]) for message in messages)


def test_a_filtered_stream_waits_until_the_jobs_can_be_read_and_tells_each_of_them_once(
    server: LiveServer, filtered: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with server.locked("monitor.jobs"):
        server.sql(_FAILURE, "known")
        wait_until(lambda: _WAITS in caplog.text)
    assert told(filtered)["jobId"] == "known"
    new_job(server, "next", status="failed")
    assert told(filtered)["jobId"] == "next"


def test_whoever_joins_a_stream_that_waits_goes_along_with_it_or_is_refused_with_a_code(
    server: LiveServer, filtered: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_JOIN", 0.2)
    before = here(server)
    with server.locked("monitor.jobs"):
        server.sql(_FAILURE, "known")
        wait_until(lambda: _WAITS in caplog.text)
        filtered.subscribe("fresh", JOBS, filter=_SOME)
        filtered.subscribe("missed something", JOBS, filter=_SOME, after=before)
        assert refusal(filtered) == "UPSTREAM_TIMEOUT"
        filtered.subscribe("missed nothing", JOBS, filter=_SOME, after=here(server))
        assert refusal(filtered) == "UPSTREAM_TIMEOUT"
        assert server.streams.shared == 1
    assert _heard(filtered, 2) == [("filtered", "known"), ("fresh", "known")]
    filtered.subscribe("again", JOBS, filter=_SOME, after=before)
    assert _heard(filtered, 1) == [("again", "known")]


async def test_of_all_streams_that_wait_for_the_database_one_says_so(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_PATIENCE", 0.5)
    follower = Follower(database, Feed(Position(0)))
    await asyncio.gather(*(follower.wait_out(UpstreamUnavailable("away")) for _ in range(100)))
    assert caplog.messages == [f"{_WAITS}: away"]
