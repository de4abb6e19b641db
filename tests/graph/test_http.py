"""GraphQL over HTTP: what is taken, in which media type it is answered, and what is no request at all."""

import json
import re
import socket
from urllib.parse import urlsplit

import httpx
import pytest

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
QUESTION = b'{"query": "{ __typename }"}'
REGISTER = 'mutation { registerRobot(input: {robotId: "r", hostname: "h"}) { outcome } }'


@pytest.fixture
def raw(seeded) -> httpx.Client:
    return seeded.http


def code(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    return error["extensions"]["code"]


def post(raw: httpx.Client, body: bytes = QUESTION, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw.post("/graphql", content=body, headers={"content-type": JSON, **given})


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON}, {GRAPHQL};q=0.9", JSON),
        (f"{GRAPHQL};q=0.5, {JSON};q=0.4", GRAPHQL),
        (f"{GRAPHQL}; charset=utf-8, {JSON};q=0.9", GRAPHQL),
        ("APPLICATION/JSON", JSON),
    ],
)
def test_the_answer_comes_in_the_media_type_that_the_client_prefers(raw, accept: str, media_type: str) -> None:
    answer = post(raw, accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["vary"].startswith("Accept")
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "accept",
    ["text/html", "text/plain", "junk", ";;;", ",,,", "*/*;q=0", "text/event-stream;q=0.0", f"{JSON};q=2", "x" * 8000],
)
def test_a_client_that_takes_no_json_is_told_so(raw, accept: str) -> None:
    answer = post(raw, accept=accept)
    assert (answer.status_code, code(answer)) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(("media_type", "status"), [(JSON, 200), (GRAPHQL, 400)])
@pytest.mark.parametrize("document", ["{", "{ nope }", "query A { __typename } query B { __typename }"])
def test_a_refused_document_is_400_only_in_the_new_media_type(raw, media_type: str, status: int, document: str) -> None:
    answer = post(raw, json.dumps({"query": document}).encode(), accept=media_type)
    assert answer.status_code == status
    assert code(answer)


def test_a_field_that_failed_is_still_an_answer(raw) -> None:
    body = b'{"query": "{ __typename node(id: \\"x\\") { id } }"}'
    answer = post(raw, body, accept=GRAPHQL)
    assert (answer.status_code, code(answer)) == (200, "BAD_ID")
    assert answer.json()["data"] == {"__typename": "Query", "node": None}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; application/json",
        "application/graphql",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json, text/plain",
        "",
    ],
)
def test_what_a_form_of_another_site_could_send_is_refused(raw, content_type: str) -> None:
    answer = post(raw, content_type=content_type)
    assert (answer.status_code, code(answer)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content_type", ["application/json;charset=utf-8", 'application/json; charset="UTF-8"', "Application/JSON"]
)
def test_json_in_utf_8_is_taken_however_it_is_written(raw, content_type: str) -> None:
    assert post(raw, content_type=content_type).json() == {"data": {"__typename": "Query"}}


def test_a_question_may_be_asked_by_get(raw) -> None:
    parameters = {
        "query": "query A($id: ID!) { job(jobId: $id) { jobId } } query B { nope: __typename }",
        "operationName": "A",
        "variables": '{"id": "x"}',
    }
    answer = raw.get("/graphql", params=parameters)
    assert answer.json() == {"data": {"job": None}}


def test_a_report_is_not_taken_by_get(raw) -> None:
    answer = raw.get("/graphql", params={"query": REGISTER})
    assert (answer.status_code, code(answer)) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused_with_those_that_are_allowed(raw, method: str) -> None:
    answer = raw.request(method, "/graphql")
    assert (answer.status_code, code(answer)) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_head_is_answered_like_get_without_the_body(raw) -> None:
    answer = raw.head("/graphql", params={"query": "{ __typename }"}, headers={"Accept": JSON})
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_browser_gets_graphiql(raw) -> None:
    answer = raw.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-request-id"]


def test_the_root_leads_to_graphiql(raw) -> None:
    answer = raw.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "graphql")


