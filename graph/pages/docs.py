"""The pages about the REST paths: `/docs` and `/redoc`, of scripts of our own origin, over `/openapi.json`.

They tell what introspection tells, so that the setting `introspection` says who may see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graph.access.doors import door, sees_something
from graph.pages.graphiql import page

Introspection = Literal["all", "known", "none"]


def docs_routes(document: Mapping[str, Any], introspection: Introspection) -> list[Route]:
    """The routes of the OpenAPI document and of the pages that show it."""

    async def openapi_json(request: Request) -> Response:
        servers = [{"url": request.scope.get("root_path") or "/"}]
        body = orjson.dumps({**document, "servers": servers}, option=orjson.OPT_INDENT_2)
        return Response(body, headers={"Cache-Control": "no-cache"}, media_type="application/json")

    async def docs(_request: Request) -> Response:
        return page(name="docs.html")

    async def redoc(_request: Request) -> Response:
        return page(name="redoc.html")

    if introspection == "none":
        return []
    pages = {"/openapi.json": openapi_json, "/docs": docs, "/redoc": redoc}
    everybody = introspection == "all"
    return [Route(path, show if everybody else door(show, sees_something)) for path, show in pages.items()]
