"""The sockets of the documents: `/ws/live-jobs`, `/ws/robot-status`, `/ws/queue-metrics`.

Each runs a stored subscription from legacy.graphql, whose aliases give the JSON its names. A text `ping` is answered
with `pong`, anything else that clients say is not listened to. Who reads too slowly is closed with 4410; 1013 says
that the stream ended on our side and is worth another try. 4403 is for who may not watch, and for a token that has
expired or a key that was revoked meanwhile; 4429 for one socket too many, or too many messages.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from graph.access.expiry import FORBIDDEN, Expiry
from graph.engine.requests import Request
from graph.limits.admission import TOO_MANY, TOO_MANY_MESSAGES, Admission, Crowded, Ration
from graph.operating.exchanges import exchange
from graph.transports.operations import Operations
from graph.transports.outbox import Outbox, Traffic, until_first
from graph.transports.wire import SocketPeer
from graph.viewer import Role, Viewer

DOCUMENT = (Path(__file__).parent / "legacy.graphql").read_text(encoding="utf-8")
_PATHS = {"/ws/live-jobs": "LiveJobs", "/ws/robot-status": "RobotStatus", "/ws/queue-metrics": "QueueMetrics"}


def legacy_routes(operations: Operations, traffic: Traffic, admission: Admission) -> list[WebSocketRoute]:
    """The routes of the three sockets."""
    return [
        WebSocketRoute(path, LegacySocket(Request(DOCUMENT, operation_name=name), operations, traffic, admission))
        for path, name in _PATHS.items()
    ]


class LegacySocket:
    """One of the sockets of the documents."""

    def __init__(self, request: Request, operations: Operations, traffic: Traffic, admission: Admission) -> None:
        self._request = request
        self._operations = operations
        self._traffic = traffic
        self._admission = admission
        self._translation = _Translation()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it is closed."""
        await receive()
        await send({"type": "websocket.accept"})
        peer, viewer, address = SocketPeer(scope, send), exchange().viewer, exchange().address
        if not viewer.may(Role.VIEWER):
            exchange().codes.append("FORBIDDEN" if viewer.known else "UNAUTHENTICATED")
            await peer.close(FORBIDDEN, "Forbidden")
            return
        try:
            with (
                self._admission.from_address(address),
                self._admission.of_viewer(viewer),
                self._admission.operation(viewer),
                self._traffic.socket(),
            ):
                await self._serve(Outbox(peer, self._traffic), receive, viewer)
        except Crowded as crowded:
            exchange().codes.append(crowded.code)
            await peer.close(TOO_MANY, "Too many connections")

    async def _serve(self, outbox: Outbox, receive: Receive, viewer: Viewer) -> None:
        expiry = Expiry(lambda end: _refuse(outbox, end.code, FORBIDDEN, end.reason))
        expiry.watch(viewer)
        try:
            async with asyncio.TaskGroup() as group:
                operating = group.create_task(self._operate(outbox, viewer))
                await until_first(group, _listen(receive, outbox, self._admission.messages()), outbox.run())
                operating.cancel()
        finally:
            expiry.stop()

    async def _operate(self, outbox: Outbox, viewer: Viewer) -> None:
        with self._traffic.operation():
            errors = await self._operations.run(self._request, _Sink(outbox, self._translation), viewer)
        outbox.close(1013, "Try again later" if errors is None else errors[0]["message"])


async def _listen(receive: Receive, outbox: Outbox, ration: Ration) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        if outbox.closed:
            continue
        if not ration.take():
            _refuse(outbox, TOO_MANY_MESSAGES, TOO_MANY, "Too many messages")
        elif message.get("text") == "ping":
            outbox.put(b"pong")


def _refuse(outbox: Outbox, code: str, close: int, reason: str) -> None:
    exchange().codes.append(code)
    outbox.close(close, reason)


class _Translation:
    """The documents' JSON of a response; made once for all sockets, which are handed the same bytes."""

    def __init__(self) -> None:
        self._last: tuple[bytes, bytes | None] = (b"", None)

    def of(self, payload: bytes) -> bytes | None:
        """What to send for a response, or None where it holds nothing that the documents know."""
        if payload is not self._last[0]:
            self._last = payload, _translated(payload)
        return self._last[1]


def _translated(payload: bytes) -> bytes | None:
    message: dict[str, Any] | None = (orjson.loads(payload).get("data") or {}).get("message")
    if message is None or message["timestamp"] is None:  # a field failed, or this is a gap
        return None
    if "status" in message:
        message["status"] = message["status"].lower()
    return orjson.dumps(message)


class _Sink:
    """Hands on responses in the documents' JSON."""

    def __init__(self, outbox: Outbox, translation: _Translation) -> None:
        self._outbox = outbox
        self._translation = translation

    def offer(self, payload: bytes, key: str | None, cursor: str | None) -> None:
        """Send a response, or keep it for later."""
        message = self._translation.of(payload)
        if message is not None:
            self._outbox.offer(b"", message, b"", self, key)

    async def send(self, payload: bytes, *, cursor: str | None) -> None:
        """Send a response as soon as there is room."""
        message = self._translation.of(payload)
        if message is not None:
            await self._outbox.send(b"", message, b"", owner=self)
