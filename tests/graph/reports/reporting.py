"""Reports over HTTP, in few words."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx

REGISTER = """mutation($input: RegisterRobotInput!) {
  registerRobot(input: $input) {
    outcome robot { robotId hostname environment capabilities status } refusal { code message key }
  }
}"""
BEAT = """mutation($input: [HeartbeatInput!]!) {
  reportHeartbeats(input: $input) { outcome accepted refused { index key code message } }
}"""
JOB = """mutation($input: JobReportInput!) {
  reportJob(input: $input) {
    outcome refusal { code message key }
    job { status rawStatus retryCount claimedAt completedAt durationMs errorType robot { robotId } }
  }
}"""
STEPS = """mutation($input: NodeExecutionsInput!) {
  reportNodeExecutions(input: $input) {
    outcome accepted refused { index key code message }
    job { nodeExecutions { position nodeId status startedAt completedAt retryCount } }
  }
}"""


def register(graph, robot_id="r1", **words):
    return graph.ask(REGISTER, input={"robotId": robot_id, "hostname": "vm", **words}).data["registerRobot"]


def beat(graph, *heartbeats):
    return graph.ask(BEAT, input=list(heartbeats)).data["reportHeartbeats"]


def heartbeat(robot_id="r1", status="BUSY", seconds=0, **words):
    return {"robotId": robot_id, "status": status, "at": ago(-seconds), **words}


def report(graph, status, job_id="j1", **words):
    return graph.ask(JOB, input={"jobId": job_id, "workflowId": "w", "status": status, **words}).data["reportJob"]


def steps(graph, *nodes, job_id="j1"):
    defaults = {"nodeId": "n", "nodeType": "step", "status": "RUNNING"}
    nodes = [{**defaults, "position": position, **node} for position, node in nodes]
    return graph.ask(STEPS, input={"jobId": job_id, "nodes": nodes}).data["reportNodeExecutions"]


def ago(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def refusal(answer):
    assert answer["outcome"] == "REFUSED"
    return answer["refusal"]["code"]


def ledger(graph, kind):
    rows = graph.sql("SELECT previous_status, status FROM monitor.events WHERE kind = $1 ORDER BY seq", kind)
    return [tuple(row) for row in rows]


def recorded(graph):
    rows = graph.sql("SELECT source_key, code, times FROM monitor.source_errors WHERE source = 'report' ORDER BY 1, 2")
    return [tuple(row) for row in rows]


def at_once(graph, query, inputs):
    """The answers to one operation sent with all these inputs at the same time."""

    def send(body):
        return httpx.post(
            f"{graph.url}/graphql", json={"query": query, "variables": {"input": body}}, timeout=30
        ).json()

    with ThreadPoolExecutor(len(inputs)) as threads:
        answers = list(threads.map(send, inputs))
    assert [answer["errors"] for answer in answers if "errors" in answer] == []
    return [answer["data"] for answer in answers]
