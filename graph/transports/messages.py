"""The messages of graphql-transport-ws: those of clients are checked, those of the server encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

SUBPROTOCOL = "graphql-transport-ws"

ACKNOWLEDGEMENT = b'{"type":"connection_ack"}'
PING = b'{"type":"ping"}'

_LONGEST_ID = 256  # characters; it goes out again with every payload
_NAMES = {str: "text", dict: "an object", type(None): "null", list: "a list", bool: "a boolean"}

_Shape = Mapping[str, tuple[type, ...]]

_OPTIONAL_PAYLOAD: _Shape = {"payload": (dict, type(None))}
_SHAPES: Mapping[str, _Shape] = {
    "connection_init": _OPTIONAL_PAYLOAD,
    "ping": _OPTIONAL_PAYLOAD,
    "pong": _OPTIONAL_PAYLOAD,
    "subscribe": {"id": (str,), "payload": (dict,)},
    "complete": {"id": (str,)},
}
_REQUEST: _Shape = {
    "query": (str,),
    "operationName": (str, type(None)),
    "variables": (dict, type(None)),
    "extensions": (dict, type(None)),
}
_REQUEST_BY_ID: _Shape = {**_REQUEST, "query": (str, type(None)), "documentId": (str, type(None))}


class BadMessage(Exception):
    """A message after which the socket is closed, with the code to close it."""

    def __init__(self, reason: str, code: int = 4400) -> None:
        super().__init__(reason)
        self.code = code


def read(text: str | None) -> dict[str, Any]:
    """A client's message; raises BadMessage with what is wrong about it."""
    if text is None:
        raise BadMessage("Messages must be text frames, not binary ones")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"The message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadMessage(f"The message must be an object, not {_name(message)}")
    kind = message.get("type")
    if not isinstance(kind, str):
        raise BadMessage(f"type must be text, not {_name(kind)}")
    if kind not in _SHAPES:
        raise BadMessage(f"Unknown message type {kind[:40]!r}")
    _check(message, _SHAPES[kind], "")
    if not 0 < len(message.get("id", kind)) <= _LONGEST_ID:
        raise BadMessage(f"id must have 1 to {_LONGEST_ID} characters")
    if kind == "subscribe":
        payload = message["payload"]
        _check(payload, _REQUEST_BY_ID if _by_id(payload) else _REQUEST, "payload.")
    return message


def next_head(operation: str) -> bytes:
    """What stands before the payload of each `next` message of an operation; a brace closes it."""
    return b'{"id":%s,"type":"next","payload":' % orjson.dumps(operation)


def error(operation: str, errors: list[dict[str, Any]]) -> bytes:
    """The message that ends an operation with errors."""
    return orjson.dumps({"id": operation, "type": "error", "payload": errors})


def complete(operation: str) -> bytes:
    """The message that ends an operation."""
    return orjson.dumps({"id": operation, "type": "complete"})


def pong(payload: dict[str, Any] | None) -> bytes:
    """The answer to a ping, with the same payload."""
    return orjson.dumps({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})


def _check(value: dict[str, Any], shape: _Shape, where: str) -> None:
    for name, kinds in shape.items():
        if not isinstance(value.get(name), kinds):
            wanted = " or ".join(_NAMES[kind] for kind in kinds)
            raise BadMessage(f"{where}{name} must be {wanted}, not {_name(value.get(name))}")


def _by_id(payload: dict[str, Any]) -> bool:
    extensions = payload.get("extensions")
    return payload.get("documentId") is not None or (isinstance(extensions, dict) and "persistedQuery" in extensions)


def _name(value: object) -> str:
    return _NAMES.get(type(value), "a number")
