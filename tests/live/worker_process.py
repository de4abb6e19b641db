"""Workers that are processes, to be killed and started again."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from command_line import COMMAND, environment

_QUESTION = {"query": "{ __typename }"}


class Worker:
    """`casare-monitor serve` as a process that can be killed and started again at the same place."""

    def __init__(self, dsn: str, output: Path, bus: str = "memory://") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._environment = environment(DATABASE_URL=dsn, CASARE_BUS=bus, CASARE_PORT=str(self._port))
        self.http = f"http://127.0.0.1:{self._port}/graphql"
        self.ws = f"ws://127.0.0.1:{self._port}/graphql"
        self.output = output
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen([COMMAND, "serve"], stdout=output, stderr=output, env=self._environment)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return httpx.post(self.http, json=_QUESTION, timeout=5, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def ports(self) -> set[int]:
        """The ports it talks from."""
        assert self.process is not None
        return {connection.laddr.port for connection in psutil.Process(self.process.pid).net_connections("tcp")}

    def kill(self) -> None:
        """End it as `kill -9` does, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=15)


@contextmanager
def workers(dsn: str, directory: Path, *, bus: str = "memory://", number: int = 2) -> Iterator[list[Worker]]:
    """Running workers on one database."""
    those = [Worker(dsn, directory / f"worker-{index}.log", bus) for index in range(number)]
    try:
        for worker in those:
            worker.start()
        yield those
    finally:
        for worker in those:
            worker.kill()
