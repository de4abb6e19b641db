"""The bundled load: connections that each ask the same question again as soon as it is answered.

A process of its own, so that its work is not the harness's: it reads what to do as JSON from its standard input, and
writes what came of it to its standard output.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson
import uvloop

from tests.benchmarks.questions import Request

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Work:
    """What to ask whom, over how many connections, for how long."""

    request: Request
    port: int
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it; latencies in milliseconds, `answered` over `seconds`, of `served` that the server worked on."""

    answered: int
    served: int
    refused: int
    received_bytes: int
    seconds: float
    p50_ms: float
    p99_ms: float


def message(request: Request) -> bytes:
    """The request as it goes over the wire."""
    head = f"{request.method} {request.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
    body = request.body.encode()
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class _Asker(asyncio.Protocol):
    """One connection."""

    def __init__(self, message: bytes, latencies: list[float], until: float) -> None:
        self._message = message
        self._latencies = latencies
        self._until = until
        self._buffer = b""
        self._expected = 0
        self._asked = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.refused = 0
        self.received = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._ask(time.perf_counter())

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._buffer += data
        if not self._expected:
            head_end = self._buffer.find(_HEAD_END)
            if head_end < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head_end)
            if length is None:
                self._finish(ConnectionError("the server sent a response without Content-Length"))
                return
            self._expected = head_end + len(_HEAD_END) + int(length[1])
        if len(self._buffer) < self._expected:
            return
        now = time.perf_counter()
        self._latencies.append(now - self._asked)
        self.refused += not self._buffer.startswith(b"HTTP/1.1 200")
        self._buffer, self._expected = b"", 0
        if now < self._until:
            self._ask(now)
        else:
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(exc or ConnectionError("the server closed the connection"))

    def _ask(self, now: float) -> None:
        self._asked = now
        if self._transport is not None:
            self._transport.write(self._message)

    def _finish(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._transport.close()
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


async def drive(work: Work) -> Load:
    """Ask until the time is over, and wait for the last answers."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    started = time.perf_counter()
    until, asked = started + work.seconds, message(work.request)
    async with asyncio.timeout(work.seconds + _GRACE_SECONDS):
        connected = await asyncio.gather(
            *(
                loop.create_connection(lambda: _Asker(asked, latencies, until), "127.0.0.1", work.port)
                for _ in range(work.connections)
            )
        )
        askers = [asker for _, asker in connected]
        await asyncio.gather(*(asker.done for asker in askers))
    seconds = time.perf_counter() - started
    latencies.sort()
    return Load(
        answered=len(latencies),
        served=len(latencies),
        refused=sum(asker.refused for asker in askers),
        received_bytes=sum(asker.received for asker in askers),
        seconds=seconds,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p99_ms=1000 * latencies[len(latencies) * 99 // 100],
    )


def read_work(text: bytes) -> Work:
    """The work that somebody wrote as JSON."""
    fields: dict[str, Any] = orjson.loads(text)
    return Work(**{**fields, "request": Request(**fields["request"])})


if __name__ == "__main__":
    done = uvloop.run(drive(read_work(sys.stdin.buffer.read())))
    sys.stdout.buffer.write(orjson.dumps(asdict(done)))
