"""When the last one who asked has gone, nothing more is asked for it: the stream ends, and so does its SQL."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import httpx
import pytest
from live_server import PATIENCE, Client, LiveServer, serving_live, wait_until

LIGHT = "subscription { jobUpdates { jobId job { nodeExecutions(first: 2) { nodeId } } } }"
HEAVY = "subscription { jobUpdates { jobId job { nodeExecutions(first: 1000) { nodeId } } } }"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'casare-monitor' AND wait_event_type = 'Lock'"""


def waiting(server: LiveServer) -> int:
    """How many statements of the server wait for a lock."""
    return server.sql(WAITING)[0][0]


@pytest.mark.parametrize("query", [LIGHT, HEAVY], ids=["light", "heavy"])
@pytest.mark.parametrize("transport", ["complete", "close", "stream"])
def test_the_events_that_are_executed_end_with_their_last_reader(dsn: str, transport: str, query: str) -> None:
    with serving_live(dsn, statement_timeout_seconds=60, operation_timeout_seconds=50) as server, ExitStack() as stack:
        if transport == "stream":
            ask = partial(httpx.stream, json={"query": query}, headers={"Accept": "text/event-stream"})
            leave = stack.enter_context(ask("POST", f"{server.http}/graphql", timeout=PATIENCE)).close
        else:
            reader = stack.enter_context(Client(f"{server.ws}/graphql"))
            reader.introduce().subscribe("1", query)
            last_word = partial(reader.say, {"id": "1", "type": "complete"})
            leave = last_word if transport == "complete" else reader.connection.close
        server.settle(1)
        with server.locked("monitor.node_executions"):
            server.new_jobs(50)
            wait_until(lambda: waiting(server) > 0)
            leave()
            wait_until(lambda: waiting(server) == 0)
            wait_until(lambda: server.streams.shared == 0)
            server.new_jobs(50, first=50)
            wait_until(lambda: server.traffic.open_operations == 0)
            assert waiting(server) == 0
