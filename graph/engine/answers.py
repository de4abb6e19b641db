"""What an operation is answered with."""

from __future__ import annotations

from typing import Any, Self

import orjson


def encode(body: Any) -> bytes:
    """JSON in which moments in UTC look as scalars have them: an answer may hold them as they are."""
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


class Answer:
    """A GraphQL response; `executed` is false where the request never got as far as running.

    It is made of its body, or, where it is kept without errors, of its JSON alone.
    """

    __slots__ = ("_body", "_encoded", "executed")

    def __init__(self, body: dict[str, Any] | None, executed: bool, encoded: bytes | None = None) -> None:
        self._body = body
        self._encoded = encoded
        self.executed = executed

    @property
    def body(self) -> dict[str, Any]:
        """What it says."""
        if self._body is None:
            body: dict[str, Any] = orjson.loads(self.encoded)
            return body
        return self._body

    @property
    def encoded(self) -> bytes:
        """The same as JSON, made once for all who get it."""
        if self._encoded is None:
            self._encoded = encode(self._body)
        return self._encoded

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Its errors."""
        errors: list[dict[str, Any]] = [] if self._body is None else self._body.get("errors", [])
        return errors

    @property
    def code(self) -> str | None:
        """The code of its first error."""
        return self.errors[0]["extensions"]["code"] if self.errors else None

    def kept(self) -> Self | None:
        """The same in little memory; None where there were errors, since what went wrong may go well again."""
        return None if self.errors or not self.executed else type(self)(None, True, self.encoded)
