"""A loader, and the two shapes it has.

Loaders batch and do not cache: an answer at hand would let its fields run ahead of their siblings, which then wait for
a statement of their own. So one field path is one statement, whatever another has asked before.

A batch runs in a task of its own, which knows nothing of the operation's deadline. So it ends, and its statement with
it, as soon as nobody waits for it any more. Whoever asks without such a task waits for the batch itself.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from datasources.postgres import statement_log

Key = TypeVar("Key", bound=Hashable)
Group = TypeVar("Group", bound=Hashable)
Value = TypeVar("Value")


class Loader(Generic[Key, Value]):
    """Answers all keys that fields ask for at the same time with one batch: set by set, without a future for each."""

    __slots__ = ("_asked", "batch")

    def __init__(self, batch: Callable[[list[Key]], Awaitable[Sequence[Value]]]) -> None:
        self.batch = batch
        self._asked: list[tuple[Sequence[Key], Future[Sequence[Value]]]] = []

    async def load(self, key: Key) -> Value:
        """The value of a key; one that is an exception is raised."""
        return told((await self.load_many((key,)))[0])

    def load_many(self, keys: Sequence[Key]) -> Future[Sequence[Value]]:
        """The values of these keys, in their order."""
        loop = asyncio.get_running_loop()
        future: Future[Sequence[Value]] = loop.create_future()
        self._asked.append((keys, future))
        if len(self._asked) == 1:
            loop.call_soon(self._begin)  # after the tasks that were made before, which may ask for more
        return future

    def _begin(self) -> None:
        asked = [(keys, future) for keys, future in self._asked if not future.done()]
        self._asked = []
        if asked:
            _end_unawaited(asyncio.create_task(self._answer(asked)), [future for _, future in asked])

    async def _answer(self, asked: list[tuple[Sequence[Key], Future[Sequence[Value]]]]) -> None:
        try:
            values = await self.batch([key for keys, _ in asked for key in keys])
        except Exception as error:  # noqa: BLE001  # whoever asked is told
            for _, future in asked:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # another field's error may be the one that is reported
            return
        start = 0
        for keys, future in asked:
            if not future.done():
                future.set_result(values[start : start + len(keys)])
            start += len(keys)


def told(value: Value) -> Value:
    """What was found for a key; raises what is an exception."""
    if isinstance(value, Exception):
        raise value
    return value


def _end_unawaited(batch: Task[None], futures: list[Future[Sequence[Value]]]) -> None:
    """Cancel a batch when all of its futures are done before it: one stands guard, and hands over to the next."""
    while futures and futures[-1].done():
        futures.pop()
    if futures:
        futures[-1].add_done_callback(lambda _: _end_unawaited(batch, futures))
    else:
        batch.cancel()


def by_key(
    fetch: Callable[[list[Key]], Awaitable[Mapping[Key, Value]]], missing: Callable[[], Value]
) -> Loader[Key, Value]:
    """A loader whose keys are all answered by one statement."""

    async def load(keys: list[Key]) -> list[Value]:
        _note(len(keys))
        found = await fetch(list(dict.fromkeys(keys)))
        return [found[key] if key in found else missing() for key in keys]

    return Loader(load)


def by_group(
    fetch: Callable[[Group, list[str]], Awaitable[Mapping[str, Value]]], missing: Callable[[Group], Value]
) -> Loader[tuple[str, Group], Value]:
    """A loader whose keys are an id and what is asked of it; each distinct question is one statement."""

    async def load(keys: list[tuple[str, Group]]) -> list[Value]:
        _note(len(keys))
        groups: dict[Group, list[str]] = {}
        for key, group in dict.fromkeys(keys):
            groups.setdefault(group, []).append(key)
        answers: Sequence[Mapping[str, Value]] = await asyncio.gather(
            *(fetch(group, ids) for group, ids in groups.items())
        )
        found = dict(zip(groups, answers, strict=True))
        return [found[group][key] if key in found[group] else missing(group) for key, group in keys]

    return Loader(load)


def _note(keys: int) -> None:
    if (log := statement_log.get()) is not None:
        log.batches.append(keys)
