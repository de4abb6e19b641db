"""One operation of a connection, whatever transport it came by, with its line in the log.

A question has one answer, a subscription as many as there are.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from graphql import GraphQLError, OperationType

from graph.context import Context, ContextOf
from graph.engine.execution import Executor, Operation, Refused
from graph.engine.observed import LONGEST_NAME, codes_of
from graph.engine.requests import Request
from graph.errors import present
from graph.operating.exchanges import Exchange, OnRefusal, current, new_id
from graph.operating.metrics import Metrics
from graph.streams.shared import Sink
from graph.streams.streaming import Streams
from graph.viewer import Viewer

Errors = list[dict[str, Any]]

_log = logging.getLogger("graph.operations")


class Operations:
    """Runs operations into sinks; `context` makes the context of an operation from its correlation id."""

    def __init__(
        self, executor: Executor, streams: Streams, context: ContextOf, metrics: Metrics, refused: OnRefusal
    ) -> None:
        self._executor = executor
        self._streams = streams
        self._context = context
        self._metrics = metrics
        self._refused = refused

    def look(self, request: Request, viewer: Viewer, correlation_id: str) -> Operation | Refused:
        """What a request asks for, or why it may not."""
        return self._executor.look(request, self._context(correlation_id, viewer))

    async def admit(self, found: Operation | Refused, viewer: Viewer, correlation_id: str) -> Operation:
        """What was found, paid for; raises Refused."""
        return await self._executor.admit(found, self._context(correlation_id, viewer))

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
        """Run one until it is complete; gives the errors of one that could not begin, or not go on.

        `found` is what a look at it has found, where there has been one.
        """
        connection = current.get()
        now = Exchange(
            correlation_id or new_id(),
            address=connection.address if connection else None,
            operation=(request.operation_name or "")[:LONGEST_NAME] or None,
            viewer=viewer,
        )
        token = current.set(now)
        started = time.perf_counter()
        try:
            errors = await self._run(request, sink, self._context(now.id, viewer), found, after)
            now.codes += codes_of({"errors": errors or ()})
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

    async def _run(
        self, request: Request, sink: Sink, context: Context, found: Operation | Refused | None, after: str | None
    ) -> Errors | None:
        try:
            operation = await self._executor.admit(found or self._executor.look(request, context), context)
            if operation.type is OperationType.SUBSCRIPTION:
                await self._streams.subscribe(operation, context, sink, after=after)
                return None
            answer = await self._executor.run(operation, context)
        except Refused as refused:
            return refused.answer.errors
        except Exception as error:  # noqa: BLE001  # its neighbours on the connection must live on; it is logged
            return [present(GraphQLError(str(error), original_error=error), context.correlation_id)]
        if not answer.executed:
            return answer.errors
        await sink.send(answer.encoded, cursor=None)
        return None
