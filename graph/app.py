"""Where the parts meet: the database, the schema and the routes become one application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute

from datasources.postgres import Database
from datasources.settings import Settings
from graph.context import Context
from graph.execution import Executor
from graph.graphiql import asset_route, page
from graph.health import Health
from graph.http import GraphQLEndpoint
from graph.legacy import legacy_routes
from graph.operations import Operations
from graph.outbox import Traffic
from graph.rest import rest_routes
from graph.schema import build_schema, core
from graph.sse import StreamedAnswers
from graph.streaming import Streams
from graph.websocket import GraphQLSocket
from subscriptions.live import Live


def create_app(settings: Settings, dsn: str) -> FastAPI:
    """The application over the database at the DSN."""
    database = Database(dsn, settings)
    live = Live(database, dsn, settings)
    executor = Executor(core(build_schema()), settings)
    streams = Streams(executor, live)
    traffic = Traffic()

    def context(correlation_id: str) -> Context:
        return Context(database, settings, correlation_id)

    operations = Operations(executor, streams, context)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        await live.start()
        try:
            yield
        finally:
            await streams.close()
            await live.stop()
            await database.close()

    app = FastAPI(
        title="CasareRPA monitoring graph",
        version=version("casare-monitor"),
        lifespan=lifespan,
        openapi_url=None,
    )
    app.state.traffic = traffic
    endpoint = GraphQLEndpoint(executor, context, StreamedAnswers(operations, traffic), page, settings)
    app.routes.append(asset_route())
    app.routes.append(Route("/graphql", endpoint))
    app.routes.append(WebSocketRoute("/graphql", GraphQLSocket(operations, traffic)))
    app.routes.extend(legacy_routes(operations, traffic))
    app.routes.extend(rest_routes(executor, context, settings))
    app.routes.append(Route("/health", Health(database).show))
    app.routes.append(Route("/", _to_graphiql))
    return app


async def _to_graphiql(_request: Request) -> Response:
    return RedirectResponse("graphql")


def from_environment() -> FastAPI:
    """The application of a server process: everything it needs stands in its environment."""
    settings = Settings()
    dsn = settings.dsn()
    if dsn is None:
        raise RuntimeError("no DATABASE_URL: start the server with `casare-monitor serve`")
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    return create_app(settings, dsn)
