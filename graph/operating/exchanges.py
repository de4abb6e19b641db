"""One request, or one WebSocket, from its first byte to its last: its id, its line in the log, its metrics.

Whoever answers it notes here what nobody else knows: which operation that was, and why it was refused.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datasources.postgres import StatementLog
from graph.operating.metrics import Metrics
from graph.operating.spans import Spans
from graph.viewer import NOBODY, Viewer

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_HANDLERS = re.compile(r"/(graphql|health|metrics|docs|redoc|openapi\.json|api|ws)(?=/|$)")
_LONGEST_PATH = 200  # characters

_log = logging.getLogger("graph.requests")


@dataclass(slots=True)
class Exchange:
    """What is known of a request while it is answered."""

    id: str
    address: str | None = None
    operation: str | None = None
    viewer: Viewer = NOBODY
    codes: list[str] = field(default_factory=list)
    reason: str | None = None  # why credentials were refused, which is for the log alone
    failures: list[str] = field(default_factory=list)
    reports: bool = False
    statements: StatementLog = field(default_factory=StatementLog)
    traceparent: str | None = None
    status: int = 0
    sent: int = 0

    @property
    def outcome(self) -> str:
        """How it went: ok, refused before it ran, or error for what went wrong while it ran."""
        if self.failures or 500 <= self.status < 600:
            return "error"
        return "refused" if self.codes or 400 <= self.status < 500 or self.status >= 4000 else "ok"


OnRefusal = Callable[[Exchange], None]  # told of every exchange that was refused, when it is over

current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def exchange() -> Exchange:
    """The exchange that the running task is part of."""
    found = current.get()
    return Exchange(new_id()) if found is None else found


class Exchanges:
    """ASGI middleware that gives each exchange its id, and notes it when it is over."""

    def __init__(self, app: ASGIApp, metrics: Metrics, spans: Spans | None, refused: OnRefusal) -> None:
        self._app = app
        self._metrics = metrics
        self._refused = refused
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an exchange on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        client = scope.get("client")
        now = Exchange(_id(headers), client[0] if client else None)
        token = current.set(now)
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            _note(message, now)
            await send(message)

        try:
            with nullcontext() if self._spans is None else self._spans.within(headers):
                await self._app(scope, receive, noting)
        except Exception:
            _log.exception("%s: nobody foresaw this", now.id)
            now.failures.append("INTERNAL_SERVER_ERROR")
            if scope["type"] == "websocket" or now.status:
                raise
            await _apologize(scope["path"], now, noting)
        finally:
            current.reset(token)
            self._finish(scope, now, time.perf_counter() - started)

    def _finish(self, scope: Scope, now: Exchange, seconds: float) -> None:
        path: str = scope["path"]
        method = scope.get("method", "WS")
        for code in now.codes:
            self._metrics.rejected(code)
        if now.codes:
            self._refused(now)
        if scope["type"] == "http":
            self._metrics.request(_handler(scope, path), method, now.status, seconds)
        if not _log.isEnabledFor(logging.INFO):
            return
        said = f"{method} {printable(path)} {now.status or '-'}"
        told = {
            "request_id": now.id,
            "method": method,
            "path": path[:_LONGEST_PATH],
            "status": now.status or None,
            "operation": now.operation,
            "viewer": now.viewer.name,
            "outcome": now.outcome,
            "codes": now.codes + now.failures,
            "reason": None if now.reason is None else printable(now.reason),
            "duration_ms": round(seconds * 1000, 2),
            "sql_statements": now.statements.count,
            "sql_ms": round(now.statements.seconds * 1000, 2),
            "bytes": now.sent,
            "client": now.address,
        }
        _log.handle(Line(said, told))


class Line(logging.LogRecord):
    """A line of the log, made without a look up the stack for whoever tells it, which costs as much as all the rest."""

    def __init__(self, said: str, told: Mapping[str, object]) -> None:
        super().__init__(_log.name, logging.INFO, "", 0, said, (), None)
        self.told = told


def printable(text: str) -> str:
    """Text from outside as it may stand in a log: short, and no line of its own."""
    return text[:_LONGEST_PATH].encode("unicode_escape").decode("ascii")


def _note(message: MutableMapping[str, Any], now: Exchange) -> None:
    kind = message["type"]
    if kind in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
        now.status = message.get("status", 101)
        headers = [header for header in message.get("headers", ()) if header[0] != b"x-request-id"]
        headers.append((b"x-request-id", now.id.encode()))
        if now.traceparent is not None:
            headers.append((b"traceparent", now.traceparent.encode()))
        message["headers"] = headers
    elif kind == "http.response.body":
        now.sent += len(message.get("body", b""))
    elif kind == "websocket.close":
        now.status = message.get("code", 1000) if now.status else 403


async def _apologize(path: str, now: Exchange, send: Send) -> None:
    said = "Something went wrong here. It has been logged under the correlation id."
    if path.startswith("/graphql"):
        kind = b"application/json"
        extensions = {"code": "INTERNAL_SERVER_ERROR", "correlationId": now.id}
        body: dict[str, Any] = {"errors": [{"message": said, "extensions": extensions}]}
    else:
        kind = b"application/problem+json"
        body = {"title": "Internal Server Error", "status": 500, "detail": said, "correlationId": now.id}
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": orjson.dumps(body)})


def _handler(scope: Scope, path: str) -> str:
    """The route, not the path: paths are as many as clients like."""
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        return str(route)
    known = _HANDLERS.match(path)
    return known[0] if known else "/" if path == "/" else "other"


def _id(headers: dict[bytes, bytes]) -> str:
    """The client's own id where it is sane, else a new one."""
    given = headers.get(b"x-request-id")
    return given.decode() if given is not None and _SANE_ID.fullmatch(given) else new_id()


def new_id() -> str:
    """The id of something that nobody has named."""
    return secrets.token_hex(16)
