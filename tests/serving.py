"""A real server on a real port, and a client that asks it."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import uvicorn
from direct import fetch

from datasources.settings import Settings
from datasources.sql import queries
from graph.app import create_app
from graph.operating.spans import Spans
from graph.transports.wire import SERVED_BY
from subscriptions.live import Live


@dataclass(frozen=True)
class Reply:
    """What the server answered to one operation."""

    response: httpx.Response

    @property
    def body(self) -> dict[str, Any]:
        return self.response.json()

    @property
    def data(self) -> Any:
        assert "errors" not in self.body, self.body["errors"]
        return self.body["data"]

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.body.get("errors", ())]

    @property
    def statements(self) -> int:
        """How many SQL statements it took, as the server tells in Server-Timing."""
        return int(re.search(r'desc="(\d+) statements"', self.response.headers["server-timing"])[1])


class Graph:
    """A running server and a client for it."""

    def __init__(self, url: str, dsn: str, live: Live, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.dsn = dsn
        self._live = live
        self._loop = loop
        self.http = httpx.Client(base_url=url, timeout=30)

    def ask(self, query: str, **variables: Any) -> Reply:
        """The reply to an operation."""
        return Reply(self.http.post("/graphql", json={"query": query, "variables": variables}))

    def renew(self) -> None:
        """Have the live fleet read anew, with what was written past the ledger."""
        asyncio.run_coroutine_threadsafe(self._live.collector.renew(), self._loop).result(timeout=20)

    def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows straight from the database."""
        return fetch(self.dsn, statement, *arguments)


def kept_going() -> set[str]:
    """The names of the statements that a worker runs for itself, with nobody there."""
    nouns = ("collector", "events", "rollups", "snapshots", "sweeps")
    beside = {"robots_all", "documents_mark", "prune_audit", "prune_rates"}
    return beside.union(*(queries(noun) for noun in nouns))


def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait until it holds: much of a server follows what happened a moment later."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def serving(dsn: str, *, spans: Spans | None = None, **settings: Any) -> Iterator[Graph]:
    """A server on a free port, in a thread of its own, until the block ends."""
    app = create_app(Settings(**settings), dsn, spans)
    config = uvicorn.Config(app, log_level="warning", lifespan="on", **SERVED_BY)
    server = uvicorn.Server(config)
    runner = asyncio.Runner(loop_factory=config.get_loop_factory())

    def serve() -> None:
        with runner:
            runner.run(server.serve(sockets=[listener]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        graph = Graph(url, dsn, app.state.live, runner.get_loop())
        try:
            yield graph
        finally:
            graph.http.close()
            server.should_exit = True
            thread.join(timeout=15)
            assert not thread.is_alive(), "the server did not stop"
