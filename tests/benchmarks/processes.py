"""Starting the processes of a benchmark, and stopping them whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from datasources.embedded import running_dsn
from datasources.postmaster import free_port

GRAPHQL_SERVERS = ("ours", "executed", "stock")
SERVERS = (*GRAPHQL_SERVERS, "rest", "floor")
CHECKOUT = Path(__file__).parents[2]

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_HEARD_RECENTLY = "31536000"  # seconds in which the seeded robots, who never report, count as alive


class ProcessDied(RuntimeError):
    """A process of the benchmark did not start, or ended too early; the message holds what it said last."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    port: int
    process: psutil.Popen

    @property
    def graphql(self) -> bool:
        """Whether it speaks GraphQL, rather than REST."""
        return self.name in GRAPHQL_SERVERS

    def cpu_seconds(self) -> float:
        """The processor time it has used since it started, in user and in kernel mode."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def postgres(data_dir: Path) -> Iterator[str]:
    """A Postgres of our own over this directory; gives its DSN."""
    if running_dsn(data_dir) is not None:
        raise ProcessDied(f"another benchmark runs on {data_dir}: wait for it, or choose another CASARE_DATA_DIR")
    with process(["postgres", str(data_dir)], {}) as started:
        started.wait_until(lambda: running_dsn(data_dir) is not None)
        dsn = running_dsn(data_dir)
        if dsn is None:
            raise ProcessDied("Postgres went away as soon as it had come")
        yield dsn


@contextmanager
def servers(names: tuple[str, ...], dsn: str, cores: frozenset[int]) -> Iterator[dict[str, Server]]:
    """These servers over the database at the DSN, each one process, ready to answer."""
    with ExitStack() as stack:
        started = {}
        for name in names:
            port = free_port(0)
            started[name] = port, stack.enter_context(serving(name, port, dsn, cores))
        running = {}
        for name, (port, begun) in started.items():
            begun.wait_until(lambda port=port: _answers(port))  # type: ignore[misc]  # bound now, not later
            running[name] = Server(name, port, begun.popen)
        yield running


def serving(name: str, port: int, dsn: str, cores: frozenset[int]) -> AbstractContextManager[Process]:
    """A server as a process that has only just begun."""
    environment = {
        "DATABASE_URL": dsn,
        "CASARE_HOST": "127.0.0.1",
        "CASARE_WORKERS": "1",
        "CASARE_OFFLINE_AFTER_SECONDS": _HEARD_RECENTLY,
        # `ours` is what it is by default: `executed` works out each answer, also one that it has just given.
        "CASARE_SHARE_ANSWERS": str(name != "executed"),
    }
    return process([name, str(port), ",".join(map(str, sorted(cores)))], environment)


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the benchmark, and what it says."""

    popen: psutil.Popen
    log: Path

    def wait_until(self, ready: Callable[[], bool], *, every: float = 0.05) -> None:
        """Wait until it is ready, looking every so many seconds; raises ProcessDied."""
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
                raise ProcessDied("\n".join(["a process of the benchmark did not start; it said:", *said]))
            time.sleep(every)


@contextmanager
def process(arguments: list[str], environment: Mapping[str, str]) -> Iterator[Process]:
    """A process that plays a role of serve.py, until the block ends."""
    with TemporaryDirectory(prefix="casare-bench-") as directory:
        log = Path(directory) / "log"
        with log.open("wb") as output:
            popen = psutil.Popen(
                [sys.executable, "-m", "tests.benchmarks.serve", *arguments],
                cwd=CHECKOUT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for the harness, which then stops them in order
            )
        try:
            yield Process(popen, log)
        finally:
            popen.stdin.close()
            try:
                popen.wait(timeout=_STOP_SECONDS)
            except psutil.TimeoutExpired:
                popen.kill()
                popen.wait(timeout=_STOP_SECONDS)


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
    except httpx.TransportError:
        return False
    return True
