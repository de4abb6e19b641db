"""graphql-transport-ws as a dialogue: what its page demands of either side, message by message."""

from fnmatch import fnmatchcase
from typing import Any

import pytest
from live_server import Client, LiveServer
from socket_words import ACK, ANSWER, INIT, PING, PONG, QUERY, QUEUE, complete, following, subscribe


def said(*messages: Any) -> list[tuple[str, Any]]:
    return [("say", message) for message in messages]


def heard(*messages: Any) -> list[tuple[str, Any]]:
    return [("hear", message) for message in messages]


def refused(code: str, operation_id: str = "1") -> list[tuple[str, Any]]:
    return [("refused", (operation_id, code))]


def closed(code: int, reason: str) -> list[tuple[str, Any]]:
    return [("closed", (code, reason))]


BEGUN = said(INIT) + heard(ACK)
ANSWERED = heard(following(ANSWER), complete())
ALIVE = said(PING) + heard(PONG)

CASES: dict[str, list[tuple[str, Any]]] = {
    # The beginning.
    "an initialisation is acknowledged": BEGUN,
    "an initialisation may have a payload": said({**INIT, "payload": {"token": "t"}}) + heard(ACK),
    "an initialisation may have null for a payload": said({**INIT, "payload": None}) + heard(ACK),
    "an initialisation may not have text for a payload": said({**INIT, "payload": "token"})
    + closed(4400, "payload must be an object or null, not text"),
    "an initialisation may not have a list for a payload": said({**INIT, "payload": []})
    + closed(4400, "payload must be an object or null, not a list"),
    "a second initialisation is one too many": BEGUN + said(INIT) + closed(4429, "Too many initialisation requests"),
    "a second initialisation is one too many even before the first is acknowledged": said(INIT, INIT)
    + closed(4429, "Too many initialisation requests"),
    "an operation before the initialisation is unauthorized": said(subscribe()) + closed(4401, "Unauthorized"),
    "without an initialisation the socket is closed": closed(4408, "Connection initialisation timeout"),
    "a ping does not replace the initialisation": ALIVE + closed(4408, "Connection initialisation timeout"),
    # Pings and pongs.
    "a ping is answered": BEGUN + ALIVE,
    "a ping is answered before the initialisation": ALIVE + BEGUN,
    "a ping's payload comes back": BEGUN
    + said({**PING, "payload": {"at": 1, "deep": [{}]}})
    + heard({**PONG, "payload": {"at": 1, "deep": [{}]}}),
    "a ping's empty payload comes back": BEGUN + said({**PING, "payload": {}}) + heard({**PONG, "payload": {}}),
    "a ping's payload may be null": BEGUN + said({**PING, "payload": None}) + heard(PONG),
    "a ping's payload may not be text": BEGUN
    + said({**PING, "payload": "now"})
    + closed(4400, "payload must be an object or null, not text"),
    "a pong may come unasked": BEGUN + said(PONG, {**PONG, "payload": {"a": 1}}, {**PONG, "payload": None}) + ALIVE,
    "a pong's payload may not be a number": BEGUN
    + said({**PONG, "payload": 1})
    + closed(4400, "payload must be an object or null, not a number"),
    # What is no message.
    "text that is no JSON is no message": said("{type:ping}") + closed(4400, "The message is not JSON: *"),
    "nothing is no message": said("") + closed(4400, "The message is not JSON: *"),
    "JSON text is no message": said('"ping"') + closed(4400, "The message must be an object, not text"),
    "a list is no message": said([PING]) + closed(4400, "The message must be an object, not a list"),
    "null is no message": said("null") + closed(4400, "The message must be an object, not null"),
    "NaN is no JSON": said('{"type": NaN}') + closed(4400, "The message is not JSON: *"),
    "JSON nested without end is no message": said("[" * 2000) + closed(4400, "The message is not JSON: *"),
    "a binary frame is no message": said(b'{"type":"ping"}') + closed(4400, "Messages must be text frames, *"),
    "a message has a type": said({"id": "1"}) + closed(4400, "type must be text, not null"),
    "a type is text": said({"type": 1}) + closed(4400, "type must be text, not a number"),
    "an unknown type is refused": said({"type": "start"}) + closed(4400, "Unknown message type 'start'"),
    "a long unknown type is shortened": said({"type": "é" * 5000}) + closed(4400, f"Unknown message type '{'é' * 40}'"),
    "the old protocol's type is refused": said({"type": "connection_terminate"})
    + closed(4400, "Unknown message type 'connection_terminate'"),
    "an acknowledgement is for servers to send": said(ACK) + closed(4400, "Unknown message type 'connection_ack'"),
    "a response is for servers to send": BEGUN + said(following({})) + closed(4400, "Unknown message type 'next'"),
    "an error is for servers to send": BEGUN
    + said({"id": "1", "type": "error", "payload": []})
    + closed(4400, "Unknown message type 'error'"),
    "a message has 64 KiB at most": BEGUN + said({**PING, "x": "x" * 65536}) + closed(1009, "*65536*"),
    "a message may have almost 64 KiB": BEGUN + said({**PING, "x": "x" * 65000}) + heard(PONG),
    "properties that nobody knows are not minded": BEGUN + said({**subscribe(), "x": 1}) + ANSWERED,
    # What an operation looks like.
    "an operation has an id": BEGUN + said(subscribe(None)) + closed(4400, "id must be text, not null"),
    "an id is text": BEGUN + said(subscribe(1)) + closed(4400, "id must be text, not a number"),
    "an id is not a list": BEGUN + said(subscribe(["1"])) + closed(4400, "id must be text, not a list"),
    "an id is not empty": BEGUN + said(subscribe("")) + closed(4400, "id must have 1 to 256 characters"),
    "an id is not endless": BEGUN + said(subscribe("i" * 257)) + closed(4400, "id must have 1 to 256 characters"),
    "an id may be any text": BEGUN
    + said(subscribe('ü"\\\n☃'))
    + heard(following(ANSWER, 'ü"\\\n☃'), complete('ü"\\\n☃')),
    "an operation has a payload": BEGUN
    + said({"id": "1", "type": "subscribe"})
    + closed(4400, "payload must be an object, not null"),
    "an operation's payload is an object": BEGUN
    + said({"id": "1", "type": "subscribe", "payload": QUERY})
    + closed(4400, "payload must be an object, not text"),
    "an operation has a query": BEGUN
    + said(subscribe(query=None))
    + closed(4400, "payload.query must be text, not null"),
    "a query is text": BEGUN + said(subscribe(query={})) + closed(4400, "payload.query must be text, not an object"),
    "variables are an object": BEGUN
    + said(subscribe(variables=[1]))
    + closed(4400, "payload.variables must be an object or null, not a list"),
    "variables are not text": BEGUN
    + said(subscribe(variables="{}"))
    + closed(4400, "payload.variables must be an object or null, not text"),
    "an operation's name is text": BEGUN
    + said(subscribe(operationName=1))
    + closed(4400, "payload.operationName must be text or null, not a number"),
    "extensions are an object": BEGUN
    + said(subscribe(extensions=True))
    + closed(4400, "payload.extensions must be an object or null, not a boolean"),
    "what is optional may be null": BEGUN
    + said(subscribe(variables=None, operationName=None, extensions=None))
    + ANSWERED,
    # What becomes of an operation.
    "a query is answered once": BEGUN + said(subscribe()) + ANSWERED + ALIVE,
    "a query may have variables": BEGUN
    + said(subscribe(query="query ($x: Boolean!) { __typename @include(if: $x) }", variables={"x": True}))
    + ANSWERED,
    "an operation is chosen by its name": BEGUN
    + said(subscribe(query="query A { a: __typename } query B { __typename }", operationName="B"))
    + ANSWERED,
    "a syntax error ends its operation alone": BEGUN
    + said(subscribe(query="{"))
    + refused("GRAPHQL_PARSE_FAILED")
    + ALIVE,
    "an unknown field ends its operation alone": BEGUN
    + said(subscribe(query="subscription { nothing }"))
    + refused("GRAPHQL_VALIDATION_FAILED")
    + ALIVE,
    "an empty query ends its operation alone": BEGUN
    + said(subscribe(query=""))
    + refused("GRAPHQL_PARSE_FAILED")
    + ALIVE,
    "an unknown operation ends alone": BEGUN
    + said(subscribe(operationName="X"))
    + refused("OPERATION_NOT_FOUND")
    + ALIVE,
    "variables of the wrong type end their operation alone": BEGUN
    + said(subscribe(query="query ($x: Boolean!) { __typename @include(if: $x) }", variables={"x": "yes"}))
    + refused("BAD_USER_INPUT")
    + ALIVE,
    "arguments that make no sense end their subscription alone": BEGUN
    + said(subscribe(query="subscription { queueMetrics(intervalSeconds: 0) { depth } }"))
    + refused("BAD_USER_INPUT")
    + ALIVE,
    "a cursor that makes no sense ends its subscription alone": BEGUN
    + said(subscribe(query='subscription { jobUpdates(after: "x") { cursor } }'))
    + refused("BAD_CURSOR")
    + ALIVE,
    "an id is free after an error": BEGUN
    + said(subscribe(query="{"))
    + refused("GRAPHQL_PARSE_FAILED")
    + said(subscribe())
    + ANSWERED,
    "an id is free after completion": BEGUN + said(subscribe()) + ANSWERED + said(subscribe()) + ANSWERED,
    "an id is free once the client has completed it": BEGUN
    + said(subscribe(query="subscription { jobUpdates { cursor } }"), complete(), subscribe())
    + ANSWERED,
    "an id can only be used once at a time": BEGUN
    + said(subscribe(query="subscription { jobUpdates { cursor } }"), subscribe(query=QUEUE))
    + closed(4409, "Subscriber for 1 already exists"),
    "an id is taken whatever it is for": BEGUN
    + said(subscribe(query="subscription { jobUpdates { cursor } }"), subscribe())
    + closed(4409, "Subscriber for 1 already exists"),
    "a long id is shortened in a reason": BEGUN
    + said(subscribe("ü" * 200, "subscription { jobUpdates { cursor } }"), subscribe("ü" * 200))
    + closed(4409, f"Subscriber for {'ü' * 54}"),
    "completion of nothing is not minded": BEGUN + said(complete("nothing")) + ALIVE,
    "completion before the initialisation is not minded": said(complete("nothing")) + BEGUN,
    "completion after completion is not minded": BEGUN + said(subscribe()) + ANSWERED + said(complete()) + ALIVE,
    "completion has an id": BEGUN + said({"type": "complete"}) + closed(4400, "id must be text, not null"),
    "completion's id is text": BEGUN + said(complete(1)) + closed(4400, "id must be text, not a number"),
}


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
def test_protocol(seeded_server: LiveServer, steps: list[tuple[str, Any]]) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        for step, what in steps:
            match step:
                case "say":
                    client.say(what)
                case "hear":
                    assert client.hear() == what
                case "refused":
                    message = client.hear()
                    codes = [error["extensions"]["code"] for error in message["payload"]]
                    assert (message["type"], message["id"], codes) == ("error", what[0], [what[1]])
                case "closed":
                    code, reason = client.hear_close()
                    assert code == what[0]
                    assert fnmatchcase(reason, what[1])
