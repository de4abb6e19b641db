"""Operations as an HTTP answer that goes on: Server-Sent Events (graphql-sse, distinct connections), and multipart.

Over Server-Sent Events each payload of the ledger has its cursor as its id; whoever comes back with `Last-Event-ID`
goes on behind it. A stream that ends without `complete` is to be taken up again: browsers do so by themselves. A slow
reader's stream ends like that, after a comment that says so; over multipart it ends with an error of the transport.
When its reader's credentials are over, a stream completes after an error TOKEN_EXPIRED: coming back needs new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import orjson
from graphql import OperationType
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from graph.access.expiry import FORBIDDEN, TOKEN_EXPIRED, Expiry
from graph.engine.execution import MutationRefused, Refused
from graph.engine.requests import Request
from graph.limits.admission import Admission, Crowded
from graph.operating.exchanges import exchange
from graph.streams.shared import Sink
from graph.transports.accepting import accepted
from graph.transports.operations import Errors, Operations
from graph.transports.outbox import SLOW_REASON, WRITE_DEADLINE, Outbox, Traffic, until_first
from graph.viewer import Viewer

_COME_BACK = "10"  # seconds, for who has too many streams
_SIGN_OF_LIFE = 12.0  # seconds; proxies give up on silence after 15 and more


@dataclass(frozen=True, slots=True)
class Format:
    """How payloads are written into an answer."""

    content_type: str
    opening: bytes
    before: bytes
    after: bytes
    sign_of_life: bytes
    completion: bytes
    too_slow: bytes
    expired: bytes
    cursors: bool


def _part(body: bytes) -> bytes:
    return b"\r\nContent-Type: application/json\r\n\r\n" + body + b"\r\n--graphql"


_OVER = [{"message": "Your credentials hold no longer: bring new ones.", "extensions": {"code": TOKEN_EXPIRED}}]

EVENT_STREAM = Format(
    content_type="text/event-stream; charset=utf-8",
    opening=b":\n\n",
    before=b"event: next\ndata: ",
    after=b"\n\n",
    sign_of_life=b":\n\n",
    completion=b"event: complete\ndata:\n\n",
    too_slow=f": {SLOW_REASON}\n\n".encode(),
    expired=b"event: next\ndata: %s\n\nevent: complete\ndata:\n\n" % orjson.dumps({"errors": _OVER}),
    cursors=True,
)
# Each part ends with the boundary of the next, because clients do not look at a part before they see its end.
MULTIPART = Format(
    content_type='multipart/mixed;boundary="graphql";subscriptionSpec="1.0"',
    opening=b"\r\n--graphql",
    before=b'\r\nContent-Type: application/json\r\n\r\n{"payload":',
    after=b"}\r\n--graphql",
    sign_of_life=_part(b"{}"),
    completion=b"--\r\n",
    too_slow=_part(
        orjson.dumps(
            {"payload": None, "errors": [{"message": SLOW_REASON, "extensions": {"code": "SLOW_CONSUMER"}}]},
        )
    )
    + b"--\r\n",
    expired=_part(orjson.dumps({"payload": None, "errors": _OVER})) + b"--\r\n",
    cursors=False,
)
_FORMATS: Mapping[str, Format] = {"text/event-stream": EVENT_STREAM, "multipart/mixed": MULTIPART}
_ACCEPTED = 32  # Accept headers whose meaning is remembered
_ANSWERS = {"application/graphql-response+json", "application/json", "application/*", "*/*"}


@lru_cache(maxsize=_ACCEPTED)
def accepts_streams(accept: str) -> bool:
    """Whether a client that sends this Accept header would take an answer that is a stream."""
    return not _FORMATS.keys().isdisjoint(_taken(accept))


def _taken(accept: str) -> list[str]:
    return [kind for kind, weight in accepted(accept).items() if weight > 0]


class StreamedAnswers:
    """Chooses the answers that are streams."""

    def __init__(self, operations: Operations, traffic: Traffic, admission: Admission) -> None:
        self._operations = operations
        self._traffic = traffic
        self._admission = admission

    async def choose(self, asked: Request, http: HttpRequest, correlation_id: str) -> StreamedAnswer | None:
        """The answer as a stream where it is to be one.

        Raises Refused where that can be told otherwise, and MutationRefused for a mutation that came by GET.
        """
        accept = _taken(http.headers.get("accept", "*/*"))
        form = next((_FORMATS[kind] for kind in accept if kind in _FORMATS), None)
        if form is None or http.method == "HEAD":
            return None
        viewer = exchange().viewer
        found = self._operations.look(asked, viewer, correlation_id)
        answerable = not _ANSWERS.isdisjoint(accept)
        if isinstance(found, Refused):
            if answerable or found.forbidden:
                await self._operations.admit(found, viewer, correlation_id)
        elif found.type is not OperationType.SUBSCRIPTION and answerable:
            return None
        elif found.type is OperationType.MUTATION and http.method != "POST":
            await self._operations.admit(found, viewer, correlation_id)
            raise MutationRefused
        run = partial(
            self._operations.run,
            asked,
            viewer=viewer,
            found=found,
            after=http.headers.get("last-event-id") or None,
            correlation_id=correlation_id,
        )
        return StreamedAnswer(run, form, self._traffic, self._admission)


class StreamedAnswer(StreamingResponse):
    """The answer to one operation, for as long as there is something to say."""

    def __init__(
        self,
        run: Callable[[Sink], Awaitable[Errors | None]],
        form: Format,
        traffic: Traffic,
        admission: Admission,
    ) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"})
        self.headers["Content-Type"] = form.content_type
        self._run = run
        self._format = form
        self._traffic = traffic
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the operation yields until it is complete, or its reader has gone; 429 where there are too many."""
        now = exchange()
        try:
            with (
                self._admission.from_address(now.address),
                self._admission.of_viewer(now.viewer),
                self._admission.operation(now.viewer),
            ):
                await self._stream(scope, receive, send, now.viewer)
        except Crowded as crowded:
            now.codes.append(crowded.code)
            body = {"errors": [{"message": str(crowded), "extensions": {"code": crowded.code}}]}
            headers = {"Retry-After": _COME_BACK, "Cache-Control": "no-store"}
            refusal = Response(orjson.dumps(body), 429, headers, media_type="application/json")
            await refusal(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send, viewer: Viewer) -> None:
        peer = _StreamPeer(scope, send, self._format)
        outbox = Outbox(peer, self._traffic)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        outbox.put(self._format.opening)
        expiry = Expiry(lambda end: outbox.close(FORBIDDEN, end.reason))
        expiry.watch(viewer)
        try:
            with self._traffic.stream():
                async with asyncio.TaskGroup() as group:
                    beside = [group.create_task(self._operate(outbox)), group.create_task(self._live_on(outbox))]
                    await until_first(group, outbox.run(), _gone(receive))
                    for task in beside:
                        task.cancel()
        finally:
            expiry.stop()
        await peer.end()

    async def _operate(self, outbox: Outbox) -> None:
        sink = _Stream(outbox, self._format)
        with self._traffic.operation():
            errors = await self._run(sink)
        if errors is not None:
            await sink.send(orjson.dumps({"errors": errors}), cursor=None)
        outbox.put(self._format.completion)
        outbox.end()

    async def _live_on(self, outbox: Outbox) -> None:
        while True:
            await asyncio.sleep(_SIGN_OF_LIFE)
            if outbox.idle:
                outbox.put(self._format.sign_of_life)


