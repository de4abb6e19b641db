"""From a document to an answer: parsed and validated once, executed within the deadline, errors made presentable.

What a document may cost is known before it runs: its tokens bound the validation, its cost bounds the answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    parse,
    validate,
)
from graphql import Executor as GraphQLExecutor

from datasources.settings import Settings
from graph.context import Context
from graph.cost import Cost
from graph.errors import present
from graph.setwise.plans import Plans

_LONGEST_DOCUMENT = 100_000  # characters; values belong into variables
_MOST_COMMENTS = 1000
_NOT_BY_REQUEST = "A subscription is a stream: ask for it over a WebSocket, or with Accept: text/event-stream."
_CACHED_CHARACTERS = 200_000  # of documents; a parsed one takes some 300 bytes for each of them


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks: a document, which operation of it, and the values of its variables."""

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A GraphQL response; `executed` is false where the request never got as far as running."""

    body: dict[str, Any]
    executed: bool


@dataclass(frozen=True, slots=True)
class _Prepared:
    document: DocumentNode | None
    errors: list[GraphQLError]
    code: str
    plans: Plans | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that may be executed."""

    request: Request
    document: DocumentNode
    definition: OperationDefinitionNode
    plans: Plans

    @property
    def type(self) -> OperationType:
        """Whether it is a query, a mutation or a subscription."""
        return self.definition.operation


class Refused(Exception):
    """A request that does not get as far as running, with the answer that says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body["errors"][0]["message"])
        self.answer = answer


class MutationRefused(Exception):
    """A mutation came where only questions may be asked."""


class Executor:
    """Answers requests against the schema; documents met before skip parsing and validation."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._settings = settings
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()
        self._cached_characters = 0

    async def answer(self, request: Request, context: Context, *, only_questions: bool = False) -> Answer:
        """The response to a request; raises MutationRefused for a mutation where `only_questions`."""
        try:
            operation = self.prepare(request, context)
        except Refused as refused:
            return refused.answer
        if only_questions and operation.type is not OperationType.QUERY:
            raise MutationRefused
        if operation.type is OperationType.SUBSCRIPTION:
            return _refused([GraphQLError(_NOT_BY_REQUEST)], "SUBSCRIPTION_NOT_STREAMED", context)
        return await self._execute(operation, context)

    def prepare(self, request: Request, context: Context) -> Operation:
        """The operation that a request asks for, fit to be executed; raises Refused where it is not."""
        prepared = self._prepare(request.query)
        if prepared.document is None or prepared.plans is None:
            raise Refused(_refused(prepared.errors, prepared.code, context))
        definition = get_operation_ast(prepared.document, request.operation_name)
        if definition is None:
            error = _no_operation(prepared.document, request.operation_name)
            raise Refused(_refused([error], "OPERATION_NOT_FOUND", context))
        cost = Cost(self._schema, prepared.document, definition, request.variables or {}).total()
        if cost > (most := self._settings.max_query_cost):
            raise Refused(_refused([_too_costly(cost, most)], "QUERY_TOO_COMPLEX", context))
        return Operation(request, prepared.document, definition, prepared.plans)

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
        return await self._push(operation, executor, events, context)

    async def _push(
        self, operation: Operation, executor: GraphQLExecutor[Any], events: Sequence[object], context: Context
    ) -> list[dict[str, Any]]:
        try:
            async with asyncio.timeout(self._settings.operation_timeout_seconds):
                if (found := await operation.plans.answers(executor, context, list(events))) is not None:
                    return [{"data": data} for data in found]
        except TimeoutError as error:
            return [_too_late(error, context).body for _ in events]
        return await asyncio.gather(
            *(self._push_one(executor.build_per_event_executor(event), context) for event in events)
        )

    async def _push_one(self, executor: GraphQLExecutor[Any], context: Context) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._settings.operation_timeout_seconds):
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
        )

    async def _execute(self, operation: Operation, context: Context) -> Answer:
        try:
            async with asyncio.timeout(self._settings.operation_timeout_seconds):
                executor = self._graphql_executor(operation, context)
                if isinstance(executor, list):
                    return _answer(ExecutionResult(None, executor), context)
                if (found := await operation.plans.answers(executor, context, [None])) is not None:
                    return Answer({"data": found[0]}, executed=True)
                result = execute(
                    self._schema,
                    operation.document,
                    context_value=context,
                    variable_values=dict(operation.request.variables or {}),
                    operation_name=operation.request.operation_name,
                )
                return _answer(await result if isinstance(result, Awaitable) else result, context)
        except TimeoutError as error:
            return _too_late(error, context)

    def _prepare(self, query: str) -> _Prepared:
        prepared = self._prepared.get(query)
        if prepared is not None:
            self._prepared.move_to_end(query)
            return prepared
        prepared = self._parse_and_validate(query)
        if prepared.document is None:
            return prepared
        self._prepared[query] = prepared
        self._cached_characters += len(query)
        while self._cached_characters > _CACHED_CHARACTERS:
            forgotten, _ = self._prepared.popitem(last=False)
            self._cached_characters -= len(forgotten)
        return prepared

    def _parse_and_validate(self, query: str) -> _Prepared:
        try:
            document = parse(
                query,
                max_lexical_tokens=self._settings.max_query_tokens,
                max_comments=_MOST_COMMENTS,
                max_source_length=_LONGEST_DOCUMENT,
            )
            errors = validate(self._schema, document)
            return _Prepared(document, errors, "GRAPHQL_VALIDATION_FAILED", None if errors else Plans(document))
        except GraphQLError as error:
            return _Prepared(None, [error], "GRAPHQL_PARSE_FAILED")
        except RecursionError:
            return _Prepared(None, [GraphQLError("The document is nested too deeply.")], "QUERY_TOO_COMPLEX")


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


def _too_costly(cost: int, most: int) -> GraphQLError:
    return GraphQLError(
        f"With all its pages full this costs {cost:,}, and {most:,} is the most (a field is 1, an object 5): "
        "ask for fewer items of the outer lists, or for fewer fields."
    )


def _no_operation(document: DocumentNode, name: str | None) -> GraphQLError:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    names = ", ".join(node.name.value for node in operations if node.name) or "none with a name"
    if name is not None:
        return GraphQLError(f"There is no operation {name!r:.100} in the document; it has {names:.500}.")
    if operations:
        return GraphQLError(f"The document has several operations; name one in operationName: {names:.500}.")
    return GraphQLError("The document has no operation.")
