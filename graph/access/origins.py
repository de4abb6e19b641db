"""Pages of which origins may call us.

Browsers do not ask before they open a WebSocket, so that the origin of a socket is looked at here.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.access.expiry import FORBIDDEN

_PORTS = {"http": 80, "https": 443}

_ALLOWED_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Type",
    "If-None-Match",
    "Last-Event-ID",
    "X-API-Key",
    "X-Request-ID",
    "traceparent",
    "tracestate",
)
_EXPOSED_HEADERS = ("ETag", "Link", "Retry-After", "Server-Timing", "X-Request-ID", "X-Total-Count", "traceparent")


class Origins:
    """ASGI middleware: CORS for requests, the same list of origins and our own for sockets."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._anybody = "*" in origins
        self._with_cors = CORSMiddleware(
            app,
            allow_origins=["*"] if self._anybody else origins,
            allow_credentials=not self._anybody,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=_EXPOSED_HEADERS,
            max_age=600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be, with the headers that tell browsers so."""
        of_page = any(name == b"origin" for name, _ in scope.get("headers", ()))
        if scope["type"] == "http" and of_page:
            await self._with_cors(scope, receive, send)
        elif scope["type"] != "websocket" or self._may_open(scope):
            await self._app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": FORBIDDEN, "reason": "this origin may not"})

    def _may_open(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if not origin or self._anybody or origin in self._origins:
            return True
        try:
            theirs = urlsplit(origin)
            ours = urlsplit(f"{theirs.scheme}://{headers.get(b'host', b'').decode('latin-1').lower()}")
            default = _PORTS.get(theirs.scheme)
            return (theirs.hostname, theirs.port or default) == (ours.hostname, ours.port or default) != (None, default)
        except ValueError:
            return False
