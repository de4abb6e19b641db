"""Sockets that were told something are written to in turns."""

import asyncio
from functools import partial

import pytest

from graph.transports.turns import Turns

MANY = 1000


async def test_who_waits_longest_is_written_to_first_and_the_loop_does_other_things_meanwhile() -> None:
    turns, loop, over = Turns(), asyncio.get_running_loop(), asyncio.Event()
    done: list[object] = []
    for number in range(MANY):
        turns.add(loop, partial(done.append, number))
    turns.add(loop, over.set)
    loop.call_soon(done.append, "something else")
    async with asyncio.timeout(10):
        await over.wait()
    assert 0 < done.index("something else") < MANY
    assert [number for number in done if number != "something else"] == list(range(MANY))


async def test_who_is_told_while_others_are_written_to_comes_behind_them() -> None:
    turns, loop, over = Turns(), asyncio.get_running_loop(), asyncio.Event()
    done: list[object] = []
    turns.add(loop, partial(turns.add, loop, over.set))
    for number in range(MANY):
        turns.add(loop, partial(done.append, number))
    async with asyncio.timeout(10):
        await over.wait()
    assert done == list(range(MANY))


@pytest.mark.parametrize("failing", [0, MANY - 1])
async def test_one_that_cannot_be_written_to_holds_up_nobody(failing: int) -> None:
    turns, loop, over = Turns(), asyncio.get_running_loop(), asyncio.Event()
    failed: list[object] = []
    done: list[object] = []
    loop.set_exception_handler(lambda _loop, context: failed.append(context["exception"]))
    for number in range(MANY):
        turns.add(loop, partial(done.remove if number == failing else done.append, number))
    turns.add(loop, over.set)
    async with asyncio.timeout(10):
        await over.wait()
    assert [type(error) for error in failed] == [ValueError]
    assert len(done) == MANY - 1


async def test_a_crowd_is_left_alone_for_a_while_and_told_all_at_once_then() -> None:
    turns, loop, over = Turns(), asyncio.get_running_loop(), asyncio.Event()
    begun: list[float] = []

    def begin() -> None:
        begun.append(loop.time())

    turns.add(loop, begin)
    for _ in range(MANY):
        turns.add(loop, lambda: None)
    turns.add(loop, partial(turns.add, loop, begin))
    turns.add(loop, partial(turns.add, loop, over.set))
    async with asyncio.timeout(10):
        await over.wait()
    assert begun[1] - begun[0] >= MANY * 20e-6


async def test_a_round_begins_once_whoever_adds_to_it() -> None:
    turns, loop, over = Turns(), asyncio.get_running_loop(), asyncio.Event()
    done: list[object] = []

    def last() -> None:
        done.append("last")
        for number in range(MANY):
            turns.add(loop, partial(done.append, number))
        turns.add(loop, over.set)

    turns.add(loop, last)
    async with asyncio.timeout(10):
        await over.wait()
    assert done == ["last", *range(MANY)]
