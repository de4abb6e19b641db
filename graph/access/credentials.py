"""The credentials of a request: a header, or, where browsers let pages set none, `?token=`.

A token in the query leaves it before anything else sees the request, so that it stands in no log, trace or link.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

LONGEST = 8192  # characters

_SHAPE = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)
_API_KEY = re.compile(r"casare_[!-~]+")
_FOUND = "casare.query_tokens"  # where a scope holds what its query held


class CredentialsRefused(Exception):
    """Why credentials are refused, in words that only the log is told."""

    def __init__(self, reason: str, code: str = "UNAUTHENTICATED") -> None:
        super().__init__(reason)
        self.code = code


class QueryTokens:
    """ASGI middleware that takes tokens out of the query; comes before all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on without them."""
        if scope["type"] in {"http", "websocket"} and scope["query_string"]:
            kept, found = [], []
            for piece in scope["query_string"].split(b"&"):
                name, _, value = piece.partition(b"=")
                if _decoded(name) == "token":
                    found.append(_decoded(value))
                else:
                    kept.append(piece)
            if found:  # in the scope itself, which the server's own log lines are made of
                scope["query_string"] = b"&".join(kept)
                scope[_FOUND] = found
        await self._app(scope, receive, send)


def _decoded(text: bytes) -> str:
    return unquote_plus(text.decode("latin-1"))


def presented(scope: Scope) -> str | None:
    """The token or API key that a request comes with, or None; raises CredentialsRefused."""
    found = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            found.append(bearer(value.decode("latin-1")))
        elif name == b"x-api-key":
            key = value.decode("latin-1")
            if not _API_KEY.fullmatch(key):
                raise CredentialsRefused("X-API-Key holds no API key")
            found.append(key)
    queried: Sequence[str] = scope.get(_FOUND, ())
    if queried and _may_be_in_the_query(scope):
        found.extend(queried)
    if len(found) > 1:
        raise CredentialsRefused("several credentials at once")
    return found[0] if found else None


def bearer(header: str) -> str:
    """The credentials of an Authorization header, or of what is written as one; raises CredentialsRefused."""
    if len(header) > LONGEST:
        raise CredentialsRefused("longer than credentials are")
    shape = _SHAPE.fullmatch(header)
    if shape is None:
        raise CredentialsRefused("Authorization is not of the scheme Bearer")
    return shape[1]


def _may_be_in_the_query(scope: Scope) -> bool:
    """Whether it is one of those whom browsers let set no headers: a socket of the documents, or an EventSource."""
    if scope["path"].startswith("/ws/"):
        return True
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return scope["type"] == "http" and scope["method"] == "GET" and b"text/event-stream" in accept.lower()
