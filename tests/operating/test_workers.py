"""Several workers as one service: their metrics, their log and their end."""

import json
import signal
import stat
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from command_line import Server, standalone
from exposition import complaints, value
from serving import eventually

pytestmark = pytest.mark.slow


def page(server: Server) -> str:
    """The metrics page, over a connection of its own, so that any worker may answer."""
    return httpx.get(f"{server.url}/metrics", timeout=10).text


def ask(server: Server, times: int) -> None:
    question = {"query": "query Ours { fleet { totalRobots } }"}
    for _ in range(times):
        answer = httpx.post(f"{server.url}/graphql", json=question, timeout=10)
        assert answer.status_code == 200


def asked(server: Server) -> float | None:
    return value(page(server), "casare_operation_duration_seconds_count", operation="Ours")


def workers(server: Server) -> list[psutil.Process]:
    return [child for child in server.family() if _works(child)]


def _works(process: psutil.Process) -> bool:
    """Whether a process is a worker; one that ends while it is looked at is none."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(process.cmdline())
    return False


def metrics_directory(worker: psutil.Process) -> Path:
    return Path(worker.environ()["PROMETHEUS_MULTIPROC_DIR"])


def test_what_all_workers_did_is_one_page_that_a_dead_worker_leaves_whole(data_dir: Path) -> None:
    with standalone(data_dir, "--workers", "2") as server:
        first, second = workers(server)
        directory = metrics_directory(first)
        assert directory == metrics_directory(second)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        ask(server, 40)
        for _ in range(10):
            assert asked(server) == 40
        assert complaints(page(server)) == []
        assert value(page(server), "casare_doorbell_connected") == 1
        first.kill()
        eventually(
            lambda: len(workers(server)) == 2 and first.pid not in {child.pid for child in workers(server)}, seconds=60
        )
        eventually(lambda: value(page(server), "casare_doorbell_connected") == 1, seconds=60)
        assert not list(directory.glob(f"gauge_live*_{first.pid}.db"))
        ask(server, 5)
        assert asked(server) == 45
        assert server.stop(signal.SIGTERM) == 0
        assert not directory.exists()


def test_a_job_that_ends_is_counted_once_by_all_workers(data_dir: Path) -> None:
    def reported(server: Server) -> None:
        mutation = """mutation ($status: JobStatus!, $started: DateTime, $ended: DateTime) {
            reportJob(input: {jobId: "j1", workflowId: "w", workflowName: "W", status: $status,
                createdAt: "2026-01-01T00:00:00Z", claimedAt: $started, completedAt: $ended}) {
                outcome refusal { message }
            }
        }"""
        times = {"started": "2026-01-01T00:01:00Z", "ended": "2026-01-01T00:02:00Z"}
        answer = httpx.post(
            f"{server.url}/graphql",
            json={"query": mutation, "variables": {"status": "COMPLETED", **times}},
            timeout=10,
        )
        assert answer.json()["data"]["reportJob"]["refusal"] is None, answer.text

    with standalone(data_dir, "--workers", "2") as server:
        reported(server)
        eventually(lambda: value(page(server), "casare_jobs_finished_total"), seconds=60)
        for _ in range(10):
            assert value(page(server), "casare_jobs_finished_total", outcome="completed") == 1
            assert value(page(server), "casare_job_duration_seconds_sum") == 60


def test_what_a_server_logs_is_json_where_nobody_watches(data_dir: Path) -> None:
    with standalone(data_dir, "--workers", "2") as server:
        ask(server, 3)
        httpx.get(f"{server.url}/graphql?query=%7Bswordfish%7D", timeout=10)
        assert server.stop(signal.SIGTERM) == 0
        said = server.output.read_text()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert sum(line.get("operation") == "Ours" and line["outcome"] == "ok" for line in lines) == 3
    assert {line["level"] for line in lines} <= {"info", "warning"}
    state = json.loads((data_dir / "postgres.json").read_text())
    assert state["password"] not in said
    assert "swordfish" not in said


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_server_whose_terminal_is_gone_ends(data_dir: Path, count: str) -> None:
    with standalone(data_dir, "--workers", count) as server:
        family = server.family()
        assert server.stop(signal.SIGHUP) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []


def test_a_server_takes_the_database_over_from_one_that_ends(data_dir: Path) -> None:
    with standalone(data_dir) as first, standalone(data_dir) as second:
        assert "takes it over when that one ends" in second.output.read_text()
        assert first.stop(signal.SIGTERM) == 0
        eventually(lambda: "took over the embedded Postgres" in second.output.read_text(), seconds=60)
        eventually(lambda: httpx.get(f"{second.url}/health", timeout=10).status_code == 200, seconds=60)
        assert second.total_jobs() == 0
        family = second.family()
        assert any(member.name().startswith("postgres") for member in family)
        assert second.stop(signal.SIGTERM) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []
