"""From a document to an answer: parsed and validated once, executed within the deadline, errors made presentable.

What a document may cost is known before it runs: its tokens bound the validation, its cost bounds the answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    parse,
    validate,
)

from datasources.settings import Settings
from graph.context import Context
from graph.cost import Cost
from graph.errors import present

_LONGEST_DOCUMENT = 100_000  # characters; values belong into variables
_MOST_COMMENTS = 1000
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
        prepared = self._prepare(request.query)
        if prepared.document is None or prepared.errors:
            return _refused(prepared.errors, prepared.code, context)
        operation = get_operation_ast(prepared.document, request.operation_name)
        if operation is None:
            return _refused([_no_operation(prepared.document, request.operation_name)], "OPERATION_NOT_FOUND", context)
        if only_questions and operation.operation is not OperationType.QUERY:
            raise MutationRefused
        cost = Cost(self._schema, prepared.document, operation, request.variables or {}).total()
        most = self._settings.max_query_cost
        if cost > most:
            return _refused([_too_costly(cost, most)], "QUERY_TOO_COMPLEX", context)
        result = await self._execute(prepared.document, request, context)
        errors = [present(error, context.correlation_id) for error in result.errors or ()]
        executed = result.data is not None or any(error.path for error in result.errors or ())
        body: dict[str, Any] = {"data": result.data} if executed else {}
        if errors:
            body = {"errors": errors, **body}
        return Answer(body, executed)

    async def _execute(self, document: DocumentNode, request: Request, context: Context) -> ExecutionResult:
        try:
            async with asyncio.timeout(self._settings.operation_timeout_seconds):
                result = execute(
                    self._schema,
                    document,
                    context_value=context,
                    variable_values=cast(dict[str, Any], request.variables or {}),
                    operation_name=request.operation_name,
                )
                return await result if isinstance(result, Awaitable) else result
        except TimeoutError as error:
            return ExecutionResult(None, [GraphQLError(str(error), path=[], original_error=error)])

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
            return _Prepared(document, validate(self._schema, document), "GRAPHQL_VALIDATION_FAILED")
        except GraphQLError as error:
            return _Prepared(None, [error], "GRAPHQL_PARSE_FAILED")
        except RecursionError:
            return _Prepared(None, [GraphQLError("The document is nested too deeply.")], "QUERY_TOO_COMPLEX")


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
