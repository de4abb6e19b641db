"""What browsers may do: pages of which origins may call us, and the single-page application that we may serve.

Browsers do not ask before they open a WebSocket, so that the origin of a socket is looked at here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

_OURS = re.compile(r"/?(graphql|api|health|metrics|ws|docs|redoc|openapi\.json)(/|$)")
_HASHED = re.compile(r"[-.](?=[\w-]*[0-9A-Z])[\w-]{8,}\.\w+$")
_FORBIDDEN = 4403
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
            await send({"type": "websocket.close", "code": _FORBIDDEN, "reason": "this origin may not"})

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


class SinglePage(StaticFiles):
    """The files of an application, and its page for every path that is none of ours: the application routes itself."""

    def __init__(self, directory: Path, policy: str) -> None:
        super().__init__(directory=directory, check_dir=True)
        self._policy = policy

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or the page."""
        if _OURS.match(path):
            raise HTTPException(404)
        try:
            return await super().get_response("index.html" if path == "." else path, scope)
        except HTTPException as error:
            if error.status_code != 404 or Path(path).suffix:
                raise
            return await super().get_response("index.html", scope)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file whose name changes with its content is asked for once a year, any other each time."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        hashed = _HASHED.search(Path(full_path).name) is not None and Path(full_path).suffix != ".html"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        response.headers["Content-Security-Policy"] = self._policy
        return response
