"""From a document to an answer: permitted, executed within the deadline, errors made presentable.

Whether somebody may ask it, and what it can cost, is known before anything is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    execute,
    execute_subscription_event,
    get_operation_ast,
)
from graphql import Executor as GraphQLExecutor

from datasources.deadline import Deadline
from datasources.settings import Settings
from graph.context import Context
from graph.engine.answers import Answer
from graph.engine.documents import Documents
from graph.engine.judgement import TooComplex
from graph.engine.lasting import Lasting
from graph.engine.permissions import FORBIDDEN, UNAUTHENTICATED, permit
from graph.engine.plans import Plans
from graph.engine.requests import Request
from graph.engine.setwise.planner import Setwise
from graph.engine.sharing import Asked, SharedAnswers, variables_of
from graph.engine.variables import count_values
from graph.errors import ClientError, present
from graph.limits.pace import RateLimited
from graph.operating.exchanges import current

_REFUSAL = 10_000  # what looking at a document costs that is refused: as long as an answer of that size may take
_LIGHT = 100  # cost of an event up to which all that came at once are executed together
_HEAVY_AT_ONCE = 20  # of the other events; together they may have as many steps as are read at once
_NOT_BY_REQUEST = "A subscription is a stream: ask for it over a WebSocket, or with Accept: text/event-stream."


class Operation(NamedTuple):
    """An operation that may be executed; as a tuple, since a frozen dataclass takes five times as long to make."""

    request: Request
    document: DocumentNode
    definition: OperationDefinitionNode
    cost: int
    lasting: Lasting
    setwise: Setwise

    @property
    def type(self) -> OperationType:
        """Whether it is a query, a mutation or a subscription."""
        return self.definition.operation


class Refused(Exception):
    """A request that does not get as far as running, with the answer that says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.errors[0]["message"])
        self.answer = answer

    @property
    def forbidden(self) -> bool:
        """Whether that is because of who asks."""
        return self.answer.code in {UNAUTHENTICATED, FORBIDDEN}


class MutationRefused(Exception):
    """A mutation came where only questions may be asked."""


