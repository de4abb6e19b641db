"""Who may not ask what: told by status and code over HTTP, and by code on sockets and streams."""

import json
from typing import Any

import pytest
from serving import Graph, Reply
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from graph.viewer import Role

QUESTION = "{ fleet { totalRobots } }"
REPORT = 'mutation { reportHeartbeats(input: [{robotId: "x", status: IDLE}]) { accepted } }'
WATCH = "subscription { robotStatus { robotId } }"
ABOUT_THE_SCHEMA = "{ __schema { queryType { name } } }"
NOBODY = {"Authorization": ""}
MEDIA_TYPES = ["application/json", "application/graphql-response+json"]


@pytest.fixture
def guarded(serve, secret: str) -> Any:
    with serve(jwt_secret=secret) as graph:
        yield graph


def asked(graph: Graph, query: str, headers: dict[str, str] | None = None, accept: str = "application/json") -> Reply:
    return Reply(graph.http.post("/graphql", json={"query": query}, headers={"Accept": accept, **(headers or {})}))


@pytest.mark.parametrize("accept", MEDIA_TYPES)
@pytest.mark.parametrize(
    "query", [QUESTION, REPORT, "{ a: __typename ...F } fragment F on Query { b: fleet { asOf } }"]
)
def test_who_brings_nothing_is_told_to_log_in(guarded: Graph, accept: str, query: str) -> None:
    reply = asked(guarded, query, accept=accept)
    assert reply.response.status_code == 401
    assert reply.response.headers["www-authenticate"].startswith("Bearer")
    assert reply.codes == ["UNAUTHENTICATED"]
    assert "data" not in reply.body


@pytest.mark.parametrize("accept", MEDIA_TYPES)
def test_who_has_not_the_role_is_told_which_one_it_takes(guarded: Graph, credentials, accept: str) -> None:
    reply = asked(guarded, REPORT, credentials("viewer"), accept)
    assert reply.response.status_code == 403
    [error] = reply.body["errors"]
    assert error["message"] == "Mutation.reportHeartbeats is for those with the role robot; yours is viewer."
    assert error["extensions"] == {"code": "FORBIDDEN"}
    assert asked(guarded, QUESTION, credentials("robot")).codes == ["FORBIDDEN"]
    assert asked(guarded, QUESTION, credentials("viewer")).codes == []
    assert asked(guarded, REPORT, credentials("robot")).codes == []


def test_everybody_may_ask_who_they_are(guarded: Graph) -> None:
    assert asked(guarded, "{ viewer { name } __typename }").codes == []


def test_a_socket_tells_by_code(guarded: Graph, credentials) -> None:
    url = guarded.url.replace("http", "ws") + "/graphql"
    robot = credentials("robot")
    with connect(
        url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=robot, open_timeout=10
    ) as socket:
        socket.send('{"type": "connection_init"}')
        assert json.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        for number, query in enumerate([QUESTION, WATCH]):
            socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": {"query": query}}))
            told = json.loads(socket.recv(timeout=10))
            assert told["type"] == "error"
            assert told["payload"][0]["extensions"]["code"] == "FORBIDDEN"


def test_a_stream_tells_by_status_before_it_begins(guarded: Graph, credentials) -> None:
    accept = "text/event-stream"
    assert asked(guarded, WATCH, accept=accept).response.status_code == 401
    refused = asked(guarded, WATCH, credentials("robot"), accept)
    assert refused.response.status_code == 403
    assert refused.codes == ["FORBIDDEN"]


def test_what_is_too_much_a_minute_is_told_with_the_time_to_wait(serve) -> None:
    with serve(rate_limits="on", rate_limit_cost=100, max_query_cost=100) as graph:
        replies = [asked(graph, QUESTION, accept=MEDIA_TYPES[number % 2]) for number in range(40)]
    refused = [reply for reply in replies if reply.response.status_code != 200]
    assert {reply.response.status_code for reply in refused} == {429}
    assert all(reply.codes == ["RATE_LIMITED"] for reply in refused)
    assert all(int(reply.response.headers["retry-after"]) > 0 for reply in refused)


def test_what_is_refused_is_paid_for_too(serve) -> None:
    with serve(rate_limits="on", rate_limit_cost=15_000, max_query_cost=15_000) as graph:
        codes = [code for _ in range(3) for code in asked(graph, "{ nope }").codes]
    assert codes == ["GRAPHQL_VALIDATION_FAILED", "RATE_LIMITED", "RATE_LIMITED"]


@pytest.mark.parametrize("accept", ["text/event-stream", "text/event-stream, application/json"])
def test_what_a_stream_refuses_is_paid_for_once(serve, secret: str, credentials, accept: str) -> None:
    settings = {"rate_limits": "on", "rate_limit_cost": 25_000, "max_query_cost": 25_000}
    with serve(jwt_secret=secret, **settings) as graph:
        for query in ["{ nope }", WATCH]:
            headers = credentials("robot", sub=f"{query} {accept}"[:40])
            texts = [asked(graph, query, headers, accept).response.text for _ in range(3)]
            assert ["RATE_LIMITED" in text for text in texts] == [False, False, True]


@pytest.mark.parametrize(
    ("setting", "for_nobody", "for_somebody"),
    [
        ("all", [], []),
        ("known", ["INTROSPECTION_DISABLED"], []),
        ("none", ["INTROSPECTION_DISABLED"], ["INTROSPECTION_DISABLED"]),
    ],
)
def test_who_may_look_at_the_schema_is_a_setting(
    serve, secret: str, credentials, setting: str, for_nobody: list[str], for_somebody: list[str]
) -> None:
    with serve(jwt_secret=secret, introspection=setting) as graph:
        assert asked(graph, ABOUT_THE_SCHEMA).codes == for_nobody
        assert asked(graph, ABOUT_THE_SCHEMA, credentials("viewer")).codes == for_somebody
        hidden = asked(graph, '{ ... { ...F } } fragment F on Query { a: __type(name: "Job") { name } }')
        assert hidden.codes == for_nobody


@pytest.mark.parametrize("setting", ["all", "known", "none"])
def test_names_are_suggested_only_where_the_schema_is_shown_to_all(
    serve, secret: str, credentials, setting: str
) -> None:
    wrong = [
        "{ flet { asOf } }",
        "{ jobs(firs: 1) { totalCount } }",
        "{ jobs(orderBy: CREATED_AT_DES) { totalCount } }",
    ]
    variables = {"query": "query ($f: JobFilter) { jobs(filter: $f) { totalCount } }", "variables": {"f": {"statu": 1}}}
    with serve(jwt_secret=secret, introspection=setting) as graph:
        texts = [asked(graph, query, credentials("viewer")).response.text for query in wrong]
        texts.append(graph.http.post("/graphql", json=variables, headers=credentials("viewer")).text)
    assert [("Did you mean" in text) for text in texts] == [setting == "all"] * 4


def test_roles_of_the_schema_are_the_roles_that_are_asked(guarded: Graph, credentials) -> None:
    for role in (Role.VIEWER, Role.OPERATOR, Role.DEVELOPER, Role.ADMIN):
        assert asked(guarded, QUESTION, credentials(role.value)).codes == []
