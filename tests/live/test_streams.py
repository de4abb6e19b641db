"""Each subscription to the ledger tells what it promises: over real sockets, in its order, from the right moment on."""

import json
from typing import Any

import httpx
import pytest
from live_server import PATIENCE, Client, LiveServer, serving_live, wait_until
from subscribing import ACTIVITY, JOBS, ROBOTS, STEP, STEPS, busy, here, move, new_job, new_robot, refusal, told

from datasources.events import Position
from subscriptions.cursor import read_cursor, write_cursor


def test_a_job_is_told_with_its_status_before_and_its_fields_as_they_are_by_now(
    server: LiveServer, client: Client
) -> None:
    document = """subscription ($after: String) { jobUpdates(after: $after) {
        jobId status previousStatus timestamp job { status workflow { workflowName } robot { hostname } } } }"""
    new_robot(server, "r")
    client.subscribe("1", document, after=here(server))
    new_job(server, "j", status="pending")
    workflow = {"workflowName": "Works"}
    update = told(client)
    assert update.pop("timestamp").endswith("Z")
    assert update == {"jobId": "j", "status": "PENDING", "previousStatus": None} | {
        "job": {"status": "PENDING", "workflow": workflow, "robot": None}
    }
    server.sql("UPDATE monitor.jobs SET status = 'claimed', robot_id = 'r' WHERE job_id = 'j'")
    update = told(client)
    assert (update["status"], update["previousStatus"]) == ("CLAIMED", "PENDING")
    assert update["job"] == {"status": "CLAIMED", "workflow": workflow, "robot": {"hostname": "h"}}


