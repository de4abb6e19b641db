"""What makes no sense is refused with a code, and never with a failure of ours."""

import base64
import json
from typing import Any

import pytest

NUL = "a\x00b"
INVALID = "GRAPHQL_VALIDATION_FAILED"
VALUE = "BAD_USER_INPUT"
JOBS_BY_NEWEST = "jobs:CREATED_AT_DESC"


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize("argument", ["first", "last"])
@pytest.mark.parametrize("number", [0, -1, 101, 2**31 - 1])
@pytest.mark.parametrize("items", ["jobs", "robots"])
def test_a_page_has_1_to_100_items(seeded, items: str, argument: str, number: int) -> None:
    reply = seeded.ask(f"query ($n: Int!) {{ {items}({argument}: $n) {{ totalCount }} }}", n=number)
    assert reply.codes == [VALUE]
    assert f"{argument} must lie between 1 and 100" in reply.body["errors"][0]["message"]


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("workflows(first: $n) { totalCount }", 101),
        ('robot(robotId: "robot-001") { heartbeats(last: $n) { at } }', 1001),
        ('robot(robotId: "robot-001") { jobs(first: $n) { totalCount } }', 101),
        ('job(jobId: "seed-7-00000001") { nodeExecutions(first: $n) { position } }', 1001),
    ],
)
def test_every_list_has_a_longest_page(seeded, field: str, number: int) -> None:
    assert seeded.ask(f"query ($n: Int!) {{ {field} }}", n=number).codes == [VALUE]


@pytest.mark.parametrize("value", [2**31, 2**53, 1.5, 1e308, "1", True, None, [], {}, [[1]]])
def test_what_is_no_number_is_refused_as_a_page_size(seeded, value: Any) -> None:
    assert seeded.ask("query ($n: Int!) { jobs(first: $n) { totalCount } }", n=value).codes == [VALUE]


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "====",
        "é",
        NUL,
        "",
        "A" * 900_000,
        cursor(),
        cursor(JOBS_BY_NEWEST),
        cursor(JOBS_BY_NEWEST, 1, 2),
        cursor(JOBS_BY_NEWEST, "yesterday", "a"),
        cursor(JOBS_BY_NEWEST, "99999-01-01T00:00:00Z", "a"),
        cursor(JOBS_BY_NEWEST, "2026-01-01T00:00:00Z", NUL),
        cursor("robots:ROBOT_ID_ASC", "", "robot-001"),
        cursor("jobs:CREATED_AT_ASC", "2026-01-01T00:00:00Z", "a"),
        cursor("workflows", "", "a"),
    ],
)
@pytest.mark.parametrize("argument", ["after", "before"])
def test_a_cursor_that_is_garbage_or_of_another_list_is_refused(seeded, argument: str, text: str) -> None:
    reply = seeded.ask(f"query ($at: String) {{ jobs({argument}: $at) {{ nodes {{ jobId }} }} }}", at=text)
    assert reply.codes == ["BAD_CURSOR"]


@pytest.mark.parametrize("name", ["createdAt", "completedAt"])
def test_an_inverted_range_is_refused(seeded, name: str) -> None:
    span = '{from: "2026-02-01T00:00:00Z", to: "2026-01-01T00:00:00Z"}'
    assert seeded.ask(f"{{ jobs(filter: {{{name}: {span}}}) {{ totalCount }} }}").codes == [VALUE]


@pytest.mark.parametrize(
    "window",
    [
        {},
        {"last": None},
        {"between": None},
        {"last": "P1D", "between": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}},
        {"between": {"from": "2026-01-01T00:00:00Z"}},
        {"between": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}},
        {"between": {"from": "2020-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}},
        {"between": {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}},
        {"last": "PT0S"},
        {"last": "P367D"},
        {"last": "P99999D"},
        {"last": "PT999999999S"},
        {"last": "PT9999999999999999999S"},
        {"last": "P1Y"},
        {"last": "P-1D"},
        {"last": "P1.5D"},
        {"last": "P٣D"},
        {"last": "P"},
        {"last": "P1D" + " " * 900_000},
        {"last": 7},
        [],
    ],
)
def test_a_window_of_time_that_makes_no_sense_is_refused(seeded, window: Any) -> None:
    reply = seeded.ask("query ($w: TimeWindow) { analytics(window: $w) { totalJobs } }", w=window)
    assert reply.codes == [VALUE]