def test_a_clients_own_request_id_comes_back(raw) -> None:
    assert post(raw, x_request_id="trace-1:a.b_c").headers["x-request-id"] == "trace-1:a.b_c"


@pytest.mark.parametrize("given", ["", "a b", "x" * 10_240, "<script>", 'a"b'])
def test_a_request_id_that_is_not_sane_is_replaced(raw, given: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", post(raw, x_request_id=given).headers["x-request-id"])


def test_a_refused_request_has_its_id_too(raw) -> None:
    assert post(raw, b"", x_request_id="mine").headers["x-request-id"] == "mine"


def test_the_answer_tells_how_many_statements_it_took(seeded) -> None:
    assert seeded.ask("{ __typename }").statements == 0
    assert seeded.ask('{ job(jobId: "x") { jobId } }').statements == 1


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: abc",
        "Content-Length: -1",
        f"Content-Length: {'9' * 5000}",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nX-Request-ID: a\nb: c",
    ],
)
def test_a_request_that_is_no_http_is_refused(seeded, lines: str) -> None:
    assert spoken(seeded, lines, b"{}").startswith(b"HTTP/1.1 400 ")


def test_a_body_announced_as_too_large_is_refused_before_it_is_sent(seeded) -> None:
    answer = spoken(seeded, "Content-Length: 99999999999", b"")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def spoken(server, lines: str, body: bytes) -> bytes:
    """The answer to a request that no client library would send."""
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n{lines}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


DEEP = 100_000
BODIES = {
    "a number": b"1",
    "null": b"null",
    "a string": b'"query"',
    "a list": b'[{"query": "{ __typename }"}]',
    "nothing": b"",
    "half an object": b'{"query": "{ __typename }"',
    "two objects": b'{"query": "{ __typename }"}{}',
    "invalid UTF-8": b'{"query": "\xff"}',
    "UTF-16": '{"query": "{ __typename }"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"query": "{ __typename }"}',
    "a lone surrogate": b'{"query": "{ __typename } # \\ud800"}',
    "NaN": b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    "an integer of 5,000 digits": b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 5000 + b"}}",
    "a list nested 100,000 deep": b"[" * DEEP + b"]" * DEEP,
    "variables nested 100,000 deep": b'{"query": "{ __typename }", "variables": '
    + b'{"a":' * DEEP
    + b"1"
    + b"}" * DEEP
    + b"}",
    "no query": b'{"variables": {}}',
    **{
        f"{name} of the wrong kind: {value}": json.dumps({"query": "{ __typename }", name: value}).encode()
        for name, values in {
            "query": (1, [], {}, True, None, ""),
            "variables": (1, [], "", True),
            "operationName": (1, [], {}, True),
            "extensions": (1, [], "", True),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_no_request_is_refused(raw: httpx.Client, body: bytes) -> None:
    answer = raw.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["BAD_REQUEST"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(raw: httpx.Client, chunked: bool) -> None:
    body = b'{"query": "{ __typename }"}' + b" " * 1_048_576
    content = (body[at : at + 65_536] for at in range(0, len(body), 65_536)) if chunked else body
    answer = raw.post("/graphql", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["extensions"]["code"] == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize(
    "parameters",
    ["query=%ff", "query=", "variables={}", "query={__typename}&variables=[", "query={__typename}&variables=1"],
)
def test_a_query_string_that_is_no_request_is_refused(raw: httpx.Client, parameters: str) -> None:
    answer = raw.get(f"/graphql?{parameters}", headers={"Accept": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("name", ["B", "", " ", "a\x00b", "x" * 100_000])
def test_an_operation_that_is_not_there_or_one_of_several_is_not_guessed(raw: httpx.Client, name: str) -> None:
    document = "query A { __typename } query C { __typename }"
    answer = raw.post("/graphql", json={"query": document, "operationName": name}).json()
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["OPERATION_NOT_FOUND"]
    assert "A, C" in answer["errors"][0]["message"]
