"""The messages of graphql-transport-ws, and a question for them to carry."""

from typing import Any

QUEUE = "subscription { queueMetrics(intervalSeconds: 0.1) { depth } }"
QUERY = "{ __typename }"
ANSWER = {"data": {"__typename": "Query"}}

INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
PING = {"type": "ping"}
PONG = {"type": "pong"}


def subscribe(operation_id: object = "1", query: object = QUERY, **payload: object) -> dict[str, Any]:
    return {"id": operation_id, "type": "subscribe", "payload": {"query": query, **payload}}


def following(payload: object, operation_id: str = "1") -> dict[str, Any]:
    return {"id": operation_id, "type": "next", "payload": payload}


def complete(operation_id: object = "1") -> dict[str, Any]:
    return {"id": operation_id, "type": "complete"}
