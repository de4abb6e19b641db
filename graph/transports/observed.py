"""The executor and the operations of connections, watched: what they do stands in metrics, traces and the log."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from graphql import Executor as GraphQLExecutor
from graphql import GraphQLSchema, OperationType

from datasources.postgres import StatementLog, statement_log
from datasources.settings import Settings
from graph.context import Context, ContextOf
from graph.engine.answers import Answer
from graph.engine.documents import Documents
from graph.engine.execution import Executor, Operation, Refused
from graph.engine.requests import Request
from graph.engine.sharing import SharedAnswers
from graph.operating.exchanges import Exchange, OnRefusal, current
from graph.operating.metrics import Metrics
from graph.operating.spans import Spans
from graph.streams.shared import Sink
from graph.streams.streaming import Streams
from graph.transports.operations import Errors, Operations
from graph.viewer import Viewer

_LONGEST_NAME = 100  # characters

_log = logging.getLogger("graph.operations")


@dataclass(slots=True)
class Work:
    """An operation or an event while it is executed."""

    codes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _started: float = 0.0

    def __enter__(self) -> Self:
        """Begin; a generator that does the same costs three times as much."""
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """See how long it took."""
        self.seconds = time.perf_counter() - self._started


class Watch:
    """Looks at the clock, and tells metrics and traces."""

    def __init__(self, metrics: Metrics, spans: Spans | None) -> None:
        self.metrics = metrics
        self._spans = spans

    def statement(self, query: str, seconds: float) -> None:
        """A statement has ended."""
        self.metrics.statement(query, seconds)
        if self._spans is not None:
            self._spans.statement(query, seconds)

    def work(self, name: str | None, kind: str, correlation_id: str) -> AbstractContextManager[Work]:
        """An operation, or an event, for the length of the block."""
        return Work() if self._spans is None else self._traced(self._spans, name, kind, correlation_id)

    @contextmanager
    def _traced(self, spans: Spans, name: str | None, kind: str, correlation_id: str) -> Iterator[Work]:
        with spans.work(name or "", kind, correlation_id) as span, Work() as work:
            if kind != "event" and (now := current.get()) is not None:
                now.traceparent = span.traceparent
            yield work
            for code in work.codes[:1]:
                span.fail(code)


class ObservedExecutor(Executor):
    """An executor that is watched."""

    def __init__(
        self,
        schema: GraphQLSchema,
        settings: Settings,
        documents: Documents,
        watch: Watch,
        shared: SharedAnswers | None = None,
    ) -> None:
        super().__init__(schema, settings, documents, shared)
        self._watch = watch

    async def _execute(self, operation: Operation, context: Context) -> Answer:
        name, kind = name_of(operation), operation.type.value
        now = current.get()
        if now is not None:
            now.operation = now.operation or name
            now.reports = operation.type is OperationType.MUTATION
        with _Statements(now) as statements, self._watch.work(name, kind, context.correlation_id) as work:
            answer = await super()._execute(operation, context)
            if answer.executed:
                work.codes += [error["extensions"]["code"] for error in answer.errors]
        self._watch.metrics.operation(name, kind, work.seconds, work.codes)
        for keys in statements.batches:
            self._watch.metrics.batch(keys)
        if now is not None:
            now.failures += work.codes
        return answer

    async def _push(
        self, operation: Operation, executor: GraphQLExecutor[Any], events: Sequence[object], context: Context
    ) -> list[dict[str, Any]]:
        name = name_of(operation)
        with self._watch.work(name, "event", context.correlation_id) as work:
            bodies = await super()._push(operation, executor, events, context)
            for body in bodies:
                work.codes += _codes(body)
        for body in bodies:
            self._watch.metrics.event(name, work.seconds, _codes(body))
        return bodies


class ObservedOperations(Operations):
    """The operations of sockets and streams, each with its line in the log."""

    def __init__(
        self, executor: Executor, streams: Streams, context: ContextOf, metrics: Metrics, refused: OnRefusal
    ) -> None:
        super().__init__(executor, streams, context)
        self._metrics = metrics
        self._refused = refused

    async def run(
        self,
        request: Request,
        sink: Sink,
        viewer: Viewer,
        *,
        found: Operation | Refused | None = None,
        after: str | None = None,
        correlation_id: str | None = None,
    ) -> Errors | None:
        """Run one until it is complete; gives the errors of one that could not begin, or not go on."""
        connection = current.get()
        now = Exchange(
            correlation_id or uuid.uuid4().hex,
            address=connection.address if connection else None,
            operation=(request.operation_name or "")[:_LONGEST_NAME] or None,
            viewer=viewer,
        )
        token = current.set(now)
        started = time.perf_counter()
        try:
            errors = await super().run(request, sink, viewer, found=found, after=after, correlation_id=now.id)
            now.codes += _codes({"errors": errors or ()})
        finally:
            current.reset(token)
            for code in now.codes:
                self._metrics.rejected(code)
            if now.codes:
                self._refused(now)
            _log.info(
                "operation %s %s",
                now.operation or "-",
                "refused" if now.codes else "ended",
                extra={
                    "request_id": now.id,
                    "connection": connection.id if connection else None,
                    "operation": now.operation,
                    "viewer": now.viewer.name,
                    "outcome": now.outcome,
                    "codes": now.codes + now.failures,
                    "duration_ms": round((time.perf_counter() - started) * 1000, 2),
                },
            )
        return errors


def name_of(operation: Operation) -> str | None:
    """What the client calls it."""
    name = operation.definition.name
    return None if name is None else name.value[:_LONGEST_NAME]


def _codes(body: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in body.get("errors", ())]


class _Statements:
    """The statements of the block, which those of the exchange and of whoever counts around it include."""

    __slots__ = ("_now", "_own", "_token")

    def __init__(self, now: Exchange | None) -> None:
        self._now = now
        self._own = StatementLog()

    def __enter__(self) -> StatementLog:
        self._token = statement_log.set(self._own)
        return self._own

    def __exit__(self, *_: object) -> None:
        statement_log.reset(self._token)
        for log in (statement_log.get(), None if self._now is None else self._now.statements):
            if log is not None:
                log.count += self._own.count
                log.seconds += self._own.seconds
