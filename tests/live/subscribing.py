"""What is asked in subscriptions, what makes them tell something, and what they have told."""

from typing import Any

from live_server import Client, LiveServer

from datasources.events import Position
from subscriptions.cursor import write_cursor

JOBS = """
subscription Jobs($filter: JobFilter, $after: String) {
  jobUpdates(filter: $filter, after: $after) { cursor jobId status previousStatus gap { reason missed } }
}"""
STEPS = """
subscription Steps($after: String) {
  nodeExecutions(jobId: "j", after: $after) { cursor position status previousStatus nodeExecution { nodeId } }
}"""
ROBOTS = """
subscription Robots($ids: [ID!], $filter: RobotFilter, $rate: Float) {
  robotStatus(robotIds: $ids, filter: $filter, maxRatePerSecond: $rate) { robotId status cpuPercent }
}"""
ACTIVITY = """
subscription Activity($kinds: [ActivityKind!], $after: String) {
  activity(kinds: $kinds, after: $after) { kind jobId robotId status previousStatus }
}"""
_JOB = """
INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at, completed_at,
    robot_id, environment, error_type, error_message)
VALUES ($1, $2, $3, 'Works', $4, $4, now() - make_interval(days => $5), now() - make_interval(days => $5),
    $6, $7, $8, $9)"""
_ROBOT = "INSERT INTO monitor.robots (robot_id, hostname, environment, last_heartbeat) VALUES ($1, 'h', $2, now())"
STEP = """
INSERT INTO monitor.node_executions (job_id, position, node_id, node_type, status, started_at)
VALUES ('j', $1::int, 'node-' || $1::int, 'http', $2, now())"""


def new_job(server: LiveServer, job: str, **differing: Any) -> None:
    fields = {
        "source": "report", "workflow": "w", "status": "completed", "days": 5, "robot": None, "environment": "default",
        "error_type": None, "error_message": None,
    } | differing  # fmt: skip
    server.sql(_JOB, job, *fields.values())


def move(server: LiveServer, job: str, status: str) -> None:
    server.sql("UPDATE monitor.jobs SET status = $2 WHERE job_id = $1", job, status)


def new_robot(server: LiveServer, robot: str, environment: str = "default") -> None:
    server.sql(_ROBOT, robot, environment)


def busy(server: LiveServer, robot: str, cpu: float) -> None:
    server.sql("UPDATE monitor.robots SET status = 'busy', cpu_percent = $2 WHERE robot_id = $1", robot, cpu)


def here(server: LiveServer) -> str:
    """The cursor of this moment, before which everything is told already."""
    [row] = server.sql("SELECT identity, (SELECT coalesce(max(seq), 0) FROM monitor.events) FROM monitor.ledger")
    return write_cursor(row[0], Position(row[1]))


def told(client: Client) -> Any:
    """What the next response tells."""
    message = client.hear()
    assert message["type"] == "next", message
    assert "errors" not in message["payload"], message
    [value] = message["payload"]["data"].values()
    return value


def refusal(client: Client) -> str:
    """The code of the error that comes next."""
    message = client.hear()
    assert message["type"] == "error", message
    return message["payload"][0]["extensions"]["code"]
