"""`casare-monitor demo`, as a newcomer meets it: real robots do real work, and the graph tells of it."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import server
from serving import eventually

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
def test_within_a_minute_one_query_tells_what_real_robots_do_and_nothing_is_left_behind(data_dir: Path) -> None:
    output = data_dir.with_suffix(".out")
    with server(output, "demo", "--robots", "2", "--rate", "3", CASARE_DATA_DIR=str(data_dir)) as demo:
        answer: dict[str, Any] = {}

        def told() -> bool:
            answer.update(httpx.post(f"{demo.url}/graphql", json={"query": QUESTION}, timeout=20).json()["data"])
            at_work = any(robot["currentJob"] for robot in answer["live"]["nodes"])
            return bool(at_work and answer["jobs"]["nodes"] and len(answer["robots"]["nodes"]) == 2)

        eventually(told, seconds=90)
        children = demo.family()
        assert demo.stop(signal.SIGTERM, seconds=20) in {0, -signal.SIGTERM, 143}
    assert all(robot["memoryMb"] > 10 and robot["lastHeartbeat"] for robot in answer["robots"]["nodes"])
    [job] = answer["jobs"]["nodes"]
    assert job["durationMs"] > 0
    assert job["robot"]["robotId"] in {robot["robotId"] for robot in answer["robots"]["nodes"]}
    assert len(job["nodeExecutions"]) >= 4
    assert all(step["success"] and step["durationMs"] > 0 for step in job["nodeExecutions"])
    eventually(lambda: not any(child.is_running() for child in children), seconds=10)
