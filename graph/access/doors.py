"""Pages that are not for everybody: who may not see one is told whether a token would help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response

from graph.operating.exchanges import exchange
from graph.viewer import Role, Viewer

Show = Callable[[Request], Awaitable[Response]]

_WHO = "Say who you are: send a token as `Authorization: Bearer ...`, or an API key as `X-API-Key`."
_NOT_YOU = "This is not for you: it needs the role viewer, and may need it in all environments."


def door(show: Show, may: Callable[[Viewer], bool]) -> Show:
    """The page for those who may see it, 401 or 403 for all others."""

    async def answer(request: Request) -> Response:
        now = exchange()
        if may(now.viewer):
            return await show(request)
        status, title, said, code = (
            (403, "Forbidden", _NOT_YOU, "FORBIDDEN")
            if now.viewer.known
            else (401, "Unauthorized", _WHO, "UNAUTHENTICATED")
        )
        now.codes.append(code)
        headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
        body = {"type": "about:blank", "title": title, "status": status, "detail": said, "code": code}
        told = orjson.dumps({**body, "correlation_id": now.id})
        return Response(told, status, headers, media_type="application/problem+json")

    return answer


def sees_all(viewer: Viewer) -> bool:
    """Whether they may see whatever there is to see of the fleet."""
    return viewer.may(Role.VIEWER) and viewer.scope.environments is None


def sees_something(viewer: Viewer) -> bool:
    """Whether they are somebody: known, or anybody on a server that is open to everybody."""
    return viewer.known or viewer.may(Role.VIEWER)
