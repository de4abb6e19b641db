"""The way to Postgres: one bounded pool a worker, every wait with a limit, every failure one kind of error.

UpstreamError             the database did not answer
├── UpstreamUnavailable   it cannot be reached, or did not give a connection in time
└── UpstreamTimeout       a statement ran into its time limit
UnstorableValue           a value from outside that no Postgres type holds, such as text with a NUL
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self, cast

import asyncpg

from datasources.scope import EVERYTHING, Scope
from datasources.settings import Settings
from datasources.sql import Query

Connection = asyncpg.pool.PoolConnectionProxy


class UpstreamError(Exception):
    """The database did not answer; nothing was changed."""


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

OnStatement = Callable[[str, float], None]  # the name of a query, and how long it took, in seconds

# What asyncpg, the socket and Postgres itself say when the database is away rather than the query wrong.
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)


class _KeptConnection(asyncpg.Connection):
    """A connection whose release costs no round trip: nothing here leaves session state behind."""

    on_statement: OnStatement
    _interrupted = False

    def interrupt(self) -> None:
        """Something went wrong on it: a statement that was prepared, but not run, left a transaction open."""
        self._interrupted = True

    def get_reset_query(self) -> str:
        interrupted, self._interrupted = self._interrupted, False
        return "SELECT" if interrupted else ""  # any query ends such a transaction


class Database:
    """A pool of connections to one Postgres."""

    def __init__(self, dsn: str, settings: Settings, on_statement: OnStatement = lambda _name, _seconds: None) -> None:
        self._dsn = dsn
        self._settings = settings
        self._on_statement = on_statement
        self._pool: asyncpg.Pool | None = None
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
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=settings.pool_size,
            timeout=settings.connect_timeout_seconds,
            command_timeout=settings.statement_timeout_seconds + 1,
            connection_class=_KeptConnection,
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

    async def _initialize(self, connection: asyncpg.Connection) -> None:
        cast(_KeptConnection, connection).on_statement = self._on_statement

    async def close(self) -> None:
        """Give the connections back, or drop them where they do not come back in time."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            await asyncio.wait_for(pool.close(), timeout=3)
        except TimeoutError:
            pool.terminate()

    async def fetch(self, query: Query, parameters: dict[str, Any] | None = None, **parts: str) -> list[asyncpg.Record]:
        """The rows of a query, as far as they lie within the scope."""
        async with self.connection() as connection:
            return await fetch(connection, query, parameters, self.scope, **parts)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction that commits with the block, or rolls back with its exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, given back with the block; what is wrong with the database becomes an UpstreamError."""
        if self._pool is None:
            raise UpstreamUnavailable("the database pool is closed")
        timeout = self._settings.connect_timeout_seconds
        try:
            async with self._pool.acquire(timeout=timeout) as connection:
                try:
                    with _telling(cast(_KeptConnection, connection).interrupt):
                        yield connection
                except (TimeoutError, asyncpg.QueryCanceledError) as error:
                    raise UpstreamTimeout("a statement took longer than it may") from error
                except asyncpg.DataError as error:
                    raise UnstorableValue("Postgres cannot take a value: " + str(error).partition("\n")[0]) from error
        except TimeoutError as error:
            raise UpstreamUnavailable(f"no database connection within {timeout:g} s") from error
        except _AWAY as error:
            raise UpstreamUnavailable(f"the database is not reachable ({type(error).__name__})") from error


@contextmanager
def _telling(interrupt: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        interrupt()
        raise


async def fetch(
    connection: Connection,
    query: Query,
    parameters: dict[str, Any] | None = None,
    scope: Scope = EVERYTHING,
    /,
    **parts: str,
) -> list[asyncpg.Record]:
    """The rows of a query over a connection at hand, counted in the operation's statement log."""
    statement, arguments = query.bind(parameters or {}, scope, **parts)
    # Looked up before: the proxy of a connection that died on the way has nothing behind it any more.
    on_statement = cast(_KeptConnection, connection).on_statement
    started = time.perf_counter()
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        seconds = time.perf_counter() - started
        on_statement(query.name, seconds)
        if (log := statement_log.get()) is not None:
            log.count += 1
            log.seconds += seconds
