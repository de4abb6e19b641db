"""The supervisor: a portal, a producer, and robots as processes, one of which dies now and then."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from clients.demo_fleet.lifeline import until_over
from clients.demo_fleet.orders import DATABASE_LOST
from clients.demo_fleet.portal import Portal
from clients.demo_fleet.producer import produce
from clients.demo_fleet.workflows.desk import PORTAL, WORK_DIR

_ROOT = Path(__file__).resolve().parents[2]
_STAGGER_SECONDS = 1.5
_LIFE_SECONDS = (120.0, 240.0)
_ABSENCE_SECONDS = 15.0
_GRACE_SECONDS = 4.0


class Fleet:
    """Robots under one supervisor."""

    def __init__(self, dsn: str, url: str, robots: int, rate: float) -> None:
        self._dsn = dsn
        self._url = url
        self._rate = rate
        # Every fourth robot serves staging, the others production.
        self._robots = {f"demo-{n:02d}": "staging" if n % 4 == 0 else "production" for n in range(1, robots + 1)}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._console = Console(highlight=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the fleet at work until told to stop, or until whoever started it is gone; ends within five seconds."""
        with (
            tempfile.TemporaryDirectory(prefix="demo-fleet-", ignore_cleanup_errors=True) as work_dir,
            Portal().open() as portal,
        ):
            work = asyncio.create_task(self._work({PORTAL: portal.url, WORK_DIR: work_dir}))
            stopping = asyncio.create_task(until_over(stop))
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._say("stopping the fleet")
                work.cancel()
            stopping.cancel()
            await asyncio.wait({work})
            if not work.cancelled():
                work.result()

    async def _work(self, places: dict[str, str]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce())
            group.create_task(self._kill_now_and_then())
            for robot_id in self._robots:
                group.create_task(self._keep(robot_id, places))
                await asyncio.sleep(_STAGGER_SECONDS)

    async def _keep(self, robot_id: str, places: dict[str, str]) -> None:
        """Start a robot, and start it again some time after each death."""
        environment = self._robots[robot_id]
        arguments = ("--url", self._url, "--robot-id", robot_id, "--environment", environment)
        variables = {**os.environ, **places, "CASARE_DEMO_DSN": self._dsn}
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "clients.demo_fleet.robot", *arguments, cwd=_ROOT, env=variables
            )
            self._say(f"{robot_id} works in {environment}, process {process.pid}")
            self._running[robot_id] = process
            try:
                code = await process.wait()
            finally:
                del self._running[robot_id]
                await _end(process)
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._say(f"{robot_id} died ({cause}), back in {_ABSENCE_SECONDS:g} s")
            await asyncio.sleep(_ABSENCE_SECONDS)

    async def _kill_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_LIFE_SECONDS))
            if self._running:
                random.choice(list(self._running.values())).kill()

    async def _produce(self) -> None:
        while True:
            try:
                await produce(self._dsn, list(self._robots.values()), self._rate)
            except DATABASE_LOST as error:
                self._say(f"no new orders for now: {error}")
                await asyncio.sleep(_ABSENCE_SECONDS)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), timeout=_GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
