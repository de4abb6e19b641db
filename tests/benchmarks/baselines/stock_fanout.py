"""Stock Strawberry's subscriptions: its own router for FastAPI, over the same schema, ledger and database.

Two favours make it faster than it is usually built: events come from the follower's memory, and all sockets share their
loaders, so that what a thousand of them ask about an event is one statement.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import strawberry
from fastapi import FastAPI
from strawberry.fastapi import BaseContext, GraphQLRouter
from strawberry.schema.config import StrawberryConfig

from datasources.postgres import Database
from datasources.settings import Settings
from graph.context import Context, Info
from graph.loaders import Loaders
from graph.schema import Query
from graph.types.jobs import Job
from graph.types.robots import Robot
from graph.types.scalars import SCALARS
from graph.types.updates import JobUpdate
from graph.types.workflows import Workflow
from graph.viewer import ANYBODY
from subscriptions.ledger import FromNow, LedgerUpdate, ledger_updates
from subscriptions.live import Live


async def _job_updates(info: Info) -> AsyncIterator[LedgerUpdate]:
    if info.context.sight is None:
        raise RuntimeError("the ledger is not followed")
    async for updates in ledger_updates(info.context.sight, FromNow(), lambda event: event.kind == "job"):
        for update in updates:
            yield update


@strawberry.type
class Subscription:
    """Jobs that change their status, one by one."""

    job_updates = strawberry.subscription(graphql_type=JobUpdate, resolver=_job_updates)


class _StockContext(Context, BaseContext):
    """The context the resolvers know, as the router wants it."""


def create_app() -> FastAPI:
    """The service over the database of the environment."""
    settings = Settings()
    dsn = settings.dsn()
    if dsn is None:
        raise RuntimeError("no DATABASE_URL")
    database = Database(dsn, settings)
    live = Live(database, dsn, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        await live.start()
        app.state.loaders = Loaders(database, settings, datetime.now(UTC))
        try:
            yield
        finally:
            await live.stop()
            await database.close()

    async def context() -> _StockContext:
        found = _StockContext(database, settings, uuid.uuid4().hex, ANYBODY, sight=live.everything)
        found._loaders = app.state.loaders
        return found

    app = FastAPI(lifespan=lifespan)
    schema = strawberry.Schema(
        query=Query,
        subscription=Subscription,
        types=[Job, Robot, Workflow],
        config=StrawberryConfig(scalar_map=dict(SCALARS)),
    )
    app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")
    return app
