"""Whom requests are meant for: an open server answers to the names of its own machine, and to those it was given.

Any site can have its name lead to 127.0.0.1, and what a browser then sends here is of that site's own origin, so that
no rule for other origins holds. Where nobody has to bring a token, the name is all that tells such a request.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.operating.exchanges import exchange

_REMEMBERED, _LONGEST = 100, 300  # of the names that are ours; characters

_CODE = "HOST_NOT_ALLOWED"
_SAID = "This server is open to its own machine only: call it localhost, or add the name to CASARE_ALLOWED_HOSTS."


class Hosts:
    """ASGI middleware: refuses requests and sockets that are meant for somebody else."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)
        self._met: set[bytes] = set()  # that are ours, as they were written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is meant for us."""
        if scope["type"] not in {"http", "websocket"} or self._ours(scope):
            await self._app(scope, receive, send)
            return
        exchange().codes.append(_CODE)
        body = {"errors": [{"message": _SAID, "extensions": {"code": _CODE}}]}
        response = Response(orjson.dumps(body), 421, {"Cache-Control": "no-store"}, media_type="application/json")
        await response(scope, receive, send)

    def _ours(self, scope: Scope) -> bool:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and (hosts[0] in self._met or self._meet(hosts[0]))

    def _meet(self, host: bytes) -> bool:
        name = _name(host.decode("latin-1").lower())
        ours = name in self._allowed or is_loopback(name)
        if ours and len(self._met) < _REMEMBERED and len(host) < _LONGEST:
            self._met.add(host)
        return ours


def is_loopback(host: str) -> bool:
    """Whether a name or an address leads nowhere but to the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name(host: str) -> str:
    """The name in `name:port`; nothing where it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "@" not in host else ""
    except ValueError:
        return ""
