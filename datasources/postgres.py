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
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self, cast

import asyncpg

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
        self._connections: _Connections | None = None
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
        self._connections = _Connections(pool, settings)

    async def _initialize(self, connection: asyncpg.Connection) -> None:
        cast(_KeptConnection, connection).on_statement = self._on_statement

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

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, given back with the block; what is wrong with the database becomes an UpstreamError."""
        if self._connections is None:
            raise UpstreamUnavailable("the database pool is closed")
        try:
            connection = await self._connections.take()
            try:
                # Looked up before: the proxy of a connection that died on the way has nothing behind it any more.
                interrupt = cast(_KeptConnection, connection).interrupt
                try:
                    yield connection
                except BaseException:
                    interrupt()
                    raise
            except BaseException:
                await self._connections.give_up(connection)
                raise
            await self._connections.hand_back(connection)
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise UpstreamTimeout("a statement took longer than it may") from error
        except asyncpg.DataError as error:
            raise UnstorableValue("Postgres cannot take a value: " + str(error).partition("\n")[0]) from error
        except _AWAY as error:
            raise UpstreamUnavailable(f"the database is not reachable ({type(error).__name__})") from error


class _Connections:
    """The connections of a pool, lent by turns to all that read through it, whatever their scope.

    Those at hand pass from one to the next: to take one of the pool and give it back costs two tasks, more than a row.
    """

    def __init__(self, pool: asyncpg.Pool, settings: Settings) -> None:
        self._pool = pool
        self._most = settings.pool_size
        self._timeout = settings.connect_timeout_seconds
        self._closed = False
        self._at_hand: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._lent = 0  # by the pool, at hand or in use

    async def close(self) -> None:
        """Give them back, or drop them where they do not come back in time."""
        self._closed = True
        try:
            async with asyncio.timeout(3):
                while self._at_hand:
                    await self.give_up(self._at_hand.pop())
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def take(self) -> Connection:
        """A connection, to be handed back or given up."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if _alive(connection):
                return connection
            await self.give_up(connection)
        return await self._wait()

    async def hand_back(self, connection: Connection) -> None:
        """Let the next one have it."""
        if _alive(connection) and not self._closed:
            self._hand_on(connection)
        else:
            await self.give_up(connection)

    async def give_up(self, connection: Connection) -> None:
        """Let the pool see to it: something went wrong with it, or it is no longer needed."""
        try:
            await self._pool.release(connection)
        finally:
            self._give_up_place()

    async def _wait(self) -> Connection:
        try:
            async with asyncio.timeout(self._timeout):
                while self._lent >= self._most:  # again, where somebody else was faster than who was told of a place
                    if (handed_on := await self._in_turn()) is not None:
                        return handed_on
                return await self._lend()
        except TimeoutError as error:
            raise UpstreamUnavailable(f"no database connection within {self._timeout:g} s") from error

    async def _lend(self) -> Connection:
        self._lent += 1
        try:
            return await self._pool.acquire()
        except BaseException:
            self._give_up_place()
            raise

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

    def _give_up_place(self) -> None:
        self._lent -= 1
        self._hand_on(None)


def _alive(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # lost, and the pool knows
        return False


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
