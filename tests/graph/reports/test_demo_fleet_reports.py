"""The operations that the demo fleet ships."""

from pathlib import Path

from reporting import heartbeat

DEMO_FLEET = Path(__file__).parents[3] / "clients" / "demo_fleet" / "robot.graphql"


def test_the_demo_fleets_own_operations_are_answered(graph):
    document = DEMO_FLEET.read_text()
    registered = {"robotId": "r1", "hostname": "vm", "queueManagerId": "q1"}
    replies = []
    for name, variables in (("RegisterRobot", registered), ("ReportHeartbeats", [heartbeat()])):
        body = {"query": document, "operationName": name, "variables": {"input": variables}}
        replies.append(graph.http.post("/graphql", json=body).json())
    assert replies == [
        {"data": {"registerRobot": {"outcome": "CREATED", "refusal": None}}},
        {"data": {"reportHeartbeats": {"accepted": 1, "refused": []}}},
    ]