@pytest.mark.parametrize(
    ("criterion", "differing"),
    [
        ({"status": ["FAILED", "CANCELLED"]}, {"status": "failed"}),
        ({"workflowId": "v"}, {"workflow": "v"}),
        ({"robotId": "r"}, {"robot": "r"}),
        ({"environment": "production"}, {"environment": "production"}),
        ({"errorType": "Timeout"}, {"error_type": "Timeout"}),
        ({"source": "dbos"}, {"source": "dbos"}),
        ({"createdAt": {"from": "2000-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"}}, {"days": 5000}),
        ({"completedAt": {"to": "2020-01-01T00:00:00Z"}}, {"days": 5000}),
        ({"search": "NO PAPER"}, {"error_message": "there is no paper left"}),
        ({"status": ["FAILED"], "workflowId": "v"}, {"status": "failed", "workflow": "v"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_only_jobs_that_match_the_filter_are_told(
    server: LiveServer, client: Client, criterion: dict[str, Any], differing: dict[str, Any]
) -> None:
    client.subscribe("1", JOBS, filter=criterion, after=here(server))
    new_job(server, "other")
    new_job(server, "wanted", **differing)
    assert told(client)["jobId"] == "wanted"
    new_job(server, "another")
    new_job(server, "wanted too", **differing)
    assert told(client)["jobId"] == "wanted too"


def test_a_filter_that_makes_no_sense_is_refused(client: Client) -> None:
    client.subscribe("1", JOBS, filter={"createdAt": {"from": "2020-01-01T00:00:00Z", "to": "2000-01-01T00:00:00Z"}})
    assert refusal(client) == "BAD_USER_INPUT"


def test_the_steps_of_a_job_are_told_as_they_stand_then_as_they_change_until_the_job_ends(
    server: LiveServer, client: Client
) -> None:
    new_job(server, "j", status="claimed")
    server.sql(STEP, 0, "completed")
    server.sql(STEP, 1, "running")
    client.subscribe("1", STEPS)
    at_once = [told(client), told(client)]
    assert [(step["position"], step["status"], step["previousStatus"]) for step in at_once] == [
        (0, "COMPLETED", None),
        (1, "RUNNING", None),
    ]
    server.sql("UPDATE monitor.node_executions SET status = 'failed' WHERE position = 1")
    change = told(client)
    assert (change["position"], change["status"], change["previousStatus"]) == (1, "FAILED", "RUNNING")
    assert change["nodeExecution"] == {"nodeId": "node-1"}
    server.sql(STEP, 2, "running")
    move(server, "j", "failed")
    assert told(client)["position"] == 2
    assert client.hear() == {"id": "1", "type": "complete"}
    wait_until(lambda: server.streams.shared == 0)


def test_whoever_comes_back_to_the_steps_of_a_job_is_told_the_changes_alone_and_that_it_has_ended(
    server: LiveServer, client: Client
) -> None:
    new_job(server, "j", status="claimed")
    server.sql(STEP, 0, "completed")
    client.subscribe("1", STEPS)
    cursor = told(client)["cursor"]
    client.say({"id": "1", "type": "complete"})
    server.sql(STEP, 1, "running")
    client.subscribe("2", STEPS, after=cursor)
    assert told(client)["position"] == 1
    client.say({"id": "2", "type": "complete"})
    server.sql(STEP, 2, "running")
    move(server, "j", "completed")
    client.subscribe("3", STEPS, after=cursor)
    assert [told(client)["position"] for _ in range(2)] == [1, 2]
    assert client.hear() == {"id": "3", "type": "complete"}


def test_the_steps_of_an_unknown_job_are_refused(client: Client) -> None:
    client.subscribe("1", STEPS)
    assert refusal(client) == "NOT_FOUND"


def test_activity_is_everything_that_changes_its_status(server: LiveServer, client: Client) -> None:
    client.subscribe("1", ACTIVITY, after=here(server))
    new_robot(server, "r")
    new_job(server, "j", status="claimed")
    server.sql(STEP, 0, "running")
    busy(server, "r", 1)
    activities = [told(client) for _ in range(4)]
    assert [(each["kind"], each["status"]) for each in activities] == [
        ("ROBOT", "idle"),
        ("JOB", "claimed"),
        ("NODE", "running"),
        ("ROBOT", "busy"),
    ]
    assert activities[3]["previousStatus"] == "idle"


def test_activity_of_some_kinds_is_of_these_alone(server: LiveServer, client: Client) -> None:
    client.subscribe("1", ACTIVITY, kinds=["ROBOT"], after=here(server))
    new_job(server, "j")
    new_robot(server, "r")
    assert told(client)["robotId"] == "r"


@pytest.mark.parametrize("way", ["variable", "literal", "default", "fragment"])
def test_whoever_comes_back_with_a_cursor_is_told_what_was_missed_and_goes_on(
    server: LiveServer, client: Client, way: str
) -> None:
    after = here(server)
    server.new_jobs(2)
    fields = "{ jobId }"
    document, variables = {
        "variable": (JOBS, {"after": after}),
        "literal": (f'subscription {{ jobUpdates(after: "{after}") {fields} }}', {}),
        "default": (f'subscription ($a: String = "{after}") {{ jobUpdates(after: $a) {fields} }}', {}),
        "fragment": (
            f'subscription {{ ...F }} fragment F on Subscription {{ jobUpdates(after: "{after}") {fields} }}',
            {},
        ),
    }[way]
    client.subscribe("1", document, **variables)
    assert [told(client)["jobId"] for _ in range(2)] == ["j0", "j1"]
    server.new_jobs(2, first=2)
    assert [told(client)["jobId"] for _ in range(2)] == ["j2", "j3"]


def test_the_last_event_id_outweighs_the_cursor_of_the_operation(server: LiveServer) -> None:
    early = here(server)
    server.new_jobs(1)
    late = here(server)
    server.new_jobs(1, first=1)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": late}
    asked = {"query": JOBS, "variables": {"after": early}}
    with httpx.stream("POST", f"{server.http}/graphql", json=asked, headers=headers, timeout=PATIENCE) as response:
        line = next(line for line in response.iter_lines() if line.startswith("data: {"))
    assert json.loads(line.removeprefix("data: "))["data"]["jobUpdates"]["jobId"] == "j1"


def test_a_cursor_that_makes_no_sense_is_refused(client: Client) -> None:
    client.subscribe("1", JOBS, after="x")
    assert refusal(client) == "BAD_CURSOR"


@pytest.mark.parametrize(("reason", "missed"), [("RETENTION", 2), ("ANOTHER_LEDGER", None), ("AHEAD_OF_LEDGER", None)])
def test_whoever_cannot_be_told_what_was_missed_is_told_so_and_goes_on(
    server: LiveServer, client: Client, reason: str, missed: int | None
) -> None:
    identity, start = read_cursor(here(server))
    client.subscribe("0", JOBS, after=write_cursor(identity, start))
    server.new_jobs(3)
    assert [told(client)["jobId"] for _ in range(3)] == ["j0", "j1", "j2"]  # the worker knows of what is then forgotten
    client.say({"id": "0", "type": "complete"})
    match reason:
        case "RETENTION":
            server.sql("DELETE FROM monitor.events WHERE seq <= $1", start.high + 2)
            server.sql("UPDATE monitor.ledger SET pruned = $1", start.high + 2)
            after = write_cursor(identity, start)
        case "ANOTHER_LEDGER":
            after = write_cursor("0123456789ab", start)
        case _:
            after = write_cursor(identity, Position(start.high + 1000))
    client.subscribe("1", JOBS, after=after)
    gap = told(client)
    assert gap["gap"] == {"reason": reason, "missed": missed}
    assert (gap["jobId"], gap["status"]) == (None, None)
    if reason == "RETENTION":
        assert told(client)["jobId"] == "j2"
    server.new_jobs(1, first=3)
    assert told(client)["jobId"] == "j3"
    client.subscribe("2", JOBS, after=gap["cursor"])
    assert told(client)["jobId"] in {"j2", "j3"}


@pytest.mark.slow
def test_a_robot_that_falls_silent_is_told_offline_by_all_who_speak_of_robots(dsn: str) -> None:
    with serving_live(dsn, offline_after_seconds=2) as server, Client(f"{server.ws}/graphql") as client:
        client.introduce()
        with Client(f"{server.ws}/graphql") as other:
            other.introduce().subscribe("1", ACTIVITY, kinds=["ROBOT"], after=here(server))
            new_robot(server, "r")
            assert told(other)["status"] == "idle"
            client.subscribe("1", ROBOTS)
            assert [told(client)["status"] for _ in range(2)] == ["IDLE", "OFFLINE"]
            activity = told(other)
            assert (activity["status"], activity["previousStatus"], activity["robotId"]) == ("offline", "idle", "r")
    events = server.sql("SELECT status FROM monitor.events WHERE robot_id = 'r' ORDER BY seq")
    assert [event["status"] for event in events] == ["idle", "offline"]
