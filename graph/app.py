"""Where the parts meet: the database, the schema and the routes become one application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from datasources.postgres import Database
from datasources.settings import Settings
from graph.authentication import Authentication, Authenticator
from graph.browser import Origins, SinglePage
from graph.context import Context
from graph.docs import docs_routes
from graph.exchanges import Exchanges
from graph.finished_jobs import FinishedJobs
from graph.fleet_metrics import FleetMetrics, MetricsPage
from graph.graphiql import asset_route, page
from graph.health import Health
from graph.http import GraphQLEndpoint
from graph.legacy import legacy_routes
from graph.logs import configure
from graph.metrics import Metrics
from graph.observed import ObservedExecutor, ObservedOperations, Watch
from graph.openapi import openapi
from graph.outbox import Traffic
from graph.rest import rest_routes
from graph.schema import build_schema, core
from graph.spans import Spans
from graph.sse import StreamedAnswers
from graph.streaming import Streams
from graph.tallies import Tallies
from graph.viewer import Viewer
from graph.websocket import GraphQLSocket
from subscriptions.live import Live, keep_going


def create_app(settings: Settings, dsn: str, spans: Spans | None = None) -> FastAPI:
    """The application over the database at the DSN."""
    metrics = Metrics()
    watch = Watch(metrics, spans := spans or _spans(settings))
    database = Database(dsn, settings, watch.statement)
    live = Live(database, dsn, settings)
    schema = core(build_schema())
    executor = ObservedExecutor(schema, settings, watch)
    streams = Streams(executor, live)
    traffic = Traffic()
    authenticator = Authenticator()

    def context(correlation_id: str, viewer: Viewer) -> Context:
        return Context(database.scoped(viewer.scope), settings, correlation_id, viewer, live.collector)

    operations = ObservedOperations(executor, streams, context, metrics)
    tallies = Tallies(metrics, traffic, streams, live)
    finished_jobs = FinishedJobs(database, metrics, live)
    fleet_metrics = FleetMetrics(database, settings.offline_after_seconds)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        await live.start()
        counting = [
            asyncio.create_task(keep_going(name, work), name=name)
            for name, work in (("tallies", tallies.run), ("finished-jobs", finished_jobs.run))
        ]
        try:
            yield
        finally:
            for task in counting:
                task.cancel()
            await asyncio.gather(*counting, return_exceptions=True)
            await streams.close()
            await live.stop()
            await database.close()
            if spans is not None:
                await asyncio.to_thread(spans.close)

    app = FastAPI(
        title="CasareRPA monitoring graph",
        version=version("casare-monitor"),
        lifespan=lifespan,
        openapi_url=None,
    )
    app.state.traffic = traffic
    app.state.streams = streams
    endpoint = GraphQLEndpoint(executor, context, StreamedAnswers(operations, traffic), page, settings)
    app.routes.append(asset_route())
    app.routes.append(Route("/graphql", endpoint))
    app.routes.append(WebSocketRoute("/graphql", GraphQLSocket(operations, traffic, authenticator)))
    app.routes.extend(legacy_routes(operations, traffic))
    app.routes.extend(rest_routes(executor, context, settings))
    app.routes.extend(docs_routes(openapi(schema, app.version)))
    app.routes.extend(Health(database, live).routes())
    app.routes.append(Route("/metrics", MetricsPage(metrics, tallies, fleet_metrics).show))
    if settings.spa_dir is None:
        app.routes.append(Route("/", _to_graphiql))
    else:
        app.routes.append(Mount("/", SinglePage(settings.spa_dir)))
    app.add_middleware(Authentication, authenticator=authenticator)
    app.add_middleware(Origins, origins=settings.cors_origins)
    app.add_middleware(Exchanges, metrics=metrics, spans=spans)
    return app


def _spans(settings: Settings) -> Spans | None:
    if settings.otlp_endpoint is None:
        return None
    try:
        from graph.tracing import to_collector  # noqa: PLC0415  # costs time and memory, and may not be installed
    except ImportError as error:
        raise RuntimeError("CASARE_OTLP_ENDPOINT needs the extra otel, which is not installed") from error
    return to_collector(settings.otlp_endpoint)


async def _to_graphiql(_request: Request) -> Response:
    return RedirectResponse("graphql")


def from_environment() -> FastAPI:
    """The application of a server process: everything it needs stands in its environment."""
    settings = Settings()
    dsn = settings.dsn()
    if dsn is None:
        raise RuntimeError("no DATABASE_URL: start the server with `casare-monitor serve`")
    configure(settings)
    return create_app(settings, dsn)
