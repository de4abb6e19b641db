"""What browsers are told of every answer: to believe its type, and of pages what they may load and who sees them.

A page that brings no policy of its own may load nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HTML = "text/html"
_OF_PAGES = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
_HSTS = "max-age=31536000"


def content_security_policy(directives: Mapping[str, Sequence[str]]) -> str:
    """The policy of a page that may do no more than this."""
    closed = {"default-src": ("'none'",), "base-uri": ("'none'",), "form-action": ("'none'",)}
    all_of_it = {**closed, **directives, "frame-ancestors": ("'none'",)}
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in all_of_it.items())


class Policies:
    """ASGI middleware that adds what an answer does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def saying(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(MutableHeaders(scope=message), encrypted=scope["scheme"] == "https")
            await send(message)

        await self._app(scope, receive, saying)


def _add(headers: MutableHeaders, *, encrypted: bool) -> None:
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if encrypted:
        headers.setdefault("Strict-Transport-Security", _HSTS)
    if headers.get("content-type", "").startswith(_HTML):
        for name, value in _OF_PAGES.items():
            headers.setdefault(name, value)
