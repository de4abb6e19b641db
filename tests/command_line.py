"""The command as the tests run it: in an environment of its own, its output piped or in a file."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from serving import eventually

COMMAND = str(Path(sys.executable).with_name("casare-monitor"))


def environment(**variables: str) -> dict[str, str]:
    """What a shell would give: nothing of ours but what the test sets."""
    foreign = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CASARE_", "DB_", "DATABASE_", "FORCE_COLOR", "COLUMNS"))
    }
    return {**foreign, **variables}


def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The command's end; what is piped has no colours, and nothing ends in a traceback."""
    done = subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(**variables),
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


@dataclass(frozen=True)
class Server:
    """A server that runs as a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    output: Path

    def total_jobs(self) -> int:
        question = {"query": "{ jobs { totalCount } }"}
        return httpx.post(f"{self.url}/graphql", json=question, timeout=20).json()["data"]["jobs"]["totalCount"]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals, seconds: float = 5) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=seconds)


@contextmanager
def server(output: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """A command that serves, once it answers; ended with the block if the test did not end it."""
    with open(output, "wb") as file:
        given = environment(**{"CASARE_PORT": "0"} | variables)
        process = subprocess.Popen([COMMAND, *arguments], stdout=file, stderr=file, env=given)
    try:
        eventually(lambda: process.poll() is not None or b"Ctrl-C stops it" in output.read_bytes(), seconds=60)
        found = re.search(r"(http://\S+)/graphql", output.read_text())
        assert found, output.read_text()
        eventually(lambda: _healthy(found[1]), seconds=60)
        yield Server(process, found[1], output)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=20)


def standalone(data_dir: Path, *arguments: str, **variables: str) -> AbstractContextManager[Server]:
    """A server on an embedded Postgres of its own."""
    return server(data_dir.with_suffix(".out"), "serve", *arguments, CASARE_DATA_DIR=str(data_dir), **variables)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
