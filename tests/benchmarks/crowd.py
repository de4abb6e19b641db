"""The crowd: sockets that subscribe, and count what they are told.

A process of its own, which must never be what is waited for: it looks at the frames' heads and reads the text of a few
sockets only. It takes orders as lines of JSON from its standard input, and answers each with a line. When it has come
to each socket that it was told something is kept, so that whoever knows when that happened can ask for the latencies.
"""

from __future__ import annotations

import base64
import os
import selectors
import socket
import sys
import time
import uuid
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import psutil

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_HEAD_END = b"\r\n\r\n"
_AT_ONCE = 50  # sockets that are opened at once
_PIECE = 1 << 18
_TYPE_WITHIN = 120  # bytes of a message, in which its type stands
_KEPT = 200  # messages whose text is kept, of one socket


class CrowdError(RuntimeError):
    """A socket was not told what it should be."""


class Member:
    """One socket, with one subscription to one document."""

    def __init__(self, port: int, document: str, told: Callable[[int, int], None], *, keeps: bool) -> None:
        self._document = document
        self._told = told
        self._rest = b""
        self._acknowledged = False
        self.arrivals = array("d")
        self.texts: list[bytes] | None = [] if keeps else None
        self.bytes = 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open(port)

    @property
    def subscribed(self) -> bool:
        """Whether it has sent what it asks for."""
        return self._acknowledged

    def read(self) -> None:
        """Take what has come."""
        data = self.socket.recv(_PIECE)
        if not data:
            raise CrowdError("the server closed a socket")
        now = time.perf_counter()
        self.bytes += len(data)
        before = len(self.arrivals)
        for opcode, frame in self._frames(data):
            if opcode == _TEXT and b'"next"' in frame[:_TYPE_WITHIN]:
                self.arrivals.append(now)
                if self.texts is not None and len(self.texts) < _KEPT:
                    self.texts.append(frame)
            else:
                self._converse(opcode, frame)
        if len(self.arrivals) > before:
            self._told(before, len(self.arrivals))

    def forget(self) -> None:
        """Begin to count anew."""
        self.arrivals = array("d")
        self.bytes = 0
        if self.texts is not None:
            self.texts = []

    def _open(self, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )
        answer = b""
        while _HEAD_END not in answer:
            piece = self.socket.recv(_PIECE)
            if not piece:
                raise CrowdError(f"no WebSocket: {answer[:200]!r}")
            answer += piece
        head, _, self._rest = answer.partition(_HEAD_END)
        if not head.startswith(b"HTTP/1.1 101"):
            raise CrowdError(f"no WebSocket: {head[:200]!r}")
        self._say(b'{"type":"connection_init"}')

    def _frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                if start > end:
                    break
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end:
                break
            yield data[at], data[start : start + size]
            at = start + size
        self._rest = data[at:]

    def _converse(self, opcode: int, frame: bytes) -> None:
        if opcode == _PING:
            self._say(frame, _PONG)
            return
        message = orjson.loads(frame) if opcode == _TEXT else {}
        match message.get("type"):
            case "connection_ack":
                # As clients do, each has a name of its own for what it asks.
                said = {"id": str(uuid.uuid4()), "type": "subscribe", "payload": {"query": self._document}}
                self._say(orjson.dumps(said))
                self._acknowledged = True
            case "ping":
                self._say(b'{"type":"pong"}')
            case _:
                raise CrowdError(f"unexpected: {opcode:#x} {frame[:500]!r}")

    def _say(self, text: bytes, opcode: int = _TEXT) -> None:
        size = len(text)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        # A mask of zeros changes nothing.
        self.socket.sendall(bytes((opcode,)) + length + bytes(4) + text)


class Crowd:
    """All sockets to one server."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._selector = selectors.DefaultSelector()
        self._wanted = 0
        self._satisfied = 0
        self._when = 0.0
        self._waiting = False
        self._orders = sys.stdin.buffer
        os.set_blocking(self._orders.fileno(), False)
        self._selector.register(self._orders, selectors.EVENT_READ, None)
        self._line = b""

    def run(self) -> None:
        """Obey until there are no more orders."""
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    key.data.read()
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        piece = os.read(self._orders.fileno(), _PIECE)
        *lines, self._line = (self._line + piece).split(b"\n")
        for line in lines:
            order = orjson.loads(line)
            answer = getattr(self, f"on_{order.pop('do')}")(**order)
            if answer is not None:
                _answer(answer)
        return bool(piece)

    def on_open(self, port: int, sockets: int, documents: list[str]) -> dict[str, Any]:
        """So many more sockets, that ask for these documents in turn; one of each document keeps what it is told."""
        fresh: list[Member] = []
        for number in range(sockets):
            document = documents[number % len(documents)]
            member = Member(port, document, self._told, keeps=number < len(documents) and not self._members)
            fresh.append(member)
            self._selector.register(member.socket, selectors.EVENT_READ, member)
            if number % _AT_ONCE == _AT_ONCE - 1:
                self._read_until(lambda: all(each.subscribed for each in fresh[-_AT_ONCE:]))
        self._read_until(lambda: all(each.subscribed for each in fresh))
        self._members += fresh
        return {"sockets": len(self._members)}

    def on_close(self, sockets: int) -> dict[str, Any]:
        """So many sockets fewer, the newest first."""
        for member in self._members[len(self._members) - sockets :]:
            self._selector.unregister(member.socket)
            member.socket.close()
        del self._members[len(self._members) - sockets :]
        return {"sockets": len(self._members)}

    def on_forget(self) -> dict[str, Any]:
        """Count from nothing."""
        for member in self._members:
            member.forget()
        self._wanted = self._satisfied = 0
        return {}

    def on_until(self, each: int) -> None:
        """Answer once every socket has been told so much."""
        self._wanted = each
        self._satisfied = sum(len(member.arrivals) >= each for member in self._members)
        self._when, self._waiting = time.perf_counter(), True
        self._check()

    def on_counts(self) -> dict[str, Any]:
        """How often each socket was told something, at the least and at the most."""
        counts = [len(member.arrivals) for member in self._members]
        return {"least": min(counts), "most": max(counts)}

    def on_report(self, published: list[float]) -> dict[str, Any]:
        """How long after they were published events came, in ms; and what this process itself has used so far."""
        late = sorted(
            arrival - at for member in self._members for at, arrival in zip(published, member.arrivals, strict=False)
        )
        times = psutil.Process().cpu_times()
        return {
            "p50_ms": 1000 * late[len(late) // 2] if late else 0.0,
            "p99_ms": 1000 * late[len(late) * 99 // 100] if late else 0.0,
            "deliveries": sum(len(member.arrivals) for member in self._members),
            "bytes": sum(member.bytes for member in self._members),
            "cpu_seconds": times.user + times.system,
        }

    def on_texts(self) -> dict[str, Any]:
        """What those were told who keep it."""
        kept = [member.texts for member in self._members if member.texts is not None]
        return {"texts": [[text.decode() for text in texts] for texts in kept]}

    def _told(self, before: int, now: int) -> None:
        if before < self._wanted <= now:
            self._satisfied += 1
            self._check()

    def _check(self) -> None:
        if self._waiting and self._satisfied == len(self._members):
            self._waiting, waited = False, time.perf_counter()
            _answer({"at": waited})

    def _read_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            if time.monotonic() > deadline:
                raise CrowdError("the server does not let all sockets in")
            for key, _ in self._selector.select(1):
                if key.data is not None:
                    key.data.read()


def _answer(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        Crowd().run()
    except (CrowdError, OSError) as error:
        raise SystemExit(f"the crowd: {error}") from error
