"""GraphQL over WebSocket: the subprotocol graphql-transport-ws, to the letter of its page.

Close codes, besides those of the protocol: 4410 where the client reads too slowly (it resumes with its cursor), and
4499 where it answers no ping, which is how graphql-ws names a socket that froze: its client connects again. 1011 would
tell that client never to try again. 4403 `Forbidden` is for credentials that are refused, or missing where they are
needed; `token expired`, `key revoked` and `scope changed` are told with it as well, and a client connects again with
other credentials (or renews in time: see speaker.py). 4429, besides a second `connection_init`, is for `Too many
connections` of one viewer or address, and for `Too many messages`; a socket that may run no more operations answers one
with `error`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from datasources.postgres import UpstreamError
from graph.access.authentication import AuthenticationFailed, Authenticator
from graph.access.expiry import EXPIRED, FORBIDDEN, TOKEN_EXPIRED, End
from graph.engine.requests import BadRequest, Request
from graph.limits.admission import TOO_MANY, TOO_MANY_MESSAGES, Admission, Crowded
from graph.operating.exchanges import exchange
from graph.transports.messages import (
    ACKNOWLEDGEMENT,
    PING,
    SUBPROTOCOL,
    BadMessage,
    complete,
    error,
    next_head,
    pong,
    read,
)
from graph.transports.operations import Operations
from graph.transports.outbox import Outbox, Traffic, until_first
from graph.transports.speaker import ScopeChanged, Speaker, renews
from graph.transports.wire import SocketPeer

_TRY_AGAIN_LATER = 1013  # while nobody can be told apart, because the database is away
_INIT_WAIT = 3.0  # seconds until the client has to have introduced itself
_PASSES = 3  # of the event loop, in which whatever has arrived by then is read and understood
_PING_EVERY = 20.0  # seconds; each ping has to be answered before the next one


class GraphQLSocket:
    """`/graphql` over WebSocket."""

    def __init__(
        self, operations: Operations, traffic: Traffic, authenticator: Authenticator, admission: Admission
    ) -> None:
        self.operations = operations
        self.traffic = traffic
        self.authenticator = authenticator
        self.admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it is closed."""
        await receive()
        peer = SocketPeer(scope, send)
        if SUBPROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            await peer.close(4406, f"Subprotocol not acceptable: use {SUBPROTOCOL}")
            return
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        address = exchange().address
        try:
            with self.admission.from_address(address), self.traffic.socket():
                await _Conversation(self, Outbox(peer, self.traffic), address).hold(receive)
        except Crowded as crowded:
            exchange().codes.append(crowded.code)
            await peer.close(TOO_MANY, "Too many connections")


