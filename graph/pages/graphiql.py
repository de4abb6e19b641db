"""GraphiQL and the pages about REST from our own origin: they load nothing from elsewhere, their assets are named by
their content.

`clients/graphiql` is its source, `make` builds it, the wheel carries it; without it the graph still answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from datasources.settings import Settings
from graph.pages.policy import content_security_policy

ASSETS = Path(__file__).parent / "graphiql_assets"

_LOADS = {
    "script-src": ("'self'",),
    "style-src": ("'self'",),
    "worker-src": ("'self'",),
    "font-src": ("'self'", "data:"),
    "img-src": ("'self'", "data:"),
    "connect-src": ("'self'",),
}
_STRICT = content_security_policy(_LOADS)
# Monaco writes the styles of its themes into the page, and their text depends on what is shown: it has no hash. Redoc
# does the same. Scripts are never inline, so that a style could at most be ugly.
_STYLED = content_security_policy({**_LOADS, "style-src": ("'self'", "'unsafe-inline'")})
_POLICIES = {"index.html": _STYLED, "redoc.html": _STYLED}


def page(assets: Path = ASSETS, name: str = "index.html") -> Response:
    """The HTML of GraphiQL or of another page, or 503 in plain words where it is not built."""
    headers = {"Content-Security-Policy": _POLICIES.get(name, _STRICT), "Cache-Control": "no-cache", "Vary": "Accept"}
    try:
        return HTMLResponse((assets / name).read_bytes(), headers=headers)
    except FileNotFoundError:
        return PlainTextResponse(
            "This page is not built: run `make graphiql`. What it is about works without it.\n",
            status_code=503,
            headers={**headers, "Cache-Control": "no-store"},
        )


def page_for(settings: Settings) -> Callable[[], Response]:
    """GraphiQL, unless nobody may look at the schema.

    A browser brings no token when it asks for a page: the page tells nothing, but how to bring one.
    """
    return _no_page if settings.introspection == "none" else page


def _no_page() -> Response:
    return PlainTextResponse("There is no GraphiQL here. POST your query to this address.\n", status_code=404)


def asset_route(assets: Path = ASSETS) -> Mount:
    """The route of the files that the page loads; to come before the one of /graphql itself."""
    files = _HashedFiles(directory=assets / "assets", check_dir=False)
    return Mount("/graphql/assets", app=files, name="graphiql_assets")


class _HashedFiles(StaticFiles):
    """Files whose names change with their content, so that a browser never has to ask again."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
