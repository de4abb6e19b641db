"""Set at a time, an operation says what it says field by field: the same data, the same errors, in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from random import Random
from typing import Any

import pytest
from documents import documents
from graphql import NoUnusedVariablesRule, parse, specified_rules, validate
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from menagerie import Colour, Row, Stone, Zoo, menagerie
from reference import (
    by_graphql_core,
    events_by_graphql_core,
    events_set_at_a_time,
    quiet,
    set_at_a_time,
    told,
)

SCHEMA = menagerie()
RULES = [rule for rule in specified_rules if rule not in {NoUnusedVariablesRule}]
_ZONES = (UTC, UTC, timezone(timedelta(hours=5, minutes=30)))
_WRONG = (None, object(), ValueError("wrong"), "wrong", 7, 1.5, True, [None], float("nan"), 2**31, Stone())


def _zoo(seed: int, odd: float) -> list[Row]:
    """Animals who know each other; of their values, a share of `odd` is anything at all."""
    chance = Random(seed)
    some = partial(_some, chance, odd)
    animals = [
        Row(
            text=some(None, "", "a", "bär"),
            must_text=some("", "x"),
            number=some(None, -3, 0, 1, 2, 12),
            must_number=some(-(2**31), 2**31 - 1, 0),
            ratio=some(None, 0.0, -1.5, 1e300, 1e308, 5e-324),
            flag=some(None, True, False),
            moment=some(None, *(datetime(year, 2, 3, 4, 5, 6, 70, zone) for year in (7, 2026) for zone in _ZONES)),
            colour=some(None, *Colour),
            id=some(None, "i", 5),
            words=some([], ["a"], ("a", "b")),
            matrix=some(None, [], [None, [1, None]], [[]]),
            colours=some(None, [], [[Colour.RED, Colour.GREEN], []]),
        )
        for _ in range(chance.randint(1, 4))
    ]

    def several(*also: Any) -> list[Any]:
        return [some(*animals, *also) for _ in range(chance.randint(0, 3))]

    for animal in animals:
        animal.friend, animal.must_friend, animal.cage = some(None, *animals), some(*animals), some(None, *animals)
        animal.friends, animal.herds = some(None, several(None)), some(None, [several(), None, several()])
        animal.named = some(None, *animals)
        if chance.random() < odd:
            delattr(animal, chance.choice(sorted(vars(animal))))
    return animals


def _some(chance: Random, odd: float, *values: Any) -> Any:
    return chance.choice(_WRONG if chance.random() < odd else values)


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
    runner.run(quiet())
    event("planned" if found is not None else "left to the reference")
    if found is None:
        assert reference.errors or "cages" in text
    else:
        assert reference.errors is None
        assert told(found) == told(reference.data)


_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(_SETTINGS, max_examples=150)
@given(text=documents(SCHEMA), seed=st.integers(0, 2**32), odd=st.sampled_from([0, 0, 0.02]), yes=st.booleans())
def test_random_documents_over_random_data(runner: asyncio.Runner, text: str, seed: int, odd: float, yes: bool) -> None:
    _compare(runner, text, _zoo(seed, odd), yes)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=10_000)
@given(text=documents(SCHEMA), seed=st.integers(0, 2**32), odd=st.sampled_from([0, 0, 0.02]), yes=st.booleans())
def test_ten_thousand_random_documents_over_random_data(
    runner: asyncio.Runner, text: str, seed: int, odd: float, yes: bool
) -> None:
    _compare(runner, text, _zoo(seed, odd), yes)


_STREAMS = st.sampled_from(["met", "herd", "word"]).flatmap(
    lambda stream: st.tuples(st.just(stream), documents(SCHEMA, stream=stream))
)


def _events(stream: str, animals: list[Row], seed: int, odd: float) -> list[Any]:
    chance = Random(seed)
    kinds = {"met": [None, *animals], "herd": [[], animals, (None, animals[0])], "word": ["", "a"]}
    return [_some(chance, odd, *kinds[stream]) for _ in range(chance.randint(0, 5))]


def _compare_events(runner: asyncio.Runner, asked: tuple[str, str], seed: int, odd: float, yes: bool) -> None:
    stream, text = asked
    document, variables, animals = parse(text), {"yes": yes}, _zoo(seed, odd)
    assert not validate(SCHEMA, document, RULES)
    events = _events(stream, animals, seed, odd)
    reference = runner.run(events_by_graphql_core(SCHEMA, document, Zoo(animals), variables, events))
    found = runner.run(events_set_at_a_time(SCHEMA, document, Zoo(animals), variables, events))
    runner.run(quiet())
    event("planned" if found is not None else "left to the reference")
    if found is None:
        assert any(one.errors for one in reference) or "cages" in text
    else:
        assert not any(one.errors for one in reference)
        assert list(map(told, found)) == [told(one.data) for one in reference]


@settings(_SETTINGS, max_examples=100)
@given(asked=_STREAMS, seed=st.integers(0, 2**32), odd=st.sampled_from([0, 0, 0.02]), yes=st.booleans())
def test_random_events_that_come_at_once(
    runner: asyncio.Runner, asked: tuple[str, str], seed: int, odd: float, yes: bool
) -> None:
    _compare_events(runner, asked, seed, odd, yes)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=10_000)
@given(asked=_STREAMS, seed=st.integers(0, 2**32), odd=st.sampled_from([0, 0, 0.02]), yes=st.booleans())
def test_ten_thousand_random_batches_of_events(
    runner: asyncio.Runner, asked: tuple[str, str], seed: int, odd: float, yes: bool
) -> None:
    _compare_events(runner, asked, seed, odd, yes)
