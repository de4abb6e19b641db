"""What clients send: a document, or the id of one that is known here, with the values of its variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_SHAPES: tuple[tuple[str, type, str], ...] = (
    ("query", str, "text"),
    ("documentId", str, "text"),
    ("operationName", str, "text"),
    ("variables", dict, "an object"),
    ("extensions", dict, "an object"),
)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class BadRequest(Exception):
    """Something that is no GraphQL request, with what is wrong about its shape."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks: a document, which operation of it, and the values of its variables.

    Instead of the document, or beside it, there may be the id it is known by, or its SHA-256 in hexadecimal digits.
    """

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    document_id: str | None = None
    sha256: str | None = None

    @classmethod
    def read(cls, sent: object) -> Self:
        """The request in a JSON value; raises BadRequest."""
        if not isinstance(sent, dict):
            batch = isinstance(sent, list)
            what = "a list: batches are not taken, send one request at a time" if batch else "no object"
            raise BadRequest(f"The body must be a JSON object with a query; it is {what}.")
        for name, shape, words in _SHAPES:
            if sent.get(name) is not None and not isinstance(sent[name], shape):
                raise BadRequest(f"{name} must be {words}.")
        sha256 = _persisted(sent.get("extensions"))
        query, document_id = sent.get("query"), sent.get("documentId")
        if query is None and document_id is None and sha256 is None:
            raise BadRequest("There is no query in the request.")
        if document_id is not None and (query or sha256 is not None):
            raise BadRequest("Send either a documentId or a query.")
        return cls(query or "", sent.get("variables"), sent.get("operationName") or None, document_id, sha256)


def _persisted(extensions: Mapping[str, Any] | None) -> str | None:
    """The hash of an automatic persisted query, in the form of Apollo's clients."""
    persisted = (extensions or {}).get("persistedQuery")
    if persisted is None:
        return None
    sha256 = persisted.get("sha256Hash") if isinstance(persisted, dict) and persisted.get("version") == 1 else None
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise BadRequest('persistedQuery must be {"version": 1, "sha256Hash": "<64 hexadecimal digits>"}.')
    return sha256.lower()
