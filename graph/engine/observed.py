"""The executor, watched: what operations and events do stands in metrics and traces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from graphql import Executor as GraphQLExecutor
from graphql import GraphQLSchema

from datasources.postgres import StatementLog, statement_log
from datasources.settings import Settings
from graph.context import Context
from graph.engine.answers import Answer
from graph.engine.documents import Documents
from graph.engine.execution import Executor, Operation
from graph.engine.sharing import SharedAnswers
from graph.operating.exchanges import Exchange, current
from graph.operating.metrics import Metrics
from graph.operating.spans import Spans

LONGEST_NAME = 100  # characters


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
                work.codes += codes_of(body)
        for body in bodies:
            self._watch.metrics.event(name, work.seconds, codes_of(body))
        return bodies


def name_of(operation: Operation) -> str | None:
    """What the client calls it."""
    name = operation.definition.name
    return None if name is None else name.value[:LONGEST_NAME]


def codes_of(body: dict[str, Any]) -> list[str]:
    """The codes of the errors in a response."""
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
