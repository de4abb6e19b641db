"""`casare-monitor serve` as a process: stopped, killed and started again, beside others and with workers."""

import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from command_line import COMMAND, environment, run, standalone
from serving import eventually


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_leaves_nothing_running(
    data_dir: Path, number: signal.Signals, workers: str
) -> None:
    with standalone(data_dir, "--workers", workers) as server:
        family = server.family()
        assert any(member.name().startswith("postgres") for member in family)
        assert server.stop(number) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []
        assert server.output.read_text().endswith("stopped\n")


@pytest.mark.slow
def test_two_copies_run_side_by_side(data_dir: Path) -> None:
    other = data_dir.with_name("other")
    with standalone(data_dir) as one, standalone(other) as two:
        done = run("seed", "--robots", "2", "--jobs", "50", "--days", "1", CASARE_DATA_DIR=str(data_dir))
        assert done.returncode == 0, done.stderr
        assert (one.total_jobs(), two.total_jobs()) == (50, 0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_after_a_kill_the_next_start_has_the_port_and_the_data(data_dir: Path, workers: str) -> None:
    with standalone(data_dir, "--workers", workers) as server:
        run("seed", "--robots", "2", "--jobs", "50", "--days", "1", CASARE_DATA_DIR=str(data_dir))
        family = server.family()
        server.process.kill()
        server.process.wait(timeout=5)
    workers_of_it = [member for member in family if not _is_postgres(member)]
    assert psutil.wait_procs(workers_of_it, timeout=20)[1] == []
    port = int(server.url.rpartition(":")[2])
    with standalone(data_dir, CASARE_PORT=str(port)) as again:
        assert again.total_jobs() == 50
        assert again.stop(signal.SIGTERM) == 0
    assert psutil.wait_procs(family, timeout=5)[1] == []


def _is_postgres(process: psutil.Process) -> bool:
    return process.is_running() and process.name().startswith("postgres")


@pytest.mark.slow
def test_a_seed_that_is_told_to_stop_keeps_nothing_and_leaves_nothing_running(data_dir: Path) -> None:
    variables = environment(CASARE_DATA_DIR=str(data_dir))
    seeding = subprocess.Popen([COMMAND, "seed", "--jobs", "5000000"], stderr=subprocess.PIPE, text=True, env=variables)
    try:
        process = psutil.Process(seeding.pid)
        eventually(lambda: any(_is_postgres(child) for child in process.children(recursive=True)), seconds=60)
        family = process.children(recursive=True)
        seeding.terminate()
        _, said = seeding.communicate(timeout=20)
    finally:
        if seeding.poll() is None:
            seeding.kill()
            seeding.wait(timeout=5)
    assert seeding.returncode != 0
    assert "Traceback" not in said
    assert psutil.wait_procs(family, timeout=5)[1] == []
