"""The two shapes a loader has.

These batch and do not cache: an answer at hand would let its fields run ahead of their siblings, which then wait for
a statement of their own. So one field path is one statement, whatever another has asked before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from aiodataloader import DataLoader

from datasources.postgres import statement_log

Key = TypeVar("Key", bound=Hashable)
Group = TypeVar("Group", bound=Hashable)
Value = TypeVar("Value")


def by_key(
    fetch: Callable[[list[Key]], Awaitable[Mapping[Key, Value]]], missing: Callable[[], Value]
) -> DataLoader[Key, Value]:
    """A loader whose keys are all answered by one statement."""

    async def load(keys: list[Key]) -> list[Value]:
        _note(len(keys))
        found = await fetch(list(dict.fromkeys(keys)))
        return [found[key] if key in found else missing() for key in keys]

    return DataLoader(batch_load_fn=load, cache=False)


def by_group(
    fetch: Callable[[Group, list[str]], Awaitable[Mapping[str, Value]]], missing: Callable[[Group], Value]
) -> DataLoader[tuple[str, Group], Value]:
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

    return DataLoader(batch_load_fn=load, cache=False)


def _note(keys: int) -> None:
    if (log := statement_log.get()) is not None:
        log.batches.append(keys)
