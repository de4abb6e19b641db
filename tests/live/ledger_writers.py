"""Transactions that write to the ledger, or only near it, step by step as a test tells them."""

import asyncpg

_INSERT = """
INSERT INTO monitor.events (kind, job_id, environment, status) SELECT 'job', $1, 'default', 'pending'
FROM generate_series(1, $2) RETURNING seq"""
_RESTART = """
TRUNCATE monitor.events RESTART IDENTITY;
UPDATE monitor.ledger SET pruned = 0"""


class Writer:
    """One connection and its open transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.drawn: set[int] = set()
        self.jobs: set[str] = set()

    async def begin(self) -> None:
        if not self._connection.is_in_transaction():
            await self._connection.execute("BEGIN")

    async def write_elsewhere(self) -> None:
        await self.begin()
        await self._connection.execute("SELECT pg_current_xact_id()")

    async def draw(self, numbers: int) -> None:
        await self.begin()
        await self._connection.execute(
            "SELECT nextval('monitor.events_seq_seq') FROM generate_series(1, $1::int)", numbers
        )

    async def write(self, job: str, events: int) -> None:
        await self.begin()
        self.drawn |= {row["seq"] for row in await self._connection.fetch(_INSERT, job, events)}
        self.jobs.add(job)

    async def write_and_undo(self, job: str, events: int) -> None:
        await self.begin()
        await self._connection.execute("SAVEPOINT before")
        await self._connection.fetch(_INSERT, job, events)
        await self._connection.execute("ROLLBACK TO before")

    async def end(self, how: str) -> set[int]:
        """Commit or roll back; gives the numbers that can be seen now."""
        if self._connection.is_in_transaction():
            await self._connection.execute(how)
        drawn, self.drawn, self.jobs = self.drawn, set(), set()
        return drawn if how == "COMMIT" else set()

    async def restart_ledger(self) -> None:
        await self._connection.execute(_RESTART)
