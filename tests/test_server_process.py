"""`casare-monitor serve` as a process: stopped, killed and started again, beside others and with workers."""

import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from command_line import COMMAND, environment, run


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

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=5)


def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def serving(data_dir: Path, *arguments: str, port: int = 0) -> Iterator[Server]:
    """A server on its own embedded Postgres, once it answers; ended with the block if the test did not end it."""
    data_dir.parent.chmod(0o711)
    output = data_dir.with_suffix(".out")
    with open(output, "wb") as file:
        variables = {"CASARE_DATA_DIR": str(data_dir), "CASARE_PORT": str(port)}
        process = subprocess.Popen(
            [COMMAND, "serve", *arguments], stdout=file, stderr=file, env=environment(**variables)
        )
    try:
        eventually(lambda: process.poll() is not None or b"Ctrl-C stops it" in output.read_bytes())
        found = re.search(r"(http://\S+)/graphql", output.read_text())
        assert found, output.read_text()
        server = Server(process, found[1], output)
        eventually(lambda: _healthy(server.url))
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=20)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="casare-tests-", ignore_cleanup_errors=True) as directory:
        yield Path(directory) / "data"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_leaves_nothing_running(
    data_dir: Path, number: signal.Signals, workers: str
) -> None:
    with serving(data_dir, "--workers", workers) as server:
        family = server.family()
        assert any(member.name().startswith("postgres") for member in family)
        assert server.stop(number) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []
        assert server.output.read_text().endswith("stopped\n")


@pytest.mark.slow
def test_two_copies_run_side_by_side(data_dir: Path) -> None:
    other = data_dir.with_name("other")
    with serving(data_dir) as one, serving(other) as two:
        done = run("seed", "--robots", "2", "--jobs", "50", "--days", "1", CASARE_DATA_DIR=str(data_dir))
        assert done.returncode == 0, done.stderr
        assert (one.total_jobs(), two.total_jobs()) == (50, 0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_after_a_kill_the_next_start_has_the_port_and_the_data(data_dir: Path, workers: str) -> None:
    with serving(data_dir, "--workers", workers) as server:
        run("seed", "--robots", "2", "--jobs", "50", "--days", "1", CASARE_DATA_DIR=str(data_dir))
        family = server.family()
        server.process.kill()
        server.process.wait(timeout=5)
    workers_of_it = [member for member in family if not _is_postgres(member)]
    assert psutil.wait_procs(workers_of_it, timeout=20)[1] == []
    port = int(server.url.rpartition(":")[2])
    with serving(data_dir, port=port) as again:
        assert again.total_jobs() == 50
        assert again.stop(signal.SIGTERM) == 0
    assert psutil.wait_procs(family, timeout=5)[1] == []


def _is_postgres(process: psutil.Process) -> bool:
    return process.is_running() and process.name().startswith("postgres")


@pytest.mark.slow
def test_a_seed_that_is_told_to_stop_keeps_nothing_and_leaves_nothing_running(data_dir: Path) -> None:
    data_dir.parent.chmod(0o711)
    variables = environment(CASARE_DATA_DIR=str(data_dir))
    seeding = subprocess.Popen([COMMAND, "seed", "--jobs", "5000000"], stderr=subprocess.PIPE, text=True, env=variables)
    try:
        eventually(lambda: any(_is_postgres(child) for child in psutil.Process(seeding.pid).children(recursive=True)))
        family = psutil.Process(seeding.pid).children(recursive=True)
        seeding.terminate()
        _, said = seeding.communicate(timeout=20)
    finally:
        if seeding.poll() is None:
            seeding.kill()
            seeding.wait(timeout=5)
    assert seeding.returncode != 0
    assert "Traceback" not in said
    assert psutil.wait_procs(family, timeout=5)[1] == []