class _Stream:
    """The sink of the operation's responses."""

    def __init__(self, outbox: Outbox, form: Format) -> None:
        self._outbox = outbox
        self._format = form

    def offer(self, payload: bytes, key: str | None, cursor: str | None) -> None:
        """Send a response, or keep it for later."""
        self._outbox.offer(self._head(cursor), payload, self._format.after, self, key)

    async def send(self, payload: bytes, *, cursor: str | None) -> None:
        """Send a response as soon as there is room."""
        await self._outbox.send(self._head(cursor), payload, self._format.after, owner=self)

    def _head(self, cursor: str | None) -> bytes:
        if cursor is None or not self._format.cursors:
            return self._format.before
        return b"id: %s\n%s" % (cursor.encode(), self._format.before)


class _StreamPeer:
    """The far end of an HTTP answer."""

    def __init__(self, scope: Scope, send: Send, form: Format) -> None:
        self._wire = scope.get("extensions", {}).get("wire", {})
        self._wire["endless"] = True
        self._send = send
        self._format = form

    def take(self, _head: bytes, _payload: bytes, _tail: bytes) -> bool:
        """HTTP servers know no way to write without waiting."""
        return False

    async def write(self, head: bytes, payload: bytes, tail: bytes) -> None:
        """Send a piece of the body."""
        body = b"".join((head, payload, tail))
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def close(self, code: int, _reason: str) -> None:
        """Say that the reader's credentials are over, or that it was too slow: there is no other reason."""
        await self.write(self._format.expired if code == FORBIDDEN else self._format.too_slow, b"", b"")

    async def end(self) -> None:
        """End the body, if the reader takes it."""
        try:
            async with asyncio.timeout(WRITE_DEADLINE):
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        if "abort" in self._wire:
            self._wire["abort"]()


async def _gone(receive: Receive) -> None:
    """Wait until the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
