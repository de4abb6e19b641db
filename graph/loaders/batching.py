"""The two shapes a loader has.

These batch and do not cache: an answer at hand would let its fields run ahead of their siblings, which then wait for
a statement of their own. So one field path is one statement, whatever another has asked before.

A batch runs in a task of its own, which knows nothing of the operation's deadline. So it ends, and its statement with
it, as soon as nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from aiodataloader import DataLoader

from datasources.postgres import statement_log

Key = TypeVar("Key", bound=Hashable)
Group = TypeVar("Group", bound=Hashable)
Value = TypeVar("Value")


class _Batches(DataLoader[Key, Value]):
    """A loader whose batches end with those who wait for them."""

    def __init__(self, load: Callable[[list[Key]], Awaitable[list[Value]]]) -> None:
        super().__init__(self._load, cache=False)
        self._answer = load
        self._awaited: deque[asyncio.Future[Value]] = deque()

    def load(self, key: Key) -> asyncio.Future[Value]:
        """The value of a key, as soon as its batch is answered."""
        future = super().load(key)
        self._awaited.append(future)
        return future

    async def _load(self, keys: list[Key]) -> list[Value]:
        batch = asyncio.current_task()
        if batch is not None:
            _end_unawaited(batch, [self._awaited.popleft() for _ in keys])
        _note(len(keys))
        return await self._answer(keys)


def _end_unawaited(batch: asyncio.Task[object], futures: list[asyncio.Future[Value]]) -> None:
    """Cancel a batch when all of its futures are done before it: one stands guard, and hands over to the next."""
    while futures and futures[-1].done():
        futures.pop()
    if futures:
        futures[-1].add_done_callback(lambda _: _end_unawaited(batch, futures))
    else:
        batch.cancel()


def by_key(
    fetch: Callable[[list[Key]], Awaitable[Mapping[Key, Value]]], missing: Callable[[], Value]
) -> DataLoader[Key, Value]:
    """A loader whose keys are all answered by one statement."""

    async def load(keys: list[Key]) -> list[Value]:
        found = await fetch(list(dict.fromkeys(keys)))
        return [found[key] if key in found else missing() for key in keys]

    return _Batches(load)


def by_group(
    fetch: Callable[[Group, list[str]], Awaitable[Mapping[str, Value]]], missing: Callable[[Group], Value]
) -> DataLoader[tuple[str, Group], Value]:
    """A loader whose keys are an id and what is asked of it; each distinct question is one statement."""

    async def load(keys: list[tuple[str, Group]]) -> list[Value]:
        groups: dict[Group, list[str]] = {}
        for key, group in dict.fromkeys(keys):
            groups.setdefault(group, []).append(key)
        answers: Sequence[Mapping[str, Value]] = await asyncio.gather(
            *(fetch(group, ids) for group, ids in groups.items())
        )
        found = dict(zip(groups, answers, strict=True))
        return [found[group][key] if key in found[group] else missing(group) for key, group in keys]

    return _Batches(load)


def _note(keys: int) -> None:
    if (log := statement_log.get()) is not None:
        log.batches.append(keys)
