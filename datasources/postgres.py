"""The way to Postgres: one bounded pool a worker, every wait with a limit, every failure one kind of error.

UpstreamError             the database did not answer
├── UpstreamUnavailable   it cannot be reached, or did not give a connection in time
└── UpstreamTimeout       a statement ran into its time limit
UnstorableValue           a value from outside that no Postgres type holds, such as text with a NUL
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self, cast

import asyncpg

from datasources.connections import AWAY, Connections, KeptConnection, NoConnection, OnStatement
from datasources.scope import EVERYTHING, Scope
from datasources.settings import Settings
from datasources.sql import Query

Connection = asyncpg.pool.PoolConnectionProxy


class UpstreamError(Exception):
    """The database did not answer; nothing was changed. It may know what it was asked, whichever columns of it."""

    asked: object = None


class UpstreamUnavailable(UpstreamError):
    """The database cannot be reached."""


class UpstreamTimeout(UpstreamError):
    """A statement took longer than it may."""


class UnstorableValue(ValueError):
    """A value that Postgres cannot hold."""


@dataclass(slots=True)
class StatementLog:
    """How many statements an operation ran, for how long it waited for them, in seconds, and its loaders' batches."""

    count: int = 0
    seconds: float = 0.0
    batches: list[int] = field(default_factory=list)


statement_log: ContextVar[StatementLog | None] = ContextVar("statement_log", default=None)


class Database:
    """A pool of connections to one Postgres."""

    def __init__(self, dsn: str, settings: Settings, on_statement: OnStatement = lambda _name, _seconds: None) -> None:
        self._dsn = dsn
        self._settings = settings
        self._on_statement = on_statement
        self._connections: Connections | None = None
        self.scope = EVERYTHING

    def scoped(self, scope: Scope) -> Self:
        """The same database as somebody with this scope sees it."""
        if scope == self.scope:
            return self
        seen = copy(self)
        seen.scope = scope
        return seen

    async def open(self) -> None:
        """Make the pool; connections are made when first needed, so a database that is down does not stop us."""
        settings = self._settings
        pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=settings.pool_size,
            timeout=settings.connect_timeout_seconds,
            command_timeout=settings.statement_timeout_seconds + 1,
            connection_class=KeptConnection,
            init=self._initialize,
            server_settings={
                "application_name": "casare-monitor",
                "statement_timeout": str(int(settings.statement_timeout_seconds * 1000)),
                "timezone": "UTC",
                "jit": "off",
                # A plan for any value is wrong for rare ones: 43 of a million jobs wait, and 924,030 have completed.
                "plan_cache_mode": "force_custom_plan",
                # What is asked for is in memory or on flash: a short range in any place beats a long walk in order.
                "random_page_cost": "1.1",
            },
        )
        self._connections = Connections(pool, settings)

    async def _initialize(self, connection: asyncpg.Connection) -> None:
        cast(KeptConnection, connection).on_statement = self._on_statement

    async def close(self) -> None:
        """Give the connections back, or drop them where they do not come back in time."""
        if self._connections is not None:
            connections, self._connections = self._connections, None
            await connections.close()

    async def fetch(
        self,
        query: Query,
        parameters: dict[str, Any] | None = None,
        columns: frozenset[str] = frozenset(),
        **parts: str,
    ) -> list[asyncpg.Record]:
        """The rows of a query, as far as they lie within the scope, with these of the columns that it may have."""
        try:
            async with self.connection() as connection:
                return await fetch(connection, query, parameters, self.scope, columns, **parts)
        except UpstreamError as error:
            error.asked = query, parameters, parts
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction that commits with the block, or rolls back with its exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection, given back with the block; what is wrong with the database becomes an UpstreamError."""
        return _Lent(self._connections)


class _Lent:
    """A connection for the length of a block, without a generator for each statement."""

    __slots__ = ("_connection", "_connections", "_interrupt")

    def __init__(self, connections: Connections | None) -> None:
        self._connections = connections

    async def __aenter__(self) -> Connection:
        if self._connections is None:
            raise UpstreamUnavailable("the database pool is closed")
        try:
            connection = self._connection = await self._connections.take()
            try:
                # Looked up before: the proxy of a connection that died on the way has nothing behind it any more.
                self._interrupt = cast(KeptConnection, connection).interrupt
            except BaseException:
                await self._connections.give_up(connection)
                raise
        except Exception as error:
            _raise_as_ours(error)
            raise
        return connection

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        connections = cast(Connections, self._connections)
        try:
            if error is None:
                await connections.hand_back(self._connection)
                return
            self._interrupt()
            await connections.give_up(self._connection)
        except Exception as failure:
            _raise_as_ours(failure)
            raise
        _raise_as_ours(error)


def _raise_as_ours(error: BaseException) -> None:
    """Say in our words what the database said; what it did not say is left as it is."""
    if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
        raise UpstreamTimeout("a statement took longer than it may") from error
    if isinstance(error, asyncpg.DataError):
        raise UnstorableValue("Postgres cannot take a value: " + str(error).partition("\n")[0]) from error
    if isinstance(error, NoConnection):
        raise UpstreamUnavailable(str(error)) from error
    if isinstance(error, AWAY):
        raise UpstreamUnavailable(f"the database is not reachable ({type(error).__name__})") from error


async def fetch(
    connection: Connection,
    query: Query,
    parameters: dict[str, Any] | None = None,
    scope: Scope = EVERYTHING,
    columns: frozenset[str] = frozenset(),
    /,
    **parts: str,
) -> list[asyncpg.Record]:
    """The rows of a query over a connection at hand, counted in the operation's statement log."""
    statement, arguments = query.bind(parameters or {}, scope, columns, **parts)
    # Looked up before: the proxy of a connection that died on the way has nothing behind it any more.
    on_statement = cast(KeptConnection, connection).on_statement
    started = time.perf_counter()
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        seconds = time.perf_counter() - started
        on_statement(query.name, seconds)
        if (log := statement_log.get()) is not None:
            log.count += 1
            log.seconds += seconds
