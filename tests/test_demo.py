"""`casare-monitor demo`, as a newcomer meets it: real robots do real work, and the graph tells of it."""

import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from command_line import COMMAND, environment

QUESTION = """
{
  robots { nodes { robotId status cpuPercent memoryMb lastHeartbeat } }
  jobs(filter: {status: [COMPLETED], source: "pgqueuer"}, first: 1) {
    nodes {
      workflowName durationMs queueWaitMs
      robot { robotId hostname }
      nodeExecutions { nodeId success durationMs }
    }
  }
  live: robots(filter: {status: [BUSY]}) { nodes { currentJob { workflowName currentNode status } } }
}
"""


@pytest.mark.slow
def test_within_a_minute_one_query_tells_what_real_robots_do_and_nothing_is_left_behind():
    with tempfile.TemporaryDirectory(prefix="casare-demo-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        output = Path(directory) / "demo.out"
        with open(output, "wb") as file:
            process = subprocess.Popen(
                [COMMAND, "demo", "--robots", "2", "--rate", "3"],
                stdout=file,
                stderr=file,
                env=environment(CASARE_DATA_DIR=f"{directory}/data", CASARE_PORT="0"),
            )
        try:
            _eventually(lambda: b"Ctrl-C stops it" in output.read_bytes() or process.poll() is not None)
            found = re.search(r"(http://\S+/graphql)", output.read_text())
            assert found, output.read_text()
            answer: dict[str, Any] = {}

            def told() -> bool:
                answer.update(httpx.post(found[1], json={"query": QUESTION}, timeout=20).json()["data"])
                at_work = any(robot["currentJob"] for robot in answer["live"]["nodes"])
                return bool(at_work and answer["jobs"]["nodes"] and len(answer["robots"]["nodes"]) == 2)

            _eventually(told, 90)
            children = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) in {0, -signal.SIGTERM, 143}
    assert all(robot["memoryMb"] > 10 and robot["lastHeartbeat"] for robot in answer["robots"]["nodes"])
    [job] = answer["jobs"]["nodes"]
    assert job["durationMs"] > 0
    assert job["robot"]["robotId"] in {robot["robotId"] for robot in answer["robots"]["nodes"]}
    assert len(job["nodeExecutions"]) >= 4
    assert all(step["success"] and step["durationMs"] > 0 for step in job["nodeExecutions"])
    _eventually(lambda: not any(child.is_running() for child in children), 10)


def _eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
