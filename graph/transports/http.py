"""GraphQL over HTTP, as its specification has it, and nothing that a browser form could send.

A request that is no GraphQL request gets a 4xx; one that is gets its answer as `application/graphql-response+json`,
or as `application/json` with status 200 where the client asks for that. Who has to log in, may not, or is too fast, is
told so by 401, 403 and 429 in either, since clients and proxies act on those without a look into the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from datasources.deadline import Deadline
from datasources.settings import Settings
from graph.context import ContextOf
from graph.engine.answers import Answer
from graph.engine.execution import Executor, MutationRefused, Refused
from graph.engine.requests import BadRequest, Request
from graph.operating.exchanges import exchange
from graph.transports.accepting import GRAPHQL, JSON, negotiated, prefers_html
from graph.transports.presence import GONE, ClientGone, while_there
from graph.transports.sse import StreamedAnswers, accepts_streams
from graph.transports.tags import is_known, tag_of

_BODY_TIMEOUT = 8.0  # seconds for a client to send its whole body
_STATUSES = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "INTROSPECTION_DISABLED": 403, "RATE_LIMITED": 429}
_OF_DOCUMENTS = frozenset({"query", "documentId", "extensions"})  # parameters, of which a page for people has none
_HANG_UP = {"Connection": "close"}  # what remains of a body is not read
_CONTENT_TYPES = {kind: (b"content-type", f"{kind}; charset=utf-8".encode()) for kind in (JSON, GRAPHQL)}
_VARY = (b"vary", b"Accept, Authorization, X-API-Key, Origin")  # the last as `Policies` has it: it need not change it
_NOT_KEPT = (b"cache-control", b"no-store")
_HEADS_KNOWN = 32  # values of a header whose meaning is remembered

Headers = list[tuple[bytes, bytes]]


class HttpError(Exception):
    """A request that is refused before GraphQL sees it."""

    def __init__(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}


class Written:
    """An answer whose head is bytes already, where a Response would encode the same ones each time."""

    def __init__(self, body: bytes, status: int, headers: Headers) -> None:
        self._body = body
        self._status = status
        self._headers = headers if status == 304 else [*headers, (b"content-length", b"%d" % len(body))]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


class GraphQLEndpoint:
    """`/graphql`: questions by GET and POST, reports by POST, GraphiQL for browsers."""

    def __init__(
        self,
        executor: Executor,
        context: ContextOf,
        streamed: StreamedAnswers,
        page: Callable[[], Response],
        settings: Settings,
    ) -> None:
        self._executor = executor
        self._context = context
        self._streamed = streamed
        self._page = page
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, of whatever method."""
        response = await self._handle(HttpRequest(scope, receive))
        await response(scope, receive, send)

    async def _handle(self, request: HttpRequest) -> ASGIApp:
        now = exchange()
        try:
            return await self._respond(request, now.id)
        except HttpError as error:
            now.codes.append(error.code)
            body = {"errors": [{"message": str(error), "extensions": {"code": error.code}}]}
            return Response(orjson.dumps(body), error.status, error.headers, media_type=JSON)

    async def _respond(self, request: HttpRequest, correlation_id: str) -> ASGIApp:
        accept = _header(request, b"accept") or "*/*"
        to_read = request.method in {"GET", "HEAD"}
        if to_read and _OF_DOCUMENTS.isdisjoint(request.query_params) and prefers_html(accept):
            return self._page()
        streamed = accepts_streams(accept)
        media_type = JSON if streamed and JSON not in accept and GRAPHQL not in accept else negotiated(accept)
        if media_type is None:
            raise HttpError(406, f"The answer can be {GRAPHQL} or {JSON}.", "NOT_ACCEPTABLE")
        if request.method == "POST":
            _check_content_type(_header(request, b"content-type") or "")
            asked = _read_request(_json(await self._body(request), "The body"))
        elif to_read:
            asked = _read_request(_query_parameters(request))
        else:
            raise HttpError(405, "Use GET or POST.", "METHOD_NOT_ALLOWED", {"Allow": "GET, HEAD, POST"})
        try:
            if streamed and (stream := await self._streamed.choose(asked, request, correlation_id)) is not None:
                return stream
            return self._written(await self._answer(asked, request, correlation_id), asked, request, media_type)
        except ClientGone:
            return Response(status_code=GONE)
        except Refused as refused:
            return self._written(refused.answer, asked, request, media_type)
        except MutationRefused:
            raise HttpError(
                405,
                "Only questions may be asked by GET; send this by POST.",
                "METHOD_NOT_ALLOWED",
                {"Allow": "POST"},
            ) from None

    async def _answer(self, asked: Request, request: HttpRequest, correlation_id: str) -> Answer:
        context = self._context(correlation_id, exchange().viewer)
        work = self._executor.answer(asked, context, only_questions=request.method != "POST")
        return await while_there(request.receive, work)

    def _written(self, answer: Answer, asked: Request, request: HttpRequest, media_type: str) -> ASGIApp:
        now = exchange()
        errors = answer.errors
        status = 200 if answer.executed or media_type == JSON else 400
        if not answer.executed:
            now.codes.extend(error["extensions"]["code"] for error in errors)
            status = _STATUSES.get(errors[0]["extensions"]["code"], status)
        body = answer.encoded
        timing = f'sql;desc="{now.statements.count} statements";dur={now.statements.seconds * 1000:.1f}'
        headers = [_CONTENT_TYPES[media_type], (b"server-timing", timing.encode()), _VARY]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if status == 429:
            headers.append((b"retry-after", str(errors[0]["extensions"]["retryAfter"]).encode()))
        if request.method == "POST" or errors or (asked.document_id is None and asked.sha256 is None):
            return Written(body, status, [*headers, _NOT_KEPT])
        tag = tag_of(body, media_type.encode())
        kept = f"private, max-age={self._settings.max_age_seconds}"
        headers += [(b"etag", tag.encode()), (b"cache-control", kept.encode())]
        if is_known(_header(request, b"if-none-match"), tag):
            return Written(b"", 304, headers)
        return Written(body, status, headers)

    async def _body(self, request: HttpRequest) -> bytes:
        most = self._settings.max_body_bytes
        if int(_header(request, b"content-length") or 0) > most:
            raise _too_large(most)
        chunks: list[bytes] = []
        size = 0
        try:
            with Deadline(_BODY_TIMEOUT):
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise HttpError(400, "The body did not arrive whole.", "BAD_REQUEST")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > most:
                        raise _too_large(most)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise HttpError(408, "The body did not arrive in time.", "REQUEST_TIMEOUT", _HANG_UP) from None
        return b"".join(chunks)


class Shortcut:
    """ASGI middleware that leads one path to its endpoint: the router would try all routes, and make exit stacks."""

    def __init__(self, app: ASGIApp, path: str, endpoint: ASGIApp) -> None:
        self._app = app
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        straight = scope["type"] == "http" and scope["path"] == self._path
        await (self._endpoint if straight else self._app)(scope, receive, send)


def _header(request: HttpRequest, name: bytes) -> str | None:
    """The first header of this name, without the object that `request.headers` makes of them all."""
    for key, value in request.scope["headers"]:
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return None


@lru_cache(maxsize=_HEADS_KNOWN)
def _check_content_type(content_type: str) -> None:
    """Refuse a body that is no JSON in UTF-8; raises HttpError."""
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() != JSON:
        message = f"Send {JSON}, not {kind.strip()[:60] or 'a body without Content-Type'}."
        raise HttpError(415, message, "UNSUPPORTED_MEDIA_TYPE")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in {"utf-8", "utf8"}:
        raise HttpError(415, "Send JSON in UTF-8.", "UNSUPPORTED_MEDIA_TYPE")


def _too_large(most: int) -> HttpError:
    return HttpError(413, f"The body is larger than {most} bytes.", "PAYLOAD_TOO_LARGE", _HANG_UP)


def _query_parameters(request: HttpRequest) -> dict[str, Any]:
    try:
        pairs = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise HttpError(400, "The query string is not UTF-8.", "BAD_REQUEST") from error
    parameters: dict[str, Any] = dict(pairs)
    for name in ("variables", "extensions"):
        if parameters.get(name):
            parameters[name] = _json(parameters[name].encode(), name)
        else:
            parameters.pop(name, None)
    return parameters


def _json(text: bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, f"{what} is not JSON: {error}.", "BAD_REQUEST") from error


def _read_request(body: Any) -> Request:
    try:
        if isinstance(body, dict) and body.get("query") == "":
            body = {**body, "query": None}  # forms and links send what is not there as nothing
        return Request.read(body)
    except BadRequest as error:
        raise HttpError(400, f"{error}", "BAD_REQUEST") from None
