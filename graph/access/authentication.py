"""Authentication: credentials become a viewer, in this one place whatever they came by.

Whoever is refused hears one sentence and nothing that helps to guess better; why stands in the log and in the audit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from datasources.audit import AuditKind
from datasources.postgres import UpstreamError
from datasources.settings import Settings
from graph.access.credentials import LONGEST, CredentialsRefused, bearer, presented
from graph.access.expiry import FORBIDDEN
from graph.access.jwks import PublishedKeys
from graph.access.keys import PREFIX, Keys
from graph.access.signatures import ConfiguredKey, VerificationKeys, public_key, shared_secret
from graph.access.tokens import Tokens
from graph.operating.exchanges import exchange
from graph.viewer import ANYBODY, NOBODY, Viewer

_TRY_AGAIN_LATER = 1013
_RETRY_AFTER = "2"  # seconds

_GUARDED = re.compile(r"/(graphql/?$|(api|ws|metrics|docs|redoc|openapi\.json)(/|$))")
_HEALTH = "/health"  # tells more to those it knows, and turns nobody away


class AuthenticationFailed(Exception):
    """Credentials that are refused; says nothing that helps to guess better ones."""

    def __init__(self, message: str, code: str = "UNAUTHENTICATED") -> None:
        super().__init__(message)
        self.code = code


class Note(Protocol):
    """Where the audit is told; never waits."""

    def __call__(
        self,
        kind: AuditKind,
        *,
        code: str | None = None,
        viewer: str | None = None,
        address: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Take note of something."""


class Authenticator:
    """Knows who shows up with which credentials; an open one takes everybody as they come."""

    def __init__(self, settings: Settings, keys: Keys, note: Note) -> None:
        self.open = settings.open
        self._keys = keys
        self._note = note
        self._signed_by = verification_keys(settings)
        self._tokens = None
        if self._signed_by is not None:
            self._tokens = Tokens(self._signed_by, settings.jwt_audience, settings.jwt_issuer)

    async def viewer(self, credentials: str | None, address: str | None = None) -> Viewer:
        """Who bears a token or an API key, bare or as `Bearer ...`, nobody without; raises AuthenticationFailed."""
        if self.open:
            return ANYBODY
        if credentials is None:
            return NOBODY
        try:
            return await self._bearer(bearer(credentials) if " " in credentials else credentials)
        except CredentialsRefused as refused:
            raise self.refusal(refused, address) from refused

    async def viewer_of(self, scope: Scope) -> Viewer:
        """Who sent a request; raises AuthenticationFailed."""
        if self.open:
            return ANYBODY
        address = exchange().address
        try:
            credentials = presented(scope)
        except CredentialsRefused as refused:
            raise self.refusal(refused, address) from refused
        return await self.viewer(credentials, address)

    async def visitor_of(self, scope: Scope) -> Viewer:
        """Who sent a request that is answered whoever they are: bad credentials are none."""
        if self.open:
            return ANYBODY
        try:
            credentials = presented(scope)
            return NOBODY if credentials is None else await self._bearer(credentials)
        except (CredentialsRefused, UpstreamError):
            return NOBODY

    async def close(self) -> None:
        """Fetch no keys any more, and write down which were used."""
        await self._keys.close()
        if self._signed_by is not None:
            await self._signed_by.close()

    async def _bearer(self, credentials: str) -> Viewer:
        if len(credentials) > LONGEST:
            raise CredentialsRefused("longer than credentials are")
        if credentials.startswith(PREFIX):
            viewer, news = await self._keys.viewer(credentials)
            if news:
                self._note(AuditKind.KEY_USED, viewer=viewer.name)
            return viewer
        if self._tokens is None:
            raise CredentialsRefused("there is no key that tokens could be signed with")
        return await self._tokens.viewer(credentials)

    def refusal(self, refused: CredentialsRefused, address: str | None) -> AuthenticationFailed:
        """What to raise where credentials are refused; the exchange counts it, its line in the log says why."""
        now = exchange()
        now.codes.append(refused.code)
        now.reason = str(refused)
        self._note(AuditKind.AUTHENTICATION_FAILED, code=refused.code, address=address, detail=str(refused))
        if refused.code == "TOKEN_EXPIRED":
            return AuthenticationFailed("These credentials have expired: bring new ones.", refused.code)
        return AuthenticationFailed("These credentials are not valid.")


def verification_keys(settings: Settings) -> VerificationKeys | None:
    """The keys that tokens are signed with, or None without any; raises ValueError for what is no key."""
    if settings.jwt_secret is not None:
        return ConfiguredKey(shared_secret(settings.jwt_secret.get_secret_value()))
    if settings.jwt_public_key is not None:
        return ConfiguredKey(public_key(settings.jwt_public_key))
    return None if settings.jwks_url is None else PublishedKeys(settings.jwks_url)


class Authentication:
    """ASGI middleware: finds out who asks before anything else looks at the request."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be, with its viewer noted in the exchange."""
        if scope["type"] in {"http", "websocket"}:
            try:
                exchange().viewer = await self._viewer(scope)
            except AuthenticationFailed as failed:
                await _refuse(failed, scope, receive, send)
                return
            except UpstreamError:
                await _put_off(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _viewer(self, scope: Scope) -> Viewer:
        if _GUARDED.match(scope["path"]):
            return await self._authenticator.viewer_of(scope)
        if scope["path"] == _HEALTH:
            return await self._authenticator.visitor_of(scope)
        return ANYBODY if self._authenticator.open else NOBODY


async def _refuse(failed: AuthenticationFailed, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        reason = "token expired" if failed.code == "TOKEN_EXPIRED" else "Forbidden"
        await _close(FORBIDDEN, reason, scope, receive, send)
        return
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    await _problem(401, "Unauthorized", str(failed), failed.code, headers, scope)(scope, receive, send)


async def _put_off(scope: Scope, receive: Receive, send: Send) -> None:
    """Say that nobody can be told apart just now, because the database is away."""
    code = "UPSTREAM_UNAVAILABLE"
    exchange().codes.append(code)
    if scope["type"] == "websocket":
        await _close(_TRY_AGAIN_LATER, "Try again later", scope, receive, send)
        return
    said, headers = "The database cannot be reached right now. Try again in a moment.", {"Retry-After": _RETRY_AFTER}
    await _problem(503, "Service Unavailable", said, code, headers, scope)(scope, receive, send)


async def _close(code: int, reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Close a socket that was opened, as browsers tell their pages no code of one that was not."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    await send({"type": "websocket.close", "code": code, "reason": reason})


def _problem(status: int, title: str, said: str, code: str, headers: Mapping[str, str], scope: Scope) -> Response:
    if scope["path"].startswith("/graphql"):
        media_type = "application/json"
        body: dict[str, object] = {"errors": [{"message": said, "extensions": {"code": code}}]}
    else:
        media_type = "application/problem+json"
        body = {"type": "about:blank", "title": title, "status": status, "detail": said, "code": code}
        body["correlation_id"] = exchange().id
    return Response(orjson.dumps(body), status, {**headers, "Cache-Control": "no-store"}, media_type=media_type)
