"""A worker's connections: lent by turns, none of them lost; and what is said on one when the database is away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from datasources.deadline import Deadline
from datasources.settings import Settings

OnStatement = Callable[[str, float], None]  # the name of a query, and how long it took, in seconds

# What asyncpg, the socket and Postgres itself say when the database is away rather than the query wrong.
AWAY = (
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
# The same on a connection of one's own, where no query is wrong: whatever Postgres says, it is asked again.
LOST = (*AWAY, asyncpg.PostgresError)


class NoConnection(Exception):
    """None was to be had in time."""


class KeptConnection(asyncpg.Connection):
    """A connection whose release costs no round trip: nothing here leaves session state behind."""

    on_statement: OnStatement
    _interrupted = False

    def interrupt(self) -> None:
        """Something went wrong on it: a statement that was prepared, but not run, left a transaction open."""
        self._interrupted = True

    def get_reset_query(self) -> str:
        """What is run before it is lent again: nothing, unless something went wrong."""
        interrupted, self._interrupted = self._interrupted, False
        return "SELECT" if interrupted else ""  # any query ends such a transaction


class Connections:
    """The connections of a pool, lent by turns to all that read through it, whatever their scope.

    Those at hand pass from one to the next: to take one of the pool and give it back costs two tasks, more than a row.
    """

    def __init__(self, pool: asyncpg.Pool, settings: Settings) -> None:
        self._pool = pool
        self._most = settings.pool_size
        self._timeout = settings.connect_timeout_seconds
        self._closed = False
        self._at_hand: list[PoolConnectionProxy] = []
        self._waiting: deque[asyncio.Future[PoolConnectionProxy | None]] = deque()
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

    async def take(self) -> PoolConnectionProxy:
        """A connection, to be handed back or given up."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if _alive(connection):
                return connection
            await self.give_up(connection)
        return await self._wait()

    async def hand_back(self, connection: PoolConnectionProxy) -> None:
        """Let the next one have it."""
        if _alive(connection) and not self._closed:
            self._hand_on(connection)
        else:
            await self.give_up(connection)

    async def give_up(self, connection: PoolConnectionProxy) -> None:
        """Let the pool see to it: something went wrong with it, or it is no longer needed."""
        try:
            await self._pool.release(connection)
        finally:
            self._give_up_place()

    async def _wait(self) -> PoolConnectionProxy:
        try:
            with Deadline(self._timeout):
                while self._lent >= self._most:  # again, where somebody else was faster than who was told of a place
                    if (handed_on := await self._in_turn()) is not None:
                        return handed_on
                return await self._lend()
        except TimeoutError as error:
            raise NoConnection(f"no database connection within {self._timeout:g} s") from error

    async def _lend(self) -> PoolConnectionProxy:
        self._lent += 1
        try:
            return await self._pool.acquire()
        except BaseException:
            self._give_up_place()
            raise

    async def _in_turn(self) -> PoolConnectionProxy | None:
        """A connection that somebody is done with; None where the pool has one again."""
        turn: asyncio.Future[PoolConnectionProxy | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_on(turn.result())
            raise

    def _hand_on(self, connection: PoolConnectionProxy | None) -> None:
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


def _alive(connection: PoolConnectionProxy) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # lost, and the pool knows
        return False
