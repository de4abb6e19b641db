"""A real server for the tests of what is pushed, and a client that says exactly what it is told to say."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import uvicorn
from direct import fetch
from serving import eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from datasources.settings import Settings
from graph.app import create_app
from graph.streams.streaming import Streams
from graph.transports.outbox import Traffic
from graph.transports.wire import SERVED_BY

PATIENCE = 10.0
PROBE = "probe-"


class LiveServer:
    """A running server, and what it counts."""

    def __init__(self, address: str, dsn: str, traffic: Traffic | None = None, streams: Streams | None = None) -> None:
        self.http = f"http://{address}"
        self.ws = f"ws://{address}"
        self.dsn = dsn
        self.traffic = traffic or Traffic()
        self._streams = streams

    @property
    def streams(self) -> Streams:
        """The subscriptions of its worker, where that is a thread of ours."""
        assert self._streams is not None
        return self._streams

    def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows straight from the database."""
        return fetch(self.dsn, statement, *arguments)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Nobody can read a table for as long as the block lasts."""
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(self.dsn, timeout=10))
            runner.run(connection.execute(f"BEGIN; LOCK TABLE {table}", timeout=10))
            try:
                yield
            finally:
                runner.run(connection.close(timeout=5))

    def new_jobs(self, count: int, *, first: int = 0, message: str = "", name: str = "j") -> None:
        """Jobs j<first> and so on, pending, each with a message."""
        self.sql(
            """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at,
                   error_message)
               SELECT $4::text || number, 'report', 'w', 'W', 'pending', 'pending', now(), $3
               FROM generate_series($1::int, $1::int + $2::int - 1) AS number""",
            first,
            count,
            message,
            name,
        )

    def settle(self, subscribers: int) -> None:
        """Wait until so many subscriptions to jobs are live: until all are told of a job that is made for that."""
        for number in range(20):
            before = self.traffic.deliveries
            self.new_jobs(1, first=number, name=PROBE)
            with suppress(AssertionError):
                wait_until(partial(self._told, before + subscribers), 1)
                return
        raise AssertionError("the subscriptions are not live")

    def _told(self, deliveries: int) -> bool:
        return self.traffic.deliveries >= deliveries


@contextmanager
def serving_live(dsn: str, **settings: Any) -> Iterator[LiveServer]:
    """A server as `casare-monitor serve` starts it, in a thread, until the block ends."""
    app = create_app(Settings(**settings), dsn)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", **SERVED_BY))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive(), 20)
        assert server.started, "the server did not start"
        try:
            yield LiveServer(f"127.0.0.1:{listener.getsockname()[1]}", dsn, app.state.traffic, app.state.streams)
        finally:
            server.should_exit = True
            thread.join(timeout=15)
            assert not thread.is_alive(), "the server did not stop"


def task_names() -> list[str]:
    """The names of the tasks in all the loops that run in this process; of dead ones some lie about."""
    # A weak proxy has the class of what it stands for, and raises where that is gone.
    tasks = [thing for thing in gc.get_objects() if issubclass(type(thing), asyncio.Task)]
    return [task.get_name() for task in tasks if not task.done() and task.get_loop().is_running()]


def has_begun() -> bool:
    """Whether a worker in this process has started the last that it starts for itself."""
    return "live-jobs-keep-up" in task_names()


def wait_until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something to become true, with the patience of this folder."""
    eventually(holds, seconds)


class Client:
    """One WebSocket; `receive_buffer` makes its kernel take little."""

    def __init__(
        self,
        url: str,
        subprotocols: tuple[str, ...] = ("graphql-transport-ws",),
        *,
        receive_buffer: int | None = None,
        pings: bool = False,
    ) -> None:
        place = urlsplit(url)
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((place.hostname, place.port))
        self._connecting = connect(
            url,
            sock=self.socket,
            subprotocols=subprotocols or None,
            compression=None,
            ping_interval=None,
            max_size=None,
            max_queue=4,
            open_timeout=PATIENCE,
            close_timeout=2,
        )
        self._pings = pings

    def __enter__(self) -> Client:
        self.connection: ClientConnection = self._connecting.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._connecting.__exit__(*error)

    def say(self, message: Any) -> None:
        """Send a message: text and bytes as they are, anything else as JSON."""
        self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def hear(self) -> Any:
        """The next message, but for the server's pings and the jobs of `settle`."""
        while True:
            text = self.hear_text()
            message = json.loads(text)
            if PROBE not in text and (self._pings or message != {"type": "ping"}):
                return message

    def hear_text(self) -> str:
        """The next message as it came."""
        text = self.connection.recv(timeout=PATIENCE)
        assert isinstance(text, str)
        return text

    def hear_close(self) -> tuple[int, str]:
        """The code and the reason that the server closes with, whatever it says before."""
        with suppress(ConnectionClosed):
            while True:
                self.connection.recv(timeout=PATIENCE)
        close = self.connection.protocol.close_rcvd
        assert close is not None, "the connection ended without a reason"
        return close.code, close.reason

    def introduce(self) -> Client:
        """Go through the beginning of the protocol."""
        self.say({"type": "connection_init"})
        assert self.hear() == {"type": "connection_ack"}
        return self

    def subscribe(self, operation_id: str, query: str, **variables: Any) -> None:
        """Ask for an operation."""
        payload = {"query": query, "variables": variables}
        self.say({"id": operation_id, "type": "subscribe", "payload": payload})

    def cut(self) -> None:
        """Lose the connection without a word."""
        self.socket.shutdown(socket.SHUT_RDWR)