class Executor:
    """Answers requests against the schema."""

    def __init__(
        self, schema: GraphQLSchema, settings: Settings, documents: Documents, shared: SharedAnswers | None = None
    ) -> None:
        self._schema = schema
        self._settings = settings
        self._plans = Plans(schema, settings)
        self._documents = documents
        self._shared = shared

    async def answer(self, request: Request, context: Context, *, only_questions: bool = False) -> Answer:
        """The response to a request; raises MutationRefused for a mutation where `only_questions`."""
        try:
            operation = await self.admit(self.look(request, context), context)
        except Refused as refused:
            return refused.answer
        if only_questions and operation.type is not OperationType.QUERY:
            raise MutationRefused
        return await self.run(operation, context)

    def look(self, request: Request, context: Context) -> Operation | Refused:
        """The operation that a request asks for, fit to be executed, or why it is not."""
        try:
            return self._prepared(request, context)
        except Refused as refused:
            return refused

    async def admit(self, found: Operation | Refused, context: Context) -> Operation:
        """The operation that was found, paid for; raises Refused, which is paid for too."""
        if isinstance(found, Refused):
            await self._pay(_REFUSAL, context)
            raise found
        await self._pay(found.cost, context)
        return found

    async def run(self, operation: Operation, context: Context) -> Answer:
        """The response to an operation."""
        if operation.type is OperationType.SUBSCRIPTION:
            return _refused([GraphQLError(_NOT_BY_REQUEST)], "SUBSCRIPTION_NOT_STREAMED", context)
        if operation.type is OperationType.MUTATION and (now := current.get()) is not None:
            now.reports = True
        return await self._execute(operation, context)

    def _prepared(self, request: Request, context: Context) -> Operation:
        try:
            count_values(request.variables or {})
            request = self._documents.resolve(request)
            plan = self._plans.of(request.query)
            if plan.document is None or plan.setwise is None:
                raise Refused(_refused(plan.errors, plan.code, context))
            definition = get_operation_ast(plan.document, request.operation_name)
            if definition is None:
                error = _no_operation(plan.document, request.operation_name)
                raise Refused(_refused([error], "OPERATION_NOT_FOUND", context))
            judgement = plan.judgements[definition.name.value if definition.name else None]
            permit(judgement, context.viewer, self._settings)
        except ClientError as refusal:
            raise Refused(_refused([GraphQLError(str(refusal))], refusal.code, context)) from None
        except TooComplex as error:
            shown = GraphQLError(str(error), extensions=error.extensions)
            raise Refused(_refused([shown], "QUERY_TOO_COMPLEX", context)) from None
        cost = judgement.cost(request.variables or {})
        if cost > (most := self._most(definition.operation)):
            each = "each event of this" if definition.operation is OperationType.SUBSCRIPTION else "this"
            raise Refused(_refused([_too_costly(each, cost, most)], "QUERY_TOO_COMPLEX", context))
        self._documents.remember(request)
        return Operation(request, plan.document, definition, cost, judgement.lasting, plan.setwise)

    def _most(self, kind: OperationType) -> int:
        most = self._settings.max_query_cost
        return min(most, self._settings.max_subscription_cost) if kind is OperationType.SUBSCRIPTION else most

    async def _pay(self, cost: int, context: Context) -> None:
        try:
            await context.pay(cost)
        except RateLimited as error:
            shown = GraphQLError(str(error), extensions={"retryAfter": error.retry_after})
            raise Refused(_refused([shown], error.code, context)) from None

    async def source(self, operation: Operation, context: Context) -> AsyncIterator[Sequence[Any]]:
        """What a subscription's root field yields, in lists; raises Refused where it cannot begin."""
        executor = self._graphql_executor(operation, context)
        if isinstance(executor, list):
            raise Refused(_answer(ExecutionResult(None, executor), context))
        source = create_source_event_stream(executor)
        if isinstance(source, Awaitable):
            source = await source
        if isinstance(source, ExecutionResult):
            raise Refused(_answer(source, context))
        return aiter(source)

    async def push(self, operation: Operation, events: Sequence[object], context: Context) -> list[dict[str, Any]]:
        """The responses to a subscription for what its root field yielded at once; their fields are read together."""
        executor = self._graphql_executor(operation, context)
        if isinstance(executor, list):
            return [_answer(ExecutionResult(None, executor), context).body for _ in events]
        bodies: list[dict[str, Any]] = []
        at_once = _HEAVY_AT_ONCE if operation.cost > _LIGHT else max(len(events), 1)
        try:
            for start in range(0, len(events), at_once):
                bodies += await self._push(operation, executor, events[start : start + at_once], context)
        finally:
            _let_go(executor)
        return bodies

    async def _push(
        self, operation: Operation, executor: GraphQLExecutor[Any], events: Sequence[object], context: Context
    ) -> list[dict[str, Any]]:
        try:
            with Deadline(self._settings.operation_timeout_seconds):
                if (found := await operation.setwise.answers(executor, context, list(events))) is not None:
                    return [{"data": data} for data in found]
        except TimeoutError as error:
            return [_too_late(error, context).body for _ in events]
        return await asyncio.gather(
            *(self._push_one(executor.build_per_event_executor(event), context) for event in events)
        )

    async def _push_one(self, executor: GraphQLExecutor[Any], context: Context) -> dict[str, Any]:
        try:
            with Deadline(self._settings.operation_timeout_seconds):
                result = execute_subscription_event(executor)
                return _answer(await result if isinstance(result, Awaitable) else result, context).body
        except TimeoutError as error:
            return _too_late(error, context).body

    def _graphql_executor(self, operation: Operation, context: Context) -> GraphQLExecutor[Any] | list[GraphQLError]:
        return GraphQLExecutor.build(
            self._schema,
            operation.document,
            context_value=context,
            raw_variable_values=dict(operation.request.variables or {}),
            operation_name=operation.request.operation_name,
            hide_suggestions=self._settings.introspection != "all",
        )

    async def _execute(self, operation: Operation, context: Context) -> Answer:
        try:
            with Deadline(self._settings.operation_timeout_seconds):
                if self._shared is None or operation.type is not OperationType.QUERY:
                    return await self._evaluate(operation, context)
                return await self._share(self._shared, operation, context)
        except TimeoutError as error:
            return _too_late(error, context)

    async def _share(self, shared: SharedAnswers, operation: Operation, context: Context) -> Answer:
        request, variables = operation.request, variables_of(operation.request.variables or {})
        if variables is None or operation.lasting is Lasting.NOT_AT_ALL:
            shared.counts["alone"] += 1
            return await self._evaluate(operation, context)
        asked = Asked(request.query, request.operation_name, variables, context.database.scope)

        # With a moment of its own: what others are to see as well is of a moment after they came.
        def work() -> Coroutine[Any, Any, Answer]:
            return self._evaluate(operation, context.fresh())

        if operation.lasting is Lasting.A_PASS:
            return await shared.give_at_once(asked, work)
        return await shared.give(asked, operation.lasting, work)

    async def _evaluate(self, operation: Operation, context: Context) -> Answer:
        executor = self._graphql_executor(operation, context)
        if isinstance(executor, list):
            return _answer(ExecutionResult(None, executor), context)
        try:
            if (found := await operation.setwise.answers(executor, context, [None])) is not None:
                return Answer({"data": found[0]}, executed=True)
        finally:
            _let_go(executor)
        result = execute(
            self._schema,
            operation.document,
            context_value=context,
            variable_values=dict(operation.request.variables or {}),
            operation_name=operation.request.operation_name,
            hide_suggestions=self._settings.introspection != "all",
        )
        return _answer(await result if isinstance(result, Awaitable) else result, context)


