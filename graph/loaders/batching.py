"""A loader, and the two shapes it has.

Loaders batch and do not cache: an answer at hand would let its fields run ahead of their siblings, which then wait for
a statement of their own. So one field path is one statement, whatever another has asked before.

A batch runs in a task of its own, which knows nothing of the operation's deadline. So it ends, and its statement with
it, as soon as nobody waits for it any more. Whoever reads without such a task waits for the batch itself.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, cast

from aiodataloader import DataLoader

from datasources.postgres import statement_log

Key = TypeVar("Key", bound=Hashable)
Group = TypeVar("Group", bound=Hashable)
Value = TypeVar("Value")


class _Set(tuple[Any, ...]):
    """Keys that are asked for together: one key with one future to the library, as a future for each costs more."""


def _itself(key: Any) -> Any:
    return key


class Loader(DataLoader[Key, Value]):
    """Answers all keys that fields ask for at the same time, one by one or in sets, with one batch.

    It holds nothing that holds it: each operation has some, which the garbage collector need not look for.
    """

    cache = False
    get_cache_key = staticmethod(_itself)

    def __init__(self, read: Callable[[list[Key]], Awaitable[Sequence[Value]]]) -> None:
        super().__init__()
        self.read = read
        self._awaited: deque[Future[Any]] = deque()

    def load_many(self, keys: Iterable[Key]) -> Future[list[Value]]:
        """The values of these keys, in their order; what is wrong with one of them is raised."""
        future: Future[list[Value]] = self.loop.create_future()
        future.add_done_callback(_look_at)
        self.do_resolve_reject(cast(Key, _Set(keys)), cast("Future[Value]", future))
        return future

    def do_resolve_reject(self, key: Key, future: Future[Value]) -> None:
        """Put a key, or a set of them, into the next batch."""
        self._awaited.append(future)
        super().do_resolve_reject(key, future)

    async def batch_load_fn(self, asked: list[Key]) -> list[Any]:
        """The values of the keys, and of the sets of them, that were asked for since the last batch."""
        batch = asyncio.current_task()
        if batch is not None:
            _end_unawaited(batch, [self._awaited.popleft() for _ in asked])
        sets = [key if isinstance(key, _Set) else (key,) for key in asked]
        values = iter(await self.read([key for keys in sets for key in keys]))
        return [_whole(list(islice(values, len(key)))) if isinstance(key, _Set) else next(values) for key in asked]


def _whole(values: list[Value]) -> list[Value] | Exception:
    return next((value for value in values if isinstance(value, Exception)), values)


def _look_at(future: Future[Any]) -> None:
    """Its exception may be told to nobody: another field's is the one that is reported."""
    if not future.cancelled():
        future.exception()


def _end_unawaited(batch: Task[Any], futures: list[Future[Any]]) -> None:
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
        asked = [fetch(group, ids) for group, ids in groups.items()]
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)  # one needs no task
        found = dict(zip(groups, answers, strict=True))
        return [found[group][key] if key in found[group] else missing(group) for key, group in keys]

    return Loader(load)


def _note(keys: int) -> None:
    if (log := statement_log.get()) is not None:
        log.batches.append(keys)
