"""The way to Postgres: one bounded pool a worker, every wait with a limit, every failure one kind of error.

UpstreamError             the database did not answer
├── UpstreamUnavailable   it cannot be reached, or did not give a connection in time
└── UpstreamTimeout       a statement ran into its time limit
UnstorableValue           a value from outside that no Postgres type holds, such as text with a NUL
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg

from datasources.settings import Settings
from datasources.sql import Query

Connection = asyncpg.pool.PoolConnectionProxy


class UpstreamError(Exception):
    """The database did not answer; nothing was changed. It may know what it was asked."""

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

    def get_reset_query(self) -> str:
        return ""


class Database:
    """A pool of connections to one Postgres."""

    def __init__(self, dsn: str, settings: Settings, on_statement: OnStatement = lambda _name, _seconds: None) -> None:
        self._dsn = dsn
        self._settings = settings
        self._on_statement = on_statement
        self._pool: asyncpg.Pool | None = None
        self._at_hand: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._lent = 0  # by the pool, at hand or in use

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
            async with asyncio.timeout(3):
                while self._at_hand:
                    await self._return(self._at_hand.pop(), pool)
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def fetch(self, query: Query, parameters: dict[str, Any] | None = None, **parts: str) -> list[asyncpg.Record]:
        """The rows of a query."""
        try:
            async with self.connection() as connection:
                return await fetch(connection, query, parameters, **parts)
        except UpstreamError as error:
            error.asked = query, parameters, parts
            raise

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
        pool = self._pool
        try:
            connection = await self._kept(pool) or await self._wait_for(pool)
            try:
                yield connection
            except BaseException:
                await self._return(connection, pool)
                raise
            if _alive(connection) and self._pool is pool:
                self._hand_on(connection)
            else:
                await self._return(connection, pool)
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise UpstreamTimeout("a statement took longer than it may") from error
        except asyncpg.DataError as error:
            raise UnstorableValue("Postgres cannot take a value: " + str(error).partition("\n")[0]) from error
        except _AWAY as error:
            raise UpstreamUnavailable(f"the database is not reachable ({type(error).__name__})") from error

    async def _kept(self, pool: asyncpg.Pool) -> Connection | None:
        """A connection at hand: to take one of the pool and give it back costs two tasks, which is more than a row."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if _alive(connection):
                return connection
            await self._return(connection, pool)
        return None

    async def _wait_for(self, pool: asyncpg.Pool) -> Connection:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                if self._lent >= self._settings.pool_size and (handed_on := await self._in_turn()) is not None:
                    return handed_on
                self._lent += 1
                try:
                    return await pool.acquire()
                except BaseException:
                    self._lent -= 1
                    raise
        except TimeoutError as error:
            timeout = self._settings.connect_timeout_seconds
            raise UpstreamUnavailable(f"no database connection within {timeout:g} s") from error

    async def _in_turn(self) -> Connection | None:
        """A connection that somebody is done with; None where the pool has one again."""
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_on(turn.result())
            raise

    def _hand_on(self, connection: Connection | None) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is not None:
            self._at_hand.append(connection)

    async def _return(self, connection: Connection, pool: asyncpg.Pool) -> None:
        try:
            await pool.release(connection)
        finally:
            self._lent -= 1
            self._hand_on(None)


def _alive(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # lost, and the pool knows
        return False


async def fetch(
    connection: Connection, query: Query, parameters: dict[str, Any] | None = None, **parts: str
) -> list[asyncpg.Record]:
    """The rows of a query over a connection at hand, counted in the operation's statement log."""
    statement, arguments = query.bind(parameters or {}, **parts)
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