def _let_go(executor: GraphQLExecutor[Any]) -> None:
    """Part an executor that is done from its helpers: they hold each other, for the garbage collector to find."""
    del executor.async_helpers


def _answer(result: ExecutionResult, context: Context) -> Answer:
    errors = [present(error, context.correlation_id) for error in result.errors or ()]
    executed = result.data is not None or any(error.path is not None for error in result.errors or ())
    body: dict[str, Any] = {"data": result.data} if executed else {}
    return Answer({"errors": errors, **body} if errors else body, executed)


def _too_late(error: TimeoutError, context: Context) -> Answer:
    shown = present(GraphQLError(str(error), original_error=error), context.correlation_id)
    return Answer({"errors": [shown], "data": None}, executed=True)


def _refused(errors: list[GraphQLError], code: str, context: Context) -> Answer:
    shown = [present(error, context.correlation_id) for error in errors]
    for error in shown:
        error["extensions"]["code"] = code
    return Answer({"errors": shown}, executed=False)


def _too_costly(what: str, cost: int, most: int) -> GraphQLError:
    return GraphQLError(
        f"With all its pages full {what} costs {cost:,}, and {most:,} is the most (a field is 1, an object 5): "
        "ask for fewer items of the outer lists, or for fewer fields.",
        extensions={"limit": "cost", "cost": cost, "allowance": most},
    )


def _no_operation(document: DocumentNode, name: str | None) -> GraphQLError:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    names = ", ".join(node.name.value for node in operations if node.name) or "none with a name"
    if name is not None:
        return GraphQLError(f"There is no operation {name!r:.100} in the document; it has {names:.500}.")
    if operations:
        return GraphQLError(f"The document has several operations; name one in operationName: {names:.500}.")
    return GraphQLError("The document has no operation.")
