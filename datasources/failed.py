"""A database that has failed, for whoever has to ask a second time to say exactly what went wrong."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Self

import asyncpg

from datasources.postgres import Connection, Database, UpstreamError, UpstreamUnavailable
from datasources.scope import Scope
from datasources.sql import Query


class FailedDatabase(Database):
    """Fails again as it has failed, at once: for everybody where it was away, else for who asks for the same rows."""

    def __init__(self, database: Database, error: UpstreamError) -> None:
        self._database = database
        self._error = error
        self.scope = database.scope

    def scoped(self, scope: Scope) -> Self:
        """The same database, as failed, as somebody with this scope sees it."""
        return type(self)(self._database.scoped(scope), self._error)

    async def fetch(
        self,
        query: Query,
        parameters: dict[str, Any] | None = None,
        columns: frozenset[str] = frozenset(),
        **parts: str,
    ) -> list[asyncpg.Record]:
        """The rows of a query, as far as they lie within the scope, with these of the columns that it may have."""
        if self._away or self._error.asked == (query, parameters, parts):
            raise self._error
        return await self._database.fetch(query, parameters, columns, **parts)

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection, given back with the block."""
        if self._away:
            raise self._error
        return self._database.connection()

    @property
    def _away(self) -> bool:
        return isinstance(self._error, UpstreamUnavailable)
