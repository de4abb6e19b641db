"""Sources: where the values of a field come from, for all of its parents at once.

Strawberry's definition of a field says which of them it is. Where it says nothing that is known here, the field's own
resolver is called for each parent, as graphql-core would.
"""

from __future__ import annotations

from asyncio import Future, gather
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutine
from operator import attrgetter
from typing import Any

from graphql import default_field_resolver
from graphql.pyutils import is_awaitable
from strawberry.types.field import StrawberryField

from graph.loaders.batching import Loader
from graph.setwise.places import Place, Run
from graph.setwise.shapes import Column, Unusual, ordinary
from graph.types.loaded import LOADED, Loaded


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """An attribute of the parent."""

    name: str
    waits = False

    async def column(self, _run: Run, parents: Column) -> Column:
        """The values of these parents."""
        return list(map(attrgetter(self.name), parents))


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """A function of the parent."""

    place: Place
    waits = False

    async def column(self, run: Run, parents: Column) -> Column:
        """The values of these parents."""
        values = list(map(_bound(self.place, run), parents))
        if not all(map(ordinary, set(map(type, values)))):
            _close(values)
            raise Unusual
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a loader finds for the keys of the parents."""

    place: Place
    how: Loaded
    waits = True

    async def column(self, run: Run, parents: Column) -> Column:
        """The values of these parents."""
        [column] = await ask(run, parents, [self])()
        return column

    def keys(self, run: Run, parents: Column) -> list[Hashable | None]:
        """The keys of these parents; None stands for null."""
        return list(map(partial(self.how.key, **run.arguments(self.place)), parents))

    def values(self, parents: Column, keys: Sequence[Hashable | None], found: Iterator[Any]) -> Column:
        """What was found, in its place and made what it is to be."""
        made = self.how.value
        if made is None:
            return [None if key is None else next(found) for key in keys]
        return [None if key is None else made(row, next(found)) for row, key in zip(parents, keys, strict=True)]


def ask(run: Run, parents: Column, fields: Sequence[Asked]) -> Callable[[], Awaitable[list[Column]]]:
    """Ask for several fields of these parents, one set of keys for each loader; gives how to wait for their columns."""
    asked = [(field, field.how.loader(run.context.loaders), field.keys(run, parents)) for field in fields]
    sets: dict[Loader[Any, Any], list[Hashable]] = {}
    for _, loader, keys in asked:
        if known := [key for key in keys if key is not None]:
            sets.setdefault(loader, []).extend(known)
    begun = {} if run.alone and len(sets) == 1 else {loader: run.ask(loader, sets[loader]) for loader in sets}

    async def columns() -> list[Column]:
        found = {loader: iter(await (begun.get(loader) or loader.read(keys))) for loader, keys in sets.items()}
        return [field.values(parents, keys, found.get(loader, iter(()))) for field, loader, keys in asked]

    return columns


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """What a resolver gives for each parent, waited for together."""

    place: Place
    call: Callable[[Place, Run], Callable[[Any], Any]]
    waits = True

    async def column(self, run: Run, parents: Column) -> Column:
        """The values of these parents."""
        return await each(self.call(self.place, run), parents)


Source = Attribute | Computed | Asked | Resolved


def source(place: Place) -> Source:
    """Where the values of a field come from."""
    field = place.strawberry
    if field is None or field.is_subscription or field.extensions:
        return Resolved(place, _as_declared)
    if field.base_resolver is None:
        return Attribute(field.python_name)
    if (how := field.metadata.get(LOADED)) is not None:
        return Asked(place, how)
    if field.base_resolver.self_parameter or field.base_resolver.root_parameter:
        return Resolved(place, _as_declared)
    return Resolved(place, _bound) if field.is_async else Computed(place)


async def each(call: Callable[[Any], Any], parents: Column) -> Column:
    """What is called for each of these parents, waited for together."""
    values: Column = []
    try:
        values.extend(map(call, parents))
    except Exception:
        await gather(*filter(is_awaitable, values), return_exceptions=True)
        raise
    waiting = [number for number, value in enumerate(values) if is_awaitable(value)]
    for number, found in zip(waiting, await together([values[number] for number in waiting]), strict=True):
        values[number] = found
    return values


def together(waiting: Sequence[Awaitable[Any]]) -> Awaitable[Column]:
    """What these come to, several of them begun; where one fails, the others have ended, too, before this does."""
    return _ended(gather(*waiting, return_exceptions=True)) if len(waiting) > 1 else _in_turn(waiting)


async def _in_turn(waiting: Sequence[Awaitable[Any]]) -> Column:
    return [await one for one in waiting]


async def _ended(waiting: Future[Column]) -> Column:
    found = await waiting
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def _as_declared(place: Place, run: Run) -> Callable[[Any], Any]:
    """The field's resolver as graphql-core calls it."""
    resolve = place.definition.resolve or default_field_resolver
    info, arguments = run.info(place), run.coerced(place)
    return lambda parent: resolve(parent, info, **arguments)


def _bound(place: Place, run: Run) -> Callable[[Any], Any]:
    """The function behind a field of Strawberry's, waiting for the parent alone."""
    resolver = _resolver(place.strawberry)
    arguments = run.arguments(place)
    if resolver.info_parameter is not None:
        arguments = {**arguments, resolver.info_parameter.name: run.strawberry_info(place)}
    function = partial(resolver.wrapped_func, **arguments)
    parent = resolver.parent_parameter
    if parent is None:
        return lambda _parent: function()
    if next(iter(resolver.signature.parameters)) == parent.name:
        return function
    return lambda row: function(**{parent.name: row})


def _resolver(field: StrawberryField | None) -> Any:
    return None if field is None else field.base_resolver


def _close(values: Column) -> None:
    for value in values:
        if iscoroutine(value):
            value.close()