MOMENTS = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "-4000-01-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T00:00:00+99:99",
    "2026-01-01T00:00:00",
    "2026-01-01",
    "2026-01-01T00:00:00\x00Z",
    "２０２６-01-01T00:00:00Z",
    "infinity",
    "now",
    "",
    "x" * 10_000,
    1_767_225_600,
    True,
    {"a": 1},
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_no_moment_is_refused(seeded, moment: Any) -> None:
    reply = seeded.ask("query ($t: DateTime) { jobs(filter: {createdAt: {from: $t}}) { totalCount } }", t=moment)
    assert reply.codes == [VALUE]


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if not isinstance(moment, dict)])
def test_what_is_no_moment_is_refused_in_the_document_too(seeded, moment: Any) -> None:
    reply = seeded.ask(f"{{ jobs(filter: {{createdAt: {{from: {json.dumps(moment)}}}}}) {{ totalCount }} }}")
    assert reply.codes == [INVALID]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "9999-12-31T00:00:00+14:00"])
def test_the_first_and_the_last_moment_are_moments(seeded, moment: str) -> None:
    query = "query ($t: DateTime) { jobs(filter: {completedAt: {to: $t}, createdAt: {from: $t}}) { totalCount } }"
    assert seeded.ask(query, t=moment).data["jobs"]["totalCount"] == 0


@pytest.mark.parametrize(
    "field",
    [
        "job(jobId: $id) { jobId }",
        "robot(robotId: $id) { robotId }",
        "workflow(workflowId: $id) { workflowId }",
    ],
)
@pytest.mark.parametrize("unknown", ["", "nope", "🤖\u202e\ufffe", "' OR 1=1 --", ":limit", "x" * 1_000_000])
def test_an_unknown_id_is_null_whatever_it_looks_like(seeded, field: str, unknown: str) -> None:
    assert list(seeded.ask(f"query ($id: ID!) {{ {field} }}", id=unknown).data.values()) == [None]


@pytest.mark.parametrize(
    "field",
    [
        "job(jobId: $id) { jobId }",
        "robot(robotId: $id) { robotId }",
        "workflow(workflowId: $id) { workflowId }",
        "jobs(filter: {workflowId: $id}) { totalCount }",
        "jobs(filter: {search: $text}) { nodes { jobId } }",
        "robots(filter: {environment: $text}) { totalCount }",
        "workflows(search: $text) { totalCount }",
        "fleet(environment: $text) { totalRobots }",
        "analytics(workflowId: $id) { totalJobs }",
    ],
)
def test_a_text_that_postgres_cannot_take_is_refused(seeded, field: str) -> None:
    kind, name = ("ID!", "id") if "$id" in field else ("String", "text")
    reply = seeded.ask(f"query (${name}: {kind}) {{ {field} }}", **{name: NUL})
    assert reply.codes == [VALUE]


@pytest.mark.parametrize("id", ["", "x", "Job:1", NUL, "é", "Sm9i", cursor("Job"), "x" * 900_000])
def test_what_is_no_global_id_is_refused(seeded, id: str) -> None:
    assert seeded.ask("query ($id: ID!) { node(id: $id) { id } }", id=id).codes == ["BAD_ID"]


@pytest.mark.parametrize("count", [101, 9_000])
def test_too_many_global_ids_are_refused(seeded, count: int) -> None:
    assert seeded.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * count).codes == [VALUE]


