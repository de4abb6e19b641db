"""What is known to hurt GraphQL servers: none of it gets through, on an open server or on a closed one."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from abuses import DOCUMENTS, PAGES, REQUESTS, VARIABLES
from serving import Graph
from websockets.sync.client import connect
from websockets.typing import Subprotocol

MUTATION = 'mutation { reportHeartbeats(input: [{robotId: "x", status: IDLE}]) { accepted } }'


@pytest.fixture(params=["opened", "closed"])
def graph(request: pytest.FixtureRequest) -> Iterable[Graph]:
    """Each of the two servers, of which nothing but refusals may come, and which lives on."""
    graph: Graph = request.getfixturevalue(request.param)
    yield graph
    assert graph.ask("{ fleet { totalRobots } }").data["fleet"]["totalRobots"] == 100


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_is_abuse_is_refused(graph: Graph, name: str) -> None:
    document, codes = DOCUMENTS[name]
    reply = graph.ask(document)
    assert reply.response.status_code == 200
    assert set(reply.codes) <= codes
    assert reply.codes
    assert "data" not in reply.body
    assert len(reply.response.content) < 30_000


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_that_are_abuse_are_refused(graph: Graph, name: str) -> None:
    document, variables, codes = VARIABLES[name]
    reply = graph.ask(document, **variables)
    assert reply.response.status_code == 200
    assert set(reply.codes) <= codes
    assert reply.codes
    assert len(reply.response.content) < 100_000


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_is_none_is_refused(graph: Graph, name: str) -> None:
    sent, status, codes = REQUESTS[name]
    response = graph.http.post("/graphql", **sent)
    assert response.status_code == status
    assert {error["extensions"]["code"] for error in response.json()["errors"]} == codes


def test_nothing_is_changed_by_a_link(graph: Graph) -> None:
    response = graph.http.get("/graphql", params={"query": MUTATION})
    assert response.status_code == 405
    assert response.json()["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"


def test_a_question_may_be_a_link(graph: Graph) -> None:
    query, variables = "query ($n: Int!) { jobs(first: $n) { nodes { __typename } } }", '{"n": 1}'
    response = graph.http.get("/graphql", params={"query": query, "variables": variables})
    assert response.json() == {"data": {"jobs": {"nodes": [{"__typename": "Job"}]}}}


def test_who_is_refused_is_told_which_limit_it_was(graph: Graph) -> None:
    def told(document: str) -> dict[str, Any]:
        [error] = graph.ask(document).body["errors"]
        assert error["message"]
        return error["extensions"]

    aliases = told(DOCUMENTS["more aliases than there may be"][0])
    assert aliases == {"code": "QUERY_TOO_COMPLEX", "limit": "aliases", "value": 101, "allowance": 100}
    cost = told(DOCUMENTS["pages of pages of pages"][0])
    assert (cost["limit"], cost["allowance"]) == ("cost", 500_000)
    assert cost["cost"] > 500_000


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_the_values_of_variables_are_counted_all_together(closed: Graph, count: int) -> None:
    reply = closed.ask("{ __typename }", ids=["x"] * (count - 100), more={"of": [[1] * 96]})
    if count == 10_000:
        assert reply.data == {"__typename": "Query"}
        return
    [error] = reply.body["errors"]
    told = {"code": "QUERY_TOO_COMPLEX", "limit": "values", "value": count, "allowance": 10_000}
    assert error["extensions"] == told


AS_LARGE_AS_SAID = PAGES.replace("SIZE", "$n")
HEAVY = f"subscription {{ jobUpdates {{ job {{ workflow {{ {PAGES.replace('SIZE', '20')} }} }} }} }}"
STREAMED: dict[str, dict[str, Any]] = {
    "fragments": {"query": DOCUMENTS["fragments that double a hundred times"][0]},
    "variables": {"query": "subscription { jobUpdates { jobId } }", "variables": {"v": [1] * 20_000}},
    "a number with a point": {
        "query": f"subscription ($n: Int!) {{ jobUpdates {{ job {{ workflow {{ {AS_LARGE_AS_SAID} }} }} }} }}",
        "variables": {"n": 100.0},
    },
    "events": {"query": HEAVY},
}


@pytest.mark.parametrize("name", STREAMED)
def test_abuse_is_refused_in_streams_and_on_sockets_too(opened: Graph, name: str) -> None:
    headers = {"Accept": "text/event-stream"}
    with opened.http.stream("POST", "/graphql", json=STREAMED[name], headers=headers, timeout=10) as stream:
        assert "QUERY_TOO_COMPLEX" in "".join(stream.iter_text())
    with connect(
        opened.url.replace("http", "ws") + "/graphql", subprotocols=[Subprotocol("graphql-transport-ws")]
    ) as socket:
        socket.send('{"type": "connection_init"}')
        socket.recv(timeout=10)
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": STREAMED[name]}))
        told = json.loads(socket.recv(timeout=10))
    assert told["type"] == "error"
    assert told["payload"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"


def test_an_event_may_cost_less_than_a_question(opened: Graph) -> None:
    headers = {"Accept": "text/event-stream"}
    with opened.http.stream("POST", "/graphql", json={"query": HEAVY}, headers=headers, timeout=10) as stream:
        [line] = [line for line in stream.iter_lines() if line.startswith("data: {")]
    [error] = json.loads(line.removeprefix("data: "))["errors"]
    assert "each event of this costs" in error["message"]
    assert (error["extensions"]["limit"], error["extensions"]["allowance"]) == ("cost", 20_000)
    assert 20_000 < error["extensions"]["cost"] < 500_000
