"""Who speaks on a socket: found out at its first message, renewed by a ping, over when the credentials are.

Credentials come in the payload of `connection_init` as `authToken`, `Authorization: "Bearer ..."` or `X-API-Key`, or
with the request that opened the socket; where they come both ways they have to name the same viewer.

Before a token expires, a client may say `{"type": "ping", "payload": {"type": "renew", "authToken": "..."}}`, pings
being the one message of the protocol that a client may send at any time with a payload of its own. The pong tells
`{"type": "renew", "renewed": true, "expiresAt": "..."}`, or `"renewed": false` with a `code` and a `message`, after
which everything is as before (but who is refused too often is sent away). What runs goes on as it began: therefore
the token has to be of the same viewer, and one that allows less closes the socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from datasources.postgres import UpstreamError
from graph.access.authentication import AuthenticationFailed, Authenticator
from graph.access.credentials import CredentialsRefused
from graph.access.expiry import End, Expiry
from graph.operating.exchanges import exchange
from graph.viewer import NOBODY, Viewer

_RENEW = "renew"
_CREDENTIALS = frozenset({"authtoken", "authorization", "x-api-key"})
_MOST_REFUSALS = 10  # of renewals


class ScopeChanged(Exception):
    """Somebody renews what they may to less than what already runs."""


class Speaker:
    """The viewer of one socket; `over` is called when their credentials are over."""

    def __init__(self, authenticator: Authenticator, address: str | None, over: Callable[[End], None]) -> None:
        self._authenticator = authenticator
        self._address = address
        self._expiry = Expiry(over)
        self._refusals = 0
        self.viewer = exchange().viewer

    async def introduce(self, payload: Mapping[str, Any]) -> None:
        """Take what `connection_init` says; raises AuthenticationFailed."""
        opened_by = self.viewer
        viewer = await self._viewer(payload) or opened_by
        if opened_by.known and _rights(opened_by) != _rights(viewer):
            raise self._refusal("the request that opened the socket came with other credentials")
        if viewer == NOBODY:
            raise self._refusal("there are no credentials")
        self._meet(viewer)

    async def renew(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Take a newer token; gives what to tell the client. Raises ScopeChanged, in the end AuthenticationFailed."""
        try:
            viewer = await self._viewer(payload)
            if viewer is None or (viewer.name, viewer.known) != (self.viewer.name, self.viewer.known):
                raise self._refusal("this renews nothing of whom the socket belongs to")
        except AuthenticationFailed as failed:
            self._refusals += 1
            if self._refusals > _MOST_REFUSALS:
                raise
            return _not_renewed(failed.code, str(failed))
        except UpstreamError as error:
            return _not_renewed("UPSTREAM_UNAVAILABLE", str(error))
        if not _includes(viewer, self.viewer):
            raise ScopeChanged
        self._meet(viewer)
        return {"type": _RENEW, "renewed": True, "expiresAt": _written(viewer.expires_at)}

    def leave(self) -> None:
        """Nobody speaks any more."""
        self._expiry.stop()

    async def _viewer(self, payload: Mapping[str, Any]) -> Viewer | None:
        found = [value for name, value in payload.items() if name.lower() in _CREDENTIALS and value is not None]
        if not found:
            return None
        token = found[0]
        if len(found) > 1 or not isinstance(token, str):
            raise self._refusal("several credentials, or none that are text")
        return await self._authenticator.viewer(token, self._address)

    def _refusal(self, reason: str) -> AuthenticationFailed:
        return self._authenticator.refusal(CredentialsRefused(reason), self._address)

    def _meet(self, viewer: Viewer) -> None:
        self.viewer = exchange().viewer = viewer
        self._expiry.watch(viewer)


def renews(payload: Mapping[str, Any] | None) -> bool:
    """Whether a ping is meant to renew a token."""
    return payload is not None and payload.get("type") == _RENEW


def _not_renewed(code: str, message: str) -> dict[str, Any]:
    return {"type": _RENEW, "renewed": False, "code": code, "message": message}


def _rights(viewer: Viewer) -> object:
    return viewer.name, viewer.roles, viewer.scope


def _includes(newer: Viewer, older: Viewer) -> bool:
    """Whether the newer may whatever the older may."""
    seen = newer.scope.environments
    wide_enough = seen is None or (older.scope.environments is not None and older.scope.environments <= seen)
    return wide_enough and all(newer.may(role) for role in older.roles)


def _written(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