@pytest.mark.parametrize(
    "text",
    ["%", "_%_", "\\", "%" * 200, "_" * 200, "\\" * 200, "a%" * 100, "a b c " * 33, "x" * 200, "'; --"],
)
def test_a_search_takes_every_text_as_it_stands(seeded, text: str) -> None:
    data = seeded.ask(
        """query ($text: String!) {
          jobs(filter: {search: $text}) { totalCount nodes { jobId } }
          robots(filter: {search: $text}) { totalCount }
          workflows(search: $text) { totalCount }
        }""",
        text=text,
    ).data
    assert [found["totalCount"] for found in data.values()] == [0, 0, 0]


def test_a_search_for_nothing_finds_everything(seeded) -> None:
    data = seeded.ask("""{ all: jobs { totalCount } searched: jobs(filter: {search: ""}) { totalCount } }""").data
    assert data["searched"] == data["all"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"id": None},
        {"id": {"x": 1}},
        {"id": 1.5},
        {"id": True},
        {"id": json.loads("[" * 20 + "]" * 20)},
    ],
)
def test_a_variable_of_the_wrong_shape_is_refused(seeded, variables: dict[str, Any]) -> None:
    assert seeded.ask("query ($id: ID!) { job(jobId: $id) { jobId } }", **variables).codes == [VALUE]


def test_thousands_of_wrong_values_make_an_answer_of_moderate_length(seeded) -> None:
    reply = seeded.ask("query ($s: [JobStatus!]) { jobs(filter: {status: $s}) { totalCount } }", s=["NO"] * 9_000)
    assert set(reply.codes) == {VALUE}
    assert len(reply.response.content) < 50_000


MUTATIONS = {
    "registerRobot": """mutation ($id: ID!, $text: String!) { registerRobot(input: {robotId: $id, hostname: $text,
        environment: $text, capabilities: [$text], queueManagerId: $text}) { refusal { code } } }""",
    "reportJob": """mutation ($id: ID!, $text: String!) { reportJob(input: {jobId: $id, workflowId: $id, status: FAILED,
        workflowName: $text, rawStatus: $text, errorType: $text, errorMessage: $text}) { refusal { code } } }""",
}


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize(("id", "text"), [(NUL, "t"), ("i", NUL), ("", "t"), ("x" * 300, "t"), ("i", "x" * 900_000)])
def test_a_report_that_cannot_be_stored_is_refused_as_data(graph, name: str, id: str, text: str) -> None:
    assert graph.ask(MUTATIONS[name], id=id, text=text).data[name]["refusal"] == {"code": "INVALID_VALUE"}


@pytest.mark.parametrize("percent", [-1, 101, 1e308, 2**53])
def test_a_heartbeat_with_an_impossible_share_is_refused_as_data(seeded, percent: float) -> None:
    report = """mutation ($p: Float) {
        reportHeartbeats(input: [{robotId: "robot-001", status: IDLE, memoryPercent: $p}]) { accepted refused { code } }
    }"""
    data = seeded.ask(report, p=percent).data
    assert data == {"reportHeartbeats": {"accepted": 0, "refused": [{"code": "INVALID_VALUE"}]}}


@pytest.mark.parametrize("count", [0, 501])
def test_a_report_holds_1_to_500_heartbeats(seeded, count: int) -> None:
    report = "mutation ($h: [HeartbeatInput!]!) { reportHeartbeats(input: $h) { accepted } }"
    assert seeded.ask(report, h=[{"robotId": "robot-001", "status": "IDLE"}] * count).codes == [VALUE]


@pytest.mark.parametrize(
    "question", ["jobs(filter: {search: $text})", "robots(filter: {search: $text})", "workflows(search: $text)"]
)
def test_a_text_to_search_for_has_a_length_that_somebody_would_type(seeded, question):
    reply = seeded.ask(f"query ($text: String) {{ {question} {{ totalCount }} }}", text="x" * 201)
    assert reply.codes == ["BAD_USER_INPUT"]
