"""Where the parts meet: the database, the schema and the routes become one application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from datasources.postgres import Database
from datasources.settings import Settings
from datasources.snapshots import Snapshots
from graph.access.audit import Audit
from graph.access.authentication import Authentication, Authenticator
from graph.access.credentials import QueryTokens
from graph.access.doors import door, sees_all
from graph.access.hosts import Hosts
from graph.access.keys import Keys
from graph.access.origins import Origins
from graph.context import Context
from graph.counting.finished_jobs import FinishedJobs
from graph.counting.fleet_metrics import FleetMetrics, MetricsPage
from graph.counting.tallies import Tallies
from graph.engine.documents import Documents
from graph.engine.observed import ObservedExecutor, Watch
from graph.engine.sharing import SharedAnswers
from graph.limits.admission import Admission
from graph.limits.pace import Pace
from graph.operating.exchanges import Exchanges
from graph.operating.logs import configure
from graph.operating.metrics import Metrics
from graph.operating.spans import Spans
from graph.pages.docs import docs_routes
from graph.pages.graphiql import asset_route, page_for
from graph.pages.health import Health
from graph.pages.openapi import openapi
from graph.pages.policy import Policies
from graph.pages.single_page import SinglePage
from graph.schema import build_schema, core
from graph.streams.streaming import Streams
from graph.transports import legacy, rest
from graph.transports.http import GraphQLEndpoint, Shortcut
from graph.transports.operations import Operations
from graph.transports.outbox import Traffic
from graph.transports.sse import StreamedAnswers
from graph.transports.websocket import GraphQLSocket
from graph.viewer import Viewer
from subscriptions.live import Live
from subscriptions.tasks import keep_going


def create_app(settings: Settings, dsn: str, spans: Spans | None = None) -> FastAPI:
    """The application over the database at the DSN."""
    metrics = Metrics()
    watch = Watch(metrics, spans := spans or _spans(settings))
    database = Database(dsn, settings, watch.statement)
    live = Live(database, dsn, settings)
    schema = core(build_schema())
    documents = Documents(settings, (rest.DOCUMENT, legacy.DOCUMENT))
    shared = None
    if settings.share_answers:
        shared = SharedAnswers(Snapshots(dsn, settings.offline_after_seconds), settings.operation_timeout_seconds)
    executor = ObservedExecutor(schema, settings, documents, watch, shared)
    streams = Streams(executor, live)
    traffic = Traffic()
    admission = Admission(settings, metrics)
    audit = Audit(database)
    pace = Pace(database, settings)
    authenticator = Authenticator(settings, Keys(database), audit.note)

    def context(correlation_id: str, viewer: Viewer) -> Context:
        seen = database.scoped(viewer.view(masking=settings.mask_error_messages))
        return Context(seen, settings, correlation_id, viewer, pace, collector=live.collector)

    operations = Operations(executor, streams, context, metrics, audit.refused)
    counters = {"pace": pace.counts, "audit": audit.counts} | ({} if shared is None else {"answers": shared.counts})
    tallies = Tallies(metrics, traffic, streams, live, counters)
    finished_jobs = FinishedJobs(database, metrics, live)
    fleet_metrics = FleetMetrics(database, settings.offline_after_seconds)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Traffic]]:
        await database.open()
        await live.start()
        counting = [
            asyncio.create_task(keep_going(name, work), name=name)
            for name, work in (
                ("tallies", tallies.run),
                ("finished-jobs", finished_jobs.run),
                ("audit", audit.run),
                ("documents", partial(documents.follow, database)),
                *(() if shared is None else (("snapshots", shared.snapshots.run),)),
            )
        ]
        try:
            yield {"traffic": traffic}  # HttpWire, below all applications, counts there whom it cuts off
        finally:
            for task in counting:
                task.cancel()
            await asyncio.gather(*counting, return_exceptions=True)
            await streams.close()
            await live.stop()
            await authenticator.close()
            await audit.close()
            await database.close()
            if spans is not None:
                await asyncio.to_thread(spans.close)

    app = FastAPI(
        title="CasareRPA monitoring graph",
        version=version("casare-monitor"),
        lifespan=lifespan,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours are `Exchanges` and `Watch`
    )
    app.state.traffic = traffic
    app.state.streams = streams
    app.state.live = live
    endpoint = GraphQLEndpoint(
        executor, context, StreamedAnswers(operations, traffic, admission), page_for(settings), settings
    )
    metrics_page = MetricsPage(metrics, tallies, fleet_metrics).show
    app.routes.extend(
        [
            asset_route(),
            Route("/graphql", endpoint),  # `Shortcut` comes before it, but for /graphql/, which is sent here
            WebSocketRoute("/graphql", GraphQLSocket(operations, traffic, authenticator, admission)),
            *legacy.legacy_routes(operations, traffic, admission),
            *rest.rest_routes(executor, context, pace, settings),
            *docs_routes(openapi(schema, app.version), settings.introspection),
            *Health(database, live).routes(),
            Route("/metrics", metrics_page if settings.metrics_open else door(metrics_page, sees_all)),
            _front(settings),
        ]
    )
    app.add_middleware(Shortcut, path="/graphql", endpoint=endpoint)
    _surround(app, authenticator, settings, metrics, audit, spans)
    return app


def _surround(
    app: FastAPI, authenticator: Authenticator, settings: Settings, metrics: Metrics, audit: Audit, spans: Spans | None
) -> None:
    """What every request passes before its route; the last one first."""
    app.add_middleware(Authentication, authenticator=authenticator)
    app.add_middleware(Origins, origins=settings.cors_origins)
    if settings.open:
        app.add_middleware(Hosts, allowed=settings.allowed_hosts)
    app.add_middleware(Exchanges, metrics=metrics, spans=spans, refused=audit.refused)
    app.add_middleware(QueryTokens)
    app.add_middleware(Policies)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))


def _spans(settings: Settings) -> Spans | None:
    if settings.otlp_endpoint is None:
        return None
    try:
        from graph.operating.tracing import to_collector  # noqa: PLC0415  # costs time and memory, and may not be installed
    except ImportError as error:
        raise RuntimeError("CASARE_OTLP_ENDPOINT needs the extra otel, which is not installed") from error
    return to_collector(settings.otlp_endpoint)


def _front(settings: Settings) -> BaseRoute:
    """What is found at /, and at every path that is nobody's."""
    if settings.spa_dir is None:
        return Route("/", _to_graphiql)
    return Mount("/", SinglePage(settings.spa_dir, settings.spa_policy))


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
