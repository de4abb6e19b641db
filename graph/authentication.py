"""Authentication: credentials become a viewer, in this one place whatever they came by.

Whoever is refused hears one sentence and nothing that helps to guess better; why stands in the log and in the audit.
"""

from __future__ import annotations

from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from datasources.settings import Settings
from graph.exchanges import exchange
from graph.signatures import ConfiguredKey, VerificationKeys, public_key, shared_secret
from graph.tokens import Refused, Tokens
from graph.viewer import ANYBODY, NOBODY, Viewer

_LONGEST = 8192  # bytes of credentials


class AuthenticationFailed(Exception):
    """Credentials that are refused; says nothing that helps to guess better ones."""

    def __init__(self, code: str = "UNAUTHENTICATED") -> None:
        super().__init__("These credentials have expired." if code == "TOKEN_EXPIRED" else "Who you are is not known.")
        self.code = code


class Note(Protocol):
    """Where the audit is told; never waits."""

    def __call__(
        self,
        kind: str,
        *,
        code: str | None = None,
        viewer: str | None = None,
        address: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Take note of something."""


def unheard(kind: str, **_: str | None) -> None:
    """A Note of an application without an audit."""


class Authenticator:
    """Knows who shows up with which credentials; an open one takes everybody as they come."""

    def __init__(self, settings: Settings, note: Note = unheard) -> None:
        self._open = settings.open
        self._note = note
        keys = _verification_keys(settings)
        self._tokens = None if keys is None else Tokens(keys, settings.jwt_audience, settings.jwt_issuer)

    async def viewer(self, credentials: str | None, address: str | None = None) -> Viewer:
        """Who bears a token or an API key, bare or as `Bearer ...`, nobody without; raises AuthenticationFailed."""
        if self._open:
            return ANYBODY
        if credentials is None:
            return NOBODY
        try:
            return await self._known(credentials)
        except Refused as refused:
            raise self.refusal(str(refused), address, refused.code) from refused

    async def _known(self, credentials: str) -> Viewer:
        if len(credentials) > _LONGEST:
            raise Refused("longer than credentials are")
        if " " in credentials:
            credentials = bearer(credentials)
        if self._tokens is None:
            raise Refused("there is no key that tokens could be signed with")
        return await self._tokens.viewer(credentials)

    def refusal(self, reason: str, address: str | None, code: str = "UNAUTHENTICATED") -> AuthenticationFailed:
        """What to raise where credentials are refused, counted and noted."""
        exchange().codes.append(code)
        self._note("authentication_failed", code=code, address=address, detail=reason)
        return AuthenticationFailed(code)


def bearer(header: str) -> str:
    """The credentials of an Authorization header, or of what looks like one; raises Refused."""
    scheme, _, credentials = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not credentials.strip():
        raise Refused("not a Bearer")
    return credentials.strip()


def _verification_keys(settings: Settings) -> VerificationKeys | None:
    if settings.jwt_secret is not None:
        return ConfiguredKey(shared_secret(settings.jwt_secret.get_secret_value()))
    if settings.jwt_public_key is not None:
        return ConfiguredKey(public_key(settings.jwt_public_key))
    return None


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
