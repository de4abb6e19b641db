"""Authentication: credentials become a viewer, in this one place whatever they came by."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from graph.exchanges import exchange
from graph.viewer import ANYBODY, Viewer


class AuthenticationFailed(Exception):
    """Credentials that are refused; says nothing that helps to guess better ones."""

    def __init__(self, message: str, code: str = "UNAUTHENTICATED") -> None:
        super().__init__(message)
        self.code = code


class Authenticator:
    """Knows who shows up with which credentials; an open one takes everybody as they come."""

    async def viewer(self, credentials: str | None) -> Viewer:
        """Who that is, anonymous without credentials; raises AuthenticationFailed."""
        return ANYBODY


class Authentication:
    """ASGI middleware: finds out who asks before anything else looks at the request."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be, with its viewer noted in the exchange."""
        if scope["type"] in {"http", "websocket"}:
            exchange().viewer = await self._authenticator.viewer(None)
        await self._app(scope, receive, send)
