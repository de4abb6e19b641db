"""What browsers are told of every answer: to believe its type, to keep it for pages of one origin, and of pages what
they may load and who sees them.

A page that brings no policy of its own may load nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HTML = b"text/html"
_OF_PAGES = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-cache"),
)
_SNIFF = (b"x-content-type-options", b"nosniff")
_VARY, _ORIGIN = b"vary", b"Origin"  # caches keep what pages of one origin may read apart from that of another
_HSTS = (b"strict-transport-security", b"max-age=31536000")


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
                message["headers"] = _completed(message.get("headers", ()), encrypted=scope["scheme"] == "https")
            await send(message)

        await self._app(scope, receive, saying)


def _completed(headers: Sequence[tuple[bytes, bytes]], *, encrypted: bool) -> list[tuple[bytes, bytes]]:
    said = dict(headers)
    added = [_SNIFF, _HSTS] if encrypted else [_SNIFF]
    if said.get(b"content-type", b"").startswith(_HTML):
        added += _OF_PAGES
    vary = said.get(_VARY)
    if vary is None:
        added.append((_VARY, _ORIGIN))
    elif _ORIGIN not in vary:
        headers = [header if header[0] != _VARY else (_VARY, b"%s, %s" % (header[1], _ORIGIN)) for header in headers]
    return [*headers, *(header for header in added if header[0] not in said)]
