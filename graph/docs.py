"""The pages about the REST paths: `/docs` and `/redoc`, of scripts of our own origin, over `/openapi.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graph.graphiql import page


def docs_routes(document: Mapping[str, Any]) -> list[Route]:
    """The routes of the OpenAPI document and of the pages that show it."""

    async def openapi_json(request: Request) -> Response:
        servers = [{"url": request.scope.get("root_path") or "/"}]
        body = orjson.dumps({**document, "servers": servers}, option=orjson.OPT_INDENT_2)
        return Response(body, headers={"Cache-Control": "no-cache"}, media_type="application/json")

    async def docs(_request: Request) -> Response:
        return page(name="docs.html")

    async def redoc(_request: Request) -> Response:
        return page(name="redoc.html")

    return [Route("/openapi.json", openapi_json), Route("/docs", docs), Route("/redoc", redoc)]
