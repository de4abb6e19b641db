"""One operation, whatever transport it came by: a question has one answer, a subscription as many as there are."""

from __future__ import annotations

import uuid
from typing import Any

from graphql import GraphQLError, OperationType

from graph.context import ContextOf
from graph.engine.execution import Executor, Operation, Refused
from graph.engine.requests import Request
from graph.errors import present
from graph.streams.shared import Sink
from graph.streams.streaming import Streams, SubscriptionRefused
from graph.viewer import Viewer

Errors = list[dict[str, Any]]


class Operations:
    """Runs operations into sinks; `context` makes the context of an operation from its correlation id."""

    def __init__(self, executor: Executor, streams: Streams, context: ContextOf) -> None:
        self._executor = executor
        self._streams = streams
        self._context = context

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
        context = self._context(correlation_id or uuid.uuid4().hex, viewer)
        try:
            operation = await self._executor.admit(found or self._executor.look(request, context), context)
            if operation.type is OperationType.SUBSCRIPTION:
                await self._streams.subscribe(operation, context, sink, after=after)
                return None
            answer = await self._executor.run(operation, context)
        except Refused as refused:
            return _errors(refused.answer.body)
        except SubscriptionRefused as refused:
            return refused.errors
        except Exception as error:  # noqa: BLE001  # its neighbours on the connection must live on; it is logged
            return [present(GraphQLError(str(error), original_error=error), context.correlation_id)]
        if not answer.executed:
            return _errors(answer.body)
        await sink.send(answer.encoded, cursor=None)
        return None


def _errors(body: dict[str, Any]) -> Errors:
    errors: Errors = body["errors"]
    return errors
