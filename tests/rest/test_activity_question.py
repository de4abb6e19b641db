"""Activity as a question to the graph."""

import pytest
from serving import Graph

ALL = "activity(first: 100) { totalCount nodes { eventId type kind status previousStatus jobId robotId } }"


def events(graph: Graph, arguments: str, fields: str = "eventId type kind status") -> list[dict]:
    return graph.ask(f"{{ activity({arguments}) {{ nodes {{ {fields} }} }} }}").data["activity"]["nodes"]


def test_activity_is_all_that_the_ledger_holds_newest_first(standing_fleet: Graph) -> None:
    told = standing_fleet.ask(f"{{ {ALL} }}").data["activity"]
    ledger = standing_fleet.sql("SELECT seq::text FROM monitor.events ORDER BY at DESC, seq DESC")
    assert [event["eventId"] for event in told["nodes"]] == [row["seq"] for row in ledger]
    assert told["totalCount"] == len(ledger)


def test_activity_is_read_page_by_page(standing_fleet: Graph) -> None:
    whole = [event["eventId"] for event in events(standing_fleet, "first: 100")]
    found, after = [], None
    question = """
        query ($after: String) {
          activity(first: 3, after: $after) { nodes { eventId } pageInfo { hasNextPage endCursor } }
        }
    """
    while True:
        page = standing_fleet.ask(question, after=after).data["activity"]
        found += [event["eventId"] for event in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert found == whole


def test_activity_of_one_kind(standing_fleet: Graph) -> None:
    assert {event["kind"] for event in events(standing_fleet, "kinds: [NODE]")} == {"NODE"}
    assert events(standing_fleet, "kinds: []") == []


@pytest.mark.parametrize(
    ("change", "type_"),
    [
        ("UPDATE monitor.robots SET status = 'offline' WHERE robot_id = 'r-idle'", "ROBOT_OFFLINE"),
        ("UPDATE monitor.robots SET status = 'failed' WHERE robot_id = 'r-idle'", "ROBOT_FAILED"),
        ("UPDATE monitor.robots SET status = 'busy' WHERE robot_id = 'r-idle'", None),
        ("UPDATE monitor.jobs SET status = 'claimed', claimed_at = now() WHERE job_id = 'j-wait'", "JOB_STARTED"),
        ("UPDATE monitor.jobs SET status = 'cancelled', completed_at = now() WHERE job_id = 'j-run'", "JOB_CANCELLED"),
        ("UPDATE monitor.jobs SET status = 'pending' WHERE job_id = 'j-run'", None),
    ],
)
def test_what_happened_has_a_type(small_fleet: Graph, change: str, type_: str | None) -> None:
    small_fleet.sql(change)
    assert events(small_fleet, "first: 1")[0]["type"] == type_


def test_a_robot_that_comes_back_is_online_again(small_fleet: Graph) -> None:
    small_fleet.sql("UPDATE monitor.robots SET status = 'offline' WHERE robot_id = 'r-idle'")
    small_fleet.sql("UPDATE monitor.robots SET status = 'idle' WHERE robot_id = 'r-idle'")
    told = events(small_fleet, "first: 2, types: [ROBOT_ONLINE, ROBOT_OFFLINE]", "type title details")
    assert told == [
        {"type": "ROBOT_ONLINE", "title": "Robot online: vm-a", "details": "Robot r-idle is now idle"},
        {"type": "ROBOT_OFFLINE", "title": "Robot offline: vm-a", "details": "Robot r-idle is now offline"},
    ]


def test_activity_says_what_happened_in_a_line(standing_fleet: Graph) -> None:
    told = events(standing_fleet, "types: [JOB_FAILED, JOB_COMPLETED]", "title details")
    assert told == [
        {"title": "Job failed: Invoice intake", "details": "Failed on robot r-busy: InvoiceFormatError"},
        {"title": "Job completed: Invoice intake", "details": "Executed by robot r-busy in 4000 ms"},
    ]


def test_activity_takes_one_statement_for_each_distinct_field_path(standing_fleet: Graph) -> None:
    reply = standing_fleet.ask(
        "{ activity(first: 100) { totalCount nodes { title details job { status } robot { status } } } }"
    )
    assert len(reply.data["activity"]["nodes"]) > 5
    assert reply.statements == 4
