"""PgQueuer and DBOS as independent programs, and what the monitor knows of them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

PROGRAMS = Path(__file__).parent / "programs"

Program = Callable[..., Coroutine[Any, Any, str]]
Known = Callable[..., Coroutine[Any, Any, list[dict[str, Any]]]]


async def _run(program: str, dsn: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAMS / program,
        dsn,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout=60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode().strip()


@pytest.fixture
async def pgqueuer(dsn: str) -> Program:
    """Runs the PgQueuer program over the test's database, where PgQueuer is installed."""
    await _run("pgqueuer_program.py", dsn, "install")
    return lambda *arguments: _run("pgqueuer_program.py", dsn, *arguments)


@pytest.fixture
async def dbos(dsn: str) -> Program:
    """Runs the DBOS program over the test's database, where DBOS has migrated."""
    await _run("dbos_program.py", dsn, "migrate")
    return lambda *arguments: _run("dbos_program.py", dsn, *arguments)


@pytest.fixture
def known(connection: asyncpg.Connection) -> Known:
    """The rows of a query, as dicts."""

    async def rows(query: str, *arguments: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await connection.fetch(query, *arguments)]

    return rows


@pytest.fixture
def until(connection: asyncpg.Connection) -> Callable[..., Coroutine[Any, Any, None]]:
    """Waits until a query finds something."""

    async def found(query: str, *arguments: object) -> None:
        async with asyncio.timeout(30):
            while not await connection.fetch(query, *arguments):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    return found


@pytest.fixture
def meanwhile() -> Callable[..., Any]:
    """Runs a program beside the block, and sees it end well after it."""

    @asynccontextmanager
    async def running(program: Coroutine[Any, Any, str]) -> AsyncIterator[None]:
        task = asyncio.create_task(program)
        try:
            yield
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return running
