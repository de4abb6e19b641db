"""What a tracer is asked for. The one there is lies in `tracing.py`, only imported where traces are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class Span(Protocol):
    """A piece of work that is traced."""

    traceparent: str

    def fail(self, code: str) -> None:
        """Note that it did not go well."""


class Spans(Protocol):
    """Makes spans of what is done."""

    def within(self, headers: Mapping[bytes, bytes]) -> AbstractContextManager[None]:
        """Take over the trace that a client names in its headers, for what happens in the block."""

    def work(self, name: str, kind: str, correlation_id: str) -> AbstractContextManager[Span]:
        """A span for the block: an operation, or the event of a stream."""

    def statement(self, query: str, seconds: float) -> None:
        """A span for a statement that has just ended."""

    def close(self) -> None:
        """Hand over what there still is."""
