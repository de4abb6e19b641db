"""Stock Strawberry: its own router for FastAPI, over the same schema, resolvers, dataloaders and database."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from strawberry.fastapi import BaseContext, GraphQLRouter

from datasources.postgres import Database
from datasources.settings import Settings
from graph.context import Context
from graph.schema import build_schema
from graph.viewer import ANYBODY


class _StockContext(Context, BaseContext):
    """The context the resolvers know, as the router wants it."""


def create_app() -> FastAPI:
    """The service over the database of the environment."""
    settings = Settings()
    dsn = settings.dsn()
    if dsn is None:
        raise RuntimeError("no DATABASE_URL")
    database = Database(dsn, settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        try:
            yield
        finally:
            await database.close()

    async def context() -> _StockContext:
        return _StockContext(database, settings, uuid.uuid4().hex, ANYBODY)

    app = FastAPI(lifespan=lifespan)
    app.include_router(GraphQLRouter(build_schema(), context_getter=context), prefix="/graphql")
    return app
