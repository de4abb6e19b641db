"""The fleet of `casare-monitor demo`: the robots of `clients/demo_fleet`, a program of its own beside the server.

Where a server asks for credentials, its robots get an API key in their environment, which others cannot read as they
can arguments; the secret that signs tokens is none of their business.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

from datasources.keys import create_key, revoke_key
from datasources.postgres import Database, UpstreamError
from datasources.settings import Settings
from datasources.sources import attach
from graph.commands.console import fail, out
from graph.viewer import Role

_log = logging.getLogger(__name__)

_KEY_LIFE = 7 * 24 * 3600.0  # seconds, since whoever is killed revokes nothing


@contextmanager
def demo_fleet(settings: Settings, dsn: str, url: str, robots: int, rate: float) -> Iterator[None]:
    """The robots of `clients/demo_fleet`, a program of its own that talks to us over the wire."""
    command = [sys.executable, "-m", "clients.demo_fleet"]
    environment = {name: value for name, value in os.environ.items() if name != "CASARE_JWT_SECRET"}
    environment["CASARE_DEMO_DSN"] = dsn
    with out.status("preparing the queue of the demo fleet"):
        installed = subprocess.run([*command, "install"], env=environment, check=False, timeout=120)  # noqa: S603
    if installed.returncode != 0:
        raise fail("the demo fleet could not be prepared. It is part of the repository: run `make demo` there.")
    for source in ("pgqueuer", "dbos"):
        asyncio.run(attach(dsn, source))
    arguments = ["run", "--url", url, "--robots", str(robots), "--rate", str(rate)]
    with nullcontext() if settings.open else _robot_key(settings, dsn) as key:
        if key is not None:
            environment["CASARE_TOKEN"] = key
        with _running([*command, *arguments], environment):
            yield


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    fleet = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
    try:
        yield
    finally:
        fleet.terminate()
        try:
            fleet.wait(timeout=8)
        except subprocess.TimeoutExpired:
            os.killpg(fleet.pid, signal.SIGKILL)
            fleet.wait(timeout=5)


@contextmanager
def _robot_key(settings: Settings, dsn: str) -> Iterator[str]:
    """An API key that opens as long as the block lasts."""

    async def create() -> str:
        async with _opened(settings, dsn) as database:
            return await create_key(database, f"demo-fleet-{secrets.token_hex(4)}", Role.ROBOT, None, _KEY_LIFE)

    async def revoke() -> None:
        async with _opened(settings, dsn) as database:
            await revoke_key(database, key.split("_")[1])

    key = asyncio.run(create())
    try:
        yield key
    finally:
        try:
            asyncio.run(revoke())
        except UpstreamError as error:
            _log.warning("the key of the demo fleet opens for a while yet: %s", error)


@asynccontextmanager
async def _opened(settings: Settings, dsn: str) -> AsyncIterator[Database]:
    database = Database(dsn, settings)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
