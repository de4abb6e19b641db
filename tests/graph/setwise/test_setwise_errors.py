"""What goes wrong set at a time is told as graphql-core tells it, and nothing is asked of a failing database twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from graphql import GraphQLSchema, parse
from menagerie import Colour, Row, Stone, Zoo, menagerie
from reference import by_graphql_core, set_at_a_time, told

from datasources.postgres import Database, UpstreamTimeout
from datasources.settings import Settings
from graph.context import Context
from graph.engine.documents import Documents
from graph.engine.execution import Executor
from graph.engine.requests import Request
from graph.schema import build_schema, core
from graph.viewer import ANYBODY


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return menagerie()


def animal(**values: Any) -> Row:
    """An animal with everything it has to have."""
    row = Row(text="a", must_text="b", number=1, must_number=1, colour=Colour.RED, words=[], matrix=None, id="1")
    row.__dict__ |= {"friend": None, "must_friend": row, "friends": None, "herds": None, "named": None, "cage": None}
    row.__dict__ |= {"flag": None, "ratio": None, "moment": None, "colours": None, **values}
    return row


async def _planned(schema: GraphQLSchema, text: str, *animals: Row) -> Any:
    document = parse(text)
    reference = await by_graphql_core(schema, document, Zoo(list(animals)), {})
    found = await set_at_a_time(schema, document, Zoo(list(animals)), {})
    assert found is None or (reference.errors is None and told(found) == told(reference.data))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ animals { number text number } }", {"number": 1, "text": "a"}),
        ("{ animals { b: text text a: text } }", {"b": "a", "text": "a", "a": "a"}),
        ("{ animals { cage { number } text cage { colour } } }", {"cage": {"number": 1, "colour": "RED"}, "text": "a"}),
        ("{ animals { ... { number } ...F text } } fragment F on Animal { text }", {"number": 1, "text": "a"}),
        ("{ animals { kind: __typename friend { text } } }", {"kind": "Animal", "friend": None}),
        ("{ animals { matrix words } }", {"matrix": [[1, None], None, []], "words": []}),
        ("{ animals { text @skip(if: true) number @include(if: true) } }", {"number": 1}),
        ("{ animals { ... @skip(if: true) { text } } }", {}),
        ("{ animals { named { text ... on Animal { number } } } }", {"named": {"text": "a", "number": 1}}),
    ],
)
async def test_selections_are_merged_in_the_order_they_are_met(schema, text, expected):
    one = animal(matrix=((1, None), None, []))
    one.cage = one.named = one
    found = await _planned(schema, text, one)
    assert list(found["animals"][0].items()) == list(expected.items())


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param({"must_text": None}, "{ animals { text mustText } }", id="null where none may be"),
        pytest.param({"words": [None]}, "{ animals { words } }", id="null in a list"),
        pytest.param({"words": "word"}, "{ animals { words } }", id="text where a list should be"),
        pytest.param({"number": 2**31}, "{ animals { number } }", id="a number too large"),
        pytest.param({"ratio": float("inf")}, "{ animals { ratio } }", id="a number without end"),
        pytest.param({"text": ValueError("no")}, "{ animals { text } }", id="an error for a value"),
        pytest.param({"friend": Stone()}, "{ animals { friend { text } } }", id="an object of another type"),
        pytest.param({"must_friend": None}, "{ animals { friends { text } mustFriend { text } } }", id="no object"),
        pytest.param({"number": 12}, "{ animals { text neighbour { text } } }", id="a loader that fails"),
        pytest.param({"number": None}, "{ animals { text doubled } }", id="a function that raises"),
        pytest.param({"text": []}, "{ animals { slowText } }", id="a coroutine that goes wrong"),
    ],
)
async def test_what_goes_wrong_is_left_to_the_reference(schema, values, text):
    assert await _planned(schema, text, animal(), animal(**values)) is None


@pytest.mark.parametrize("odd", [{"text": 5}, {"number": 1.0}, {"flag": 1}, {"ratio": 3}, {"id": 7}, {"text": True}])
async def test_what_a_scalar_can_coerce_is_coerced(schema, odd):
    [name] = odd
    found = await _planned(schema, f"{{ animals {{ {name} }} }}", animal(), animal(**odd))
    assert found is not None


class _Slow(Database):
    """A database whose steps of jobs take too long, and that counts who asks."""

    asked = 0

    async def fetch(self, query: Any, parameters: Any = None, columns: Any = frozenset(), **parts: str) -> Any:
        if query.name == "executions_by_job":
            self.asked += 1
            error = UpstreamTimeout("slow")
            error.asked = query, parameters, parts
            raise error
        return await super().fetch(query, parameters, columns, **parts)


async def test_a_statement_that_took_too_long_is_not_asked_again(seeded_dsn: str) -> None:
    settings = Settings()
    database = _Slow(seeded_dsn, settings)
    await database.open()
    try:
        executor = Executor(core(build_schema()), settings, Documents(settings, ()))
        request = Request("{ jobs(first: 2) { nodes { jobId nodeExecutions { nodeId } } } fleet { totalRobots } }")
        async with asyncio.timeout(20):
            answer = await executor.answer(request, Context(database, settings, "id", ANYBODY))
    finally:
        await database.close()
    assert database.asked == 1
    assert [error["extensions"]["code"] for error in answer.body["errors"]] == ["UPSTREAM_TIMEOUT"]
