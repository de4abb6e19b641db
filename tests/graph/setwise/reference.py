"""The two ways of execution side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLSchema, execute, execute_subscription_event
from graphql import Executor as GraphQLExecutor

from graph.engine.answers import encode
from graph.engine.setwise.planner import Setwise

_MOST_FIELDS = 1000


async def by_graphql_core(
    schema: GraphQLSchema, document: DocumentNode, context: Any, variables: dict[str, Any]
) -> ExecutionResult:
    """What the reference says."""
    result = execute(schema, document, context_value=context, variable_values=variables)
    return await result if isinstance(result, Awaitable) else result


async def set_at_a_time(
    schema: GraphQLSchema, document: DocumentNode, context: Any, variables: dict[str, Any], plans: Setwise | None = None
) -> dict[str, Any] | None:
    """What the plan says, or None where it leaves it to the reference."""
    executor = GraphQLExecutor.build(schema, document, context_value=context, raw_variable_values=variables)
    if isinstance(executor, list):
        return None
    found = await (plans or Setwise(document, _MOST_FIELDS)).answers(executor, context, [None])
    return None if found is None else found[0]


async def events_by_graphql_core(
    schema: GraphQLSchema, document: DocumentNode, context: Any, variables: dict[str, Any], events: Sequence[object]
) -> list[ExecutionResult]:
    """What the reference says to these events, which come at once."""
    executor = GraphQLExecutor.build(schema, document, context_value=context, raw_variable_values=variables)
    assert not isinstance(executor, list), executor

    async def one(event: object) -> ExecutionResult:
        result = execute_subscription_event(executor.build_per_event_executor(event))
        return await result if isinstance(result, Awaitable) else result

    return await asyncio.gather(*map(one, events))


async def events_set_at_a_time(
    schema: GraphQLSchema, document: DocumentNode, context: Any, variables: dict[str, Any], events: Sequence[object]
) -> list[dict[str, Any]] | None:
    """What the plan says to these events, or None where it leaves them to the reference."""
    executor = GraphQLExecutor.build(schema, document, context_value=context, raw_variable_values=variables)
    assert not isinstance(executor, list), executor
    return await Setwise(document, _MOST_FIELDS).answers(executor, context, list(events))


async def quiet() -> None:
    """Wait for what graphql-core settles in the background."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


def told(data: Any) -> bytes:
    """The answer as clients see it, in the order of its keys."""
    return encode({"data": data})
