"""Set at a time, an operation says what it says field by field: the same data, the same errors, in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from documents import documents
from graphql import NoUnusedVariablesRule, parse, specified_rules, validate
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from menagerie import Colour, Row, Stone, Zoo, menagerie
from reference import by_graphql_core, set_at_a_time, told

SCHEMA = menagerie()
RULES = [rule for rule in specified_rules if rule not in {NoUnusedVariablesRule}]
_MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
_WRONG = st.sampled_from([None, object(), ValueError("wrong"), "wrong", 7, 1.5, True, [None], float("nan"), 2**31])


def _leaves(odd: int) -> dict[str, st.SearchStrategy[Any]]:
    """Values of an animal's leaves, one in `odd` of which is anything at all."""

    def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.integers(1, odd).flatmap(lambda number: _WRONG if number == 1 else right)

    text, number, colour = st.text(max_size=3), st.integers(-3, 12), st.sampled_from(Colour)
    return {
        "text": mostly(st.none() | text),
        "must_text": mostly(text),
        "number": mostly(st.none() | number),
        "must_number": mostly(st.integers(-(2**31), 2**31 - 1)),
        "ratio": mostly(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        "flag": mostly(st.none() | st.booleans()),
        "moment": mostly(st.none() | _MOMENTS | _MOMENTS.map(lambda moment: moment.replace(year=7))),
        "colour": mostly(st.none() | colour),
        "id": mostly(st.none() | text | number),
        "words": mostly(st.lists(text, max_size=2)),
        "matrix": mostly(st.none() | st.lists(st.none() | st.lists(st.none() | number, max_size=2), max_size=2)),
        "colours": mostly(st.none() | st.lists(st.lists(colour, max_size=2), max_size=2)),
    }


@st.composite
def zoos(draw: st.DrawFn) -> list[Row]:
    """Animals who know each other; in a tidy zoo, everything is as it should be."""
    odd = draw(st.sampled_from([40, 10_000]))
    leaves = _leaves(odd)
    animals = [Row(**{name: draw(value) for name, value in leaves.items()}) for _ in range(draw(st.integers(1, 4)))]
    someone = st.sampled_from(animals)
    anybody = st.none() | someone
    for animal in animals:
        animal.friend, animal.must_friend = draw(anybody), draw(someone)
        animal.friends = draw(st.none() | st.lists(anybody, max_size=3))
        animal.herds = draw(st.none() | st.lists(st.none() | st.lists(someone, max_size=2), max_size=2))
        animal.named = animal.cage = draw(anybody)
        if draw(st.integers(1, odd)) == 1:
            setattr(animal, draw(st.sampled_from(["friend", "must_friend"])), draw(_WRONG | st.just(Stone())))
        if draw(st.integers(1, odd)) == 1:
            delattr(animal, draw(st.sampled_from(sorted(vars(animal)))))
    return animals


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples."""
    with asyncio.Runner() as runner:
        yield runner


def _compare(runner: asyncio.Runner, text: str, animals: list[Row], yes: bool) -> None:
    document = parse(text)
    assert not validate(SCHEMA, document, RULES)
    variables = {"yes": yes}
    reference = runner.run(by_graphql_core(SCHEMA, document, Zoo(animals), variables))
    found = runner.run(set_at_a_time(SCHEMA, document, Zoo(animals), variables))
    event("planned" if found is not None else "left to the reference")
    if found is None:
        assert reference.errors or "cages" in text
    else:
        assert reference.errors is None
        assert told(found) == told(reference.data)


_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(_SETTINGS, max_examples=150)
@given(text=documents(SCHEMA), animals=zoos(), yes=st.booleans())
def test_random_documents_over_random_data(runner: asyncio.Runner, text: str, animals: list[Row], yes: bool) -> None:
    _compare(runner, text, animals, yes)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=10_000)
@given(text=documents(SCHEMA), animals=zoos(), yes=st.booleans())
def test_ten_thousand_random_documents_over_random_data(
    runner: asyncio.Runner, text: str, animals: list[Row], yes: bool
) -> None:
    _compare(runner, text, animals, yes)
