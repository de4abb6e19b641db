"""What is read from memory is given to those whom one pass of the event loop answers, and to nobody who came later."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from repeating import counted, eventually
from serving import Graph
from test_shared_over_http import asking_at_once
from test_sharing import ERROR, Work, asked

from datasources.scope import EVERYTHING, Scope
from datasources.snapshots import Snapshots
from graph.engine.answers import Answer
from graph.engine.sharing import SharedAnswers

FLEET = "{ fleet { totalRobots queueDepth } }"


@pytest.fixture
def shared() -> SharedAnswers:
    return SharedAnswers(Snapshots("postgresql://nowhere", 60), longest=30)


async def test_all_of_a_pass_are_one_execution(shared: SharedAnswers) -> None:
    work = Work()
    answers = await asyncio.gather(*(shared.give_at_once(asked(), work) for _ in range(20)))
    assert {id(answer) for answer in answers} == {id(answers[0])}
    assert (work.begun, shared.counts["executed"], shared.counts["passed"]) == (1, 1, 19)


async def test_the_next_pass_begins_anew(shared: SharedAnswers) -> None:
    work = Work()
    await shared.give_at_once(asked(), work)
    await asyncio.sleep(0)
    await shared.give_at_once(asked(), work)
    assert work.begun == 2


async def test_work_that_waits_is_for_one_alone(shared: SharedAnswers) -> None:
    work = Work(gate=True)
    asking = [asyncio.create_task(shared.give_at_once(asked(), work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.gate.set()
    await asyncio.gather(*asking)
    assert work.begun == 3


async def test_errors_are_for_one_alone(shared: SharedAnswers) -> None:
    work = Work({"errors": [ERROR], "data": None})
    await asyncio.gather(*(shared.give_at_once(asked(), work) for _ in range(3)))
    assert work.begun == 3


async def test_scopes_are_answered_apart(shared: SharedAnswers) -> None:
    scopes = [EVERYTHING, Scope(frozenset({"a"})), Scope(frozenset({"b"})), Scope(masked=True)]
    works = [Work({"data": number}) for number in range(len(scopes))]
    answers = await asyncio.gather(
        *(shared.give_at_once(asked(0, scope), work) for scope, work in zip(scopes, works, strict=True))
    )
    assert [answer.body["data"] for answer in answers] == [0, 1, 2, 3]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nobody_is_told_what_was_read_before_they_came(
    run: Callable[[Coroutine[Any, Any, None]], None], seed: int
) -> None:
    run(_come_and_go(random.Random(seed)))


async def _come_and_go(chance: random.Random) -> None:
    """Askers come from callbacks, from tasks and from outside, while memory changes between any two steps."""
    shared = SharedAnswers(Snapshots("postgresql://nowhere", 60), longest=30)
    loop, memory, asking = asyncio.get_running_loop(), 0, []

    async def work() -> Answer:
        read = memory
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            await asyncio.sleep(0)
        return Answer({"data": read}, executed=True)

    async def ask(came: int) -> None:
        for _ in range(chance.choice((0, 0, 1, 2))):
            await asyncio.sleep(0)
        told = await shared.give_at_once(asked(), work)
        assert told.body["data"] >= came

    def something(depth: int) -> None:
        nonlocal memory
        memory += chance.random() < 0.5
        for _ in range(chance.randrange(3)):
            asking.append(loop.create_task(ask(memory)))
            memory += chance.random() < 0.5
        if depth:
            for _ in range(chance.randrange(1, 3)):
                arrive = chance.choice((loop.call_soon, loop.call_soon_threadsafe))
                arrive(something, depth - 1)

    something(6)
    async with asyncio.timeout(20):
        for _ in range(12):
            await asyncio.sleep(0)
        await asyncio.gather(*asking)


def test_fifty_who_ask_for_the_fleet_at_once_get_the_same(graph: Graph) -> None:
    before = counted(graph)
    responses = asking_at_once(graph, FLEET, 50)
    assert {response.text for response in responses} == {responses[0].text}
    eventually(lambda: sum(counted(graph)[kind] - before[kind] for kind in ("executed", "passed")) >= 50)