class _Conversation:
    """What is said on one socket."""

    def __init__(self, place: GraphQLSocket, outbox: Outbox, address: str | None) -> None:
        self._operations = place.operations
        self._outbox = outbox
        self._traffic = place.traffic
        self._admission = place.admission
        self._running: dict[str, _Operation] = {}
        self._group = asyncio.TaskGroup()
        self._introduced = False
        self._speaker = Speaker(place.authenticator, address, self._expire)
        self._ration = place.admission.messages()
        self._counted = ExitStack()
        self._acknowledged = False
        self._owes_pong = False
        self._timer: asyncio.Handle | None = None

    async def hold(self, receive: Receive) -> None:
        """Converse until either side is done."""
        self._later(_INIT_WAIT, self._time_out)
        try:
            async with self._group:
                await until_first(self._group, self._listen(receive), self._outbox.run())
                for operation in self._running.values():
                    operation.cancel()
        finally:
            self._be_quiet()
            self._speaker.leave()
            self._counted.close()

    async def _listen(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            if self._outbox.closed:
                continue
            if not self._ration.take():
                self._refuse(TOO_MANY_MESSAGES, TOO_MANY, "Too many messages")
                continue
            try:
                await self._understand(message)
            except BadMessage as bad:
                self._outbox.close(bad.code, str(bad))

    async def _understand(self, message: Message) -> None:
        said = read(message.get("text"))
        match said["type"]:
            case "connection_init":
                await self._introduce(said.get("payload"))
            case "subscribe":
                self._subscribe(said["id"], said["payload"])
            case "complete":
                self._complete(said["id"])
            case "ping":
                await self._answer(said.get("payload"))
            case "pong":
                self._owes_pong = False

    async def _introduce(self, payload: dict[str, Any] | None) -> None:
        if self._introduced:
            raise BadMessage("Too many initialisation requests", 4429)
        self._introduced = True
        try:
            await self._speaker.introduce(payload or {})  # while the timer runs that runs since the socket was opened
            self._counted.enter_context(self._admission.of_viewer(self._speaker.viewer))
        except AuthenticationFailed as failed:
            self._send_away(failed)
        except UpstreamError:
            self._refuse("UPSTREAM_UNAVAILABLE", _TRY_AGAIN_LATER, "Try again later")
        except Crowded as crowded:
            self._refuse(crowded.code, TOO_MANY, "Too many connections")
        else:
            self._acknowledged = True
            self._outbox.put(ACKNOWLEDGEMENT)
            self._later(_PING_EVERY, self._ping)

    async def _answer(self, ping: dict[str, Any] | None) -> None:
        if not renews(ping):
            self._outbox.put(pong(ping))
            return
        self._demand_introduction()
        try:
            self._outbox.put(pong(await self._speaker.renew(ping or {})))
        except ScopeChanged:
            self._refuse("FORBIDDEN", FORBIDDEN, "scope changed")
        except AuthenticationFailed as failed:
            self._send_away(failed)

    def _subscribe(self, operation_id: str, payload: dict[str, Any]) -> None:
        self._demand_introduction()
        if operation_id in self._running:
            raise BadMessage(f"Subscriber for {operation_id} already exists", 4409)
        request = _request(payload)
        counted = ExitStack()
        try:
            self._admission.on_socket(len(self._running))
            counted.enter_context(self._admission.operation(self._speaker.viewer))
        except Crowded as crowded:
            self._admission.count(crowded)
            told = {"message": str(crowded), "extensions": {"code": crowded.code}}
            self._outbox.put(error(operation_id, [told]))
            return
        operation = self._running[operation_id] = _Operation(operation_id, self._outbox)
        operation.task = self._group.create_task(self._operate(operation, request))
        operation.task.add_done_callback(lambda _: counted.close())

    async def _operate(self, operation: _Operation, request: Request) -> None:
        with self._traffic.operation():
            errors = await self._operations.run(request, operation, self._speaker.viewer)
        if self._running.get(operation.id) is operation:
            del self._running[operation.id]
            self._outbox.put(complete(operation.id) if errors is None else error(operation.id, errors))

    def _demand_introduction(self) -> None:
        if not self._acknowledged:
            raise BadMessage("Unauthorized", 4401)

    def _expire(self, end: End) -> None:
        self._refuse(end.code, FORBIDDEN, end.reason)

    def _send_away(self, failed: AuthenticationFailed) -> None:
        self._outbox.close(FORBIDDEN, EXPIRED.reason if failed.code == TOKEN_EXPIRED else "Forbidden")

    def _refuse(self, code: str, close: int, reason: str) -> None:
        if not self._outbox.closed:
            exchange().codes.append(code)
            self._outbox.close(close, reason)

    def _complete(self, operation_id: str) -> None:
        operation = self._running.pop(operation_id, None)
        if operation is not None:
            operation.cancel()

    def _ping(self) -> None:
        if self._owes_pong:
            self._outbox.close(4499, f"Terminated: no pong within {_PING_EVERY:g} s")
            return
        self._owes_pong = True
        self._outbox.put(PING)
        self._later(_PING_EVERY, self._ping)

    def _time_out(self, passes: int = _PASSES) -> None:
        if passes == 0:
            self._outbox.close(4408, "Connection initialisation timeout")
        else:  # when a crowd comes, it may be the server who is late: what has arrived is read first
            self._timer = asyncio.get_running_loop().call_soon(self._time_out, passes - 1)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._be_quiet()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def _be_quiet(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _request(payload: dict[str, Any]) -> Request:
    try:
        return Request.read(payload)
    except BadRequest as error:
        raise BadMessage(f"payload: {error}") from None


class _Operation:
    """One operation of a socket: the sink of its responses, silent from the moment it is cancelled."""

    __slots__ = ("_head", "_outbox", "_silent", "id", "task")

    def __init__(self, operation_id: str, outbox: Outbox) -> None:
        self.id = operation_id
        self.task: asyncio.Task[None] | None = None
        self._head = next_head(operation_id)
        self._outbox = outbox
        self._silent = False

    def offer(self, payload: bytes, key: str | None, cursor: str | None) -> None:
        """Send a response, or keep it for later."""
        if not self._silent:
            self._outbox.offer(self._head, payload, b"}", self, key)

    async def send(self, payload: bytes, *, cursor: str | None) -> None:
        """Send a response as soon as there is room."""
        await self._outbox.send(self._head, payload, b"}", owner=self)

    def cancel(self) -> None:
        """Stop it: nothing of it is sent any more."""
        self._silent = True
        self._outbox.forget(self)
        if self.task is not None:
            self.task.cancel()
