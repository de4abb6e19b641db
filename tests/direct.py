"""Straight to the database, past every server."""

import asyncio
from typing import Any

import asyncpg


def fetch(dsn: str, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """The rows of a statement."""

    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return await connection.fetch(statement, *arguments, timeout=30)
        finally:
            await connection.close(timeout=5)

    return asyncio.run(run())


def execute(dsn: str, *scripts: str, seconds: float = 30) -> None:
    """Run scripts, each of one statement or many."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            for script in scripts:
                await connection.execute(script, timeout=seconds)
        finally:
            await connection.close(timeout=5)

    asyncio.run(run())
