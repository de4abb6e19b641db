"""The REST paths of the documents under `/api/v1`. No logic is here: a path runs its stored operation of rest.graphql.

A list longer than a page of the graph is read page by page, each behind the cursor of the one before. Numbers are those
of the graph, unrounded, and null where nothing happened. Errors are problems (RFC 9457).
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from datasources.settings import Settings
from graph.context import ContextOf
from graph.engine.answers import encode
from graph.engine.execution import Executor
from graph.engine.requests import Request
from graph.limits.pace import Allowance, Pace, RateLimited, Standing, payer
from graph.operating.exchanges import Exchange, exchange
from graph.transports.presence import GONE, ClientGone, while_there
from graph.transports.resources import RESOURCES, BadParameter, Parameter, Resource
from graph.transports.tags import is_known, tag_of
from graph.types.paging import MOST

_log = logging.getLogger("graph")

ROOT = "/api/v1"
DOCUMENT = (Path(__file__).parent / "rest.graphql").read_text(encoding="utf-8")

RETRY_AFTER = 2  # seconds
_STATUSES = {
    "BAD_USER_INPUT": 422,
    "BAD_CURSOR": 422,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "UPSTREAM_UNAVAILABLE": 503,
    "UPSTREAM_TIMEOUT": 504,
}
_CURSOR_CODES = {"BAD_USER_INPUT", "BAD_CURSOR"}  # every other parameter has been read before
_WORDS = ("status", "type")  # enums, which the documents say in lower case
_METHODS = "GET, HEAD"


class Problem(Exception):
    """What a request is answered with instead of what it asked for."""

    def __init__(self, status: int, detail: str, code: str, headers: Mapping[str, str] | None = None, **more: str):
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.more = more


@dataclass(slots=True)
class _Found:
    """The JSON of an answer, and the headers that belong to it."""

    body: Any
    headers: dict[str, str] = field(default_factory=dict)


def rest_routes(executor: Executor, context: ContextOf, pace: Pace, settings: Settings) -> list[Route]:
    """The routes of the REST paths, and of all others under their root, where nothing is."""
    paths: list[tuple[str, Resource | None]] = [(_any_id(resource.path), resource) for resource in RESOURCES]
    return [
        _route(ROOT + path, RestEndpoint(resource, executor, context, pace, settings))
        for path, resource in [*paths, ("/{rest:path}", None)]
    ]


def _route(path: str, endpoint: RestEndpoint) -> Route:
    """A route whose ids may hold line breaks, too."""
    route = Route(path, endpoint)
    route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
    return route


def _any_id(path: str) -> str:
    """The path with ids that may hold a slash."""
    return path.replace("}", ":path}")


class RestEndpoint:
    """One path; with no resource, one where nothing is."""

    def __init__(
        self,
        resource: Resource | None,
        executor: Executor,
        context: ContextOf,
        pace: Pace,
        settings: Settings,
    ) -> None:
        self._resource = resource
        self._allowance = None if resource is None else _allowance(resource)
        self._pace = pace
        self._executor = executor
        self._context = context
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, of whatever method."""
        request, now = HttpRequest(scope, receive), exchange()
        try:
            response = await self._respond(request, now)
        except BadParameter as error:
            response = _problem(Problem(422, str(error), "BAD_USER_INPUT", parameter=error.parameter), now)
        except ClientGone:
            response = Response(status_code=GONE)
        except Problem as problem:
            response = _problem(problem, now)
        except Exception:  # noqa: BLE001  # whatever it is, it has an answer that says so; it is logged
            _log.exception("%s: %s", now.id, self._resource)
            message = "Something went wrong here. It has been logged under the correlation id."
            response = _problem(Problem(500, message, "INTERNAL_SERVER_ERROR"), now)
        if (
            self._allowance is not None
            and (standing := self._pace.known(payer(now.viewer), self._allowance)) is not None
        ):
            response.headers.update(_rate_limit(standing))
        await response(scope, receive, send)

    async def _respond(self, request: HttpRequest, now: Exchange) -> Response:
        if self._resource is None or self._allowance is None:
            raise Problem(404, "There is nothing at this path.", "NOT_FOUND")
        if request.method not in {"GET", "HEAD"}:
            raise Problem(405, f"Use {_METHODS}.", "METHOD_NOT_ALLOWED", {"Allow": _METHODS})
        try:
            await self._pace.spend(payer(now.viewer), 1, self._allowance)
        except RateLimited as error:
            raise Problem(429, str(error), error.code, {"Retry-After": str(error.retry_after)}) from None
        values = _values(self._resource, request)
        try:
            async with asyncio.timeout(self._settings.operation_timeout_seconds):
                found = await while_there(request.receive, self._find(self._resource, values, request, now.id))
        except TimeoutError:
            raise Problem(504, "This took longer than it may. Ask for less at once.", "UPSTREAM_TIMEOUT") from None
        return _answered(found, now, request)

    async def _find(
        self, resource: Resource, values: dict[str, Any], request: HttpRequest, correlation_id: str
    ) -> _Found:
        if resource.most is not None:
            return await self._list(resource, values, request, correlation_id)
        one = (await self._run(resource, values, correlation_id))["one"]
        if one is None:
            [named] = values.values()
            raise Problem(404, f"There is no {resource.item} {named!r:.100}.", "NOT_FOUND")
        return _Found(_in_lower_case(one))

    async def _list(
        self, resource: Resource, values: dict[str, Any], request: HttpRequest, correlation_id: str
    ) -> _Found:
        wanted = values.pop("limit", resource.most)
        counted = values.pop("count", False)
        variables = {**values, "count": counted or resource.envelope is not None}
        items: list[Any] = []
        total: int | None = None
        goes_on = True
        while goes_on and len(items) < wanted:
            variables["first"] = min(MOST, wanted - len(items))
            page = (await self._run(resource, variables, correlation_id))["page"]
            items += page["nodes"]
            total = page.get("totalCount", total)
            goes_on = page["pageInfo"]["hasNextPage"]
            variables |= {"after": page["pageInfo"]["endCursor"], "count": False}
        found = _Found(_in_lower_case(items))
        if resource.envelope is not None:
            found.body = dict(zip(resource.envelope, (found.body, total), strict=True))
        if counted:
            found.headers["X-Total-Count"] = str(total)
        if goes_on:
            found.headers["Link"] = _link(request, variables["after"])
        return found

    async def _run(self, resource: Resource, variables: Mapping[str, Any], correlation_id: str) -> dict[str, Any]:
        asked = Request(DOCUMENT, variables, resource.operation)
        body = (await self._executor.answer(asked, self._context(correlation_id, exchange().viewer))).body
        if "errors" not in body:
            data: dict[str, Any] = body["data"]
            return data
        error = body["errors"][0]
        code = error["extensions"]["code"]
        status = _STATUSES.get(code, 500)
        headers = {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        elif status in {429, 503}:
            headers["Retry-After"] = str(error["extensions"].get("retryAfter", RETRY_AFTER))
        more = {"parameter": "after"} if code in _CURSOR_CODES else {}
        raise Problem(status, error["message"], code, headers, **more)


def _values(resource: Resource, request: HttpRequest) -> dict[str, Any]:
    """The values of the variables; raises BadParameter where one makes no sense."""
    query = parse_qs(request.url.query, keep_blank_values=True, errors="replace")

    def given(parameter: Parameter) -> list[str]:
        return [request.path_params[parameter.name]] if parameter.in_path else query.get(parameter.name, [])

    return {parameter.name: parameter.value(given(parameter)) for parameter in resource.parameters}


def _allowance(resource: Resource) -> Allowance:
    often = f"This path answers each caller {resource.per_minute} times a minute, and has."
    return Allowance(resource.path, resource.per_minute, often)


def _rate_limit(standing: Standing) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(standing.limit),
        "RateLimit-Remaining": str(standing.remaining),
        "RateLimit-Reset": str(math.ceil(standing.reset)),
    }


def _link(request: HttpRequest, after: str) -> str:
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return f'<{request.url.path}?{urlencode([*parameters, ("after", after)])}>; rel="next"'


def _in_lower_case(found: Any) -> Any:
    """The same with its enums in the documents' words."""
    if isinstance(found, list):
        return [_in_lower_case(item) for item in found]
    if isinstance(found, dict):
        words = {name: found[name].lower() for name in _WORDS if isinstance(found.get(name), str)}
        return {name: _in_lower_case(value) for name, value in found.items()} | words
    return found


def _answered(found: _Found, now: Exchange, request: HttpRequest) -> Response:
    body = encode(found.body)
    timing = f'sql;desc="{now.statements.count} statements";dur={now.statements.seconds * 1000:.1f}'
    tag = tag_of(body, orjson.dumps(found.headers))
    headers = {**found.headers, "ETag": tag, "Cache-Control": "private, no-cache", "Server-Timing": timing}
    if is_known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _problem(problem: Problem, now: Exchange) -> Response:
    if problem.code not in now.failures:
        now.codes.append(problem.code)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": str(problem),
        "code": problem.code,
        "correlation_id": now.id,
        **problem.more,
    }
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(orjson.dumps(body), problem.status, headers, media_type="application/problem+json")
