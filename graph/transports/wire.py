"""How bytes leave by a WebSocket: uvicorn's protocol, hardened against peers that do not read.

uvicorn closes a connection by waiting until the peer has read everything, so one that never reads holds its socket for
ever and delays the end of the process. Here whoever is done with is given a moment to read the rest, then cut off.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, BaseTransport, TimerHandle, Transport
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

from starlette.types import Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from graph.transports.turns import Turns

# Bytes of frames that a socket keeps until its turn to be written to; beyond that they are written.
_MOST_KEPT = 1 << 16
_LINGER = 10.0  # seconds to read what is left once the conversation is over
_PARTING = 2.0  # the same when the server stops

# What uvicorn has to be told.
SERVED_BY: Mapping[str, Any] = {
    "http": "graph.transports.http_wire:HttpWire",
    "ws": "graph.transports.wire:SocketWire",
    "ws_max_size": 1 << 16,
    "ws_per_message_deflate": False,
    "timeout_graceful_shutdown": 4,
    "proxy_headers": False,  # uvicorn would believe anybody on this machine: see the setting trusted_proxies
}

Take = Callable[[bytes, bytes, bytes], bool]


class SocketWire(WebSocketsSansIOProtocol):
    """A WebSocket of uvicorn that applications can write ready frames to, and abort."""

    # The frame made last: sockets that name an operation alike, as many clients do, are handed the same bytes.
    _made: ClassVar[tuple[bytes, bytes, bytes, bytes]] = b"", b"", b"", b""
    _turns_of: ClassVar[WeakKeyDictionary[AbstractEventLoop, Turns]] = WeakKeyDictionary()
    # What is needed to tell a socket something lies together, and not among the forty things that uvicorn knows of it.
    __slots__ = ("_frames", "_in_turn", "_linger", "_reads", "_size", "_to", "_turns")

    def connection_made(self, transport: BaseTransport) -> None:
        """Log no frames and no headers, not even for debugging: they hold tokens."""
        self._frames: tuple[bytes, ...] = ()
        self._size, self._reads, self._in_turn = 0, True, False
        self._to = cast(Transport, transport)
        self._linger: TimerHandle | None = None
        self.conn.debug = False
        self._turns = self._turns_of.setdefault(self.loop, Turns())
        super().connection_made(transport)

    def handle_connect(self, event: Request) -> None:
        """Tell the application of both, in the scope."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            cast(dict[str, Any], self.scope["extensions"])["wire"] = {"take": self.take, "abort": self.transport.abort}

    def take(self, head: bytes, payload: bytes, tail: bytes) -> bool:
        """Take one text frame for the socket's turn; false where the peer is behind with reading, or gone."""
        if not self._reads or self._to.is_closing():
            return False
        made = SocketWire._made
        if payload is not made[1] or head != made[0] or tail != made[2]:
            frame = b"".join((_text_header(len(head) + len(payload) + len(tail)), head, payload, tail))
            made = SocketWire._made = head, payload, tail, frame
        if not self._in_turn:
            self._in_turn = True
            self._turns.add(self.loop, self._take_turn)
        self._frames += (made[3],)
        self._size += len(made[3])
        if self._size > _MOST_KEPT:
            self.write_frames()
        return True

    def _take_turn(self) -> None:
        self._in_turn = False
        self.write_frames()

    def write_frames(self) -> None:
        """Write the frames that are kept."""
        frames, self._frames, self._size = self._frames, (), 0
        if frames and not (self.close_sent or self._to.is_closing()):
            self._to.write(frames[0] if len(frames) == 1 else b"".join(frames))

    async def send(self, event: Any) -> None:
        """Send what the application has to say behind what it said before."""
        self.write_frames()
        await super().send(event)

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._reads = False
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read what there was."""
        self._reads = not self.close_sent
        super().resume_writing()

    def handle_ping(self) -> None:
        """Answer a ping, but do not pile up answers for a peer that does not read them."""
        if self._reads:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_parser_exception(self) -> None:
        """Say what is wrong, and hear the peer out: cut off in the middle of a sentence it would not learn why."""
        output = b"".join(self.conn.data_to_send())
        if self.close_sent or self.conn.close_sent is None:
            return
        self.write_frames()
        self.close_sent, self._reads = True, False
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(output)
        self.close_timer = self.loop.call_later(_PARTING, self.transport.abort)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """Cut off a peer that answers no ping: it would not read a reason either."""
        self.transport.abort()

    async def run_asgi(self) -> None:
        """Run the application, then see to it that the connection ends."""
        await super().run_asgi()
        if not self.disconnected:
            self._linger = self.loop.call_later(_LINGER, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to wait for."""
        super().connection_lost(exc)
        if self._linger is not None:
            self._linger.cancel()

    def shutdown(self) -> None:
        """Take leave with 1012, but not for long."""
        self.write_frames()
        self.loop.call_later(_PARTING, self.transport.abort)
        if not self.transport.is_closing():
            super().shutdown()


class SocketPeer:
    """The far end of a WebSocket, over any ASGI server; faster over a SocketWire."""

    def __init__(self, scope: Scope, send: Send) -> None:
        wire = scope.get("extensions", {}).get("wire", {})
        self.take: Take = wire.get("take", lambda *_: False)
        self.abort: Callable[[], None] = wire.get("abort", lambda: None)
        self._send = send

    async def write(self, head: bytes, payload: bytes, tail: bytes) -> None:
        """Send one text message."""
        await self._send({"type": "websocket.send", "text": b"".join((head, payload, tail)).decode()})

    async def close(self, code: int, reason: str) -> None:
        """Close the socket; the reason is cut to what a frame can carry."""
        shortened = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")
        await self._send({"type": "websocket.close", "code": code, "reason": shortened})


_LONGEST_REASON = 123  # bytes: a control frame has 125, two of them are the code


def _text_header(size: int) -> bytes:
    if size < 126:
        return bytes((0x81, size))
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
