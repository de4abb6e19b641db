"""Sources: where the values of a field come from, for all of its parents at once.

Strawberry's definition of a field says which of them it is. Where it says nothing that is known here, the field's own
resolver is called for each parent, as graphql-core would.
"""

from __future__ import annotations

from asyncio import Future, gather
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutine
from operator import attrgetter
from typing import Any, cast

from graphql import default_field_resolver
from graphql.pyutils import is_awaitable
from strawberry.types.fields.resolver import StrawberryResolver

from graph.engine.setwise.places import Place, Run
from graph.engine.setwise.shapes import Column, Unusual, ordinary
from graph.loaders.batching import Loader
from graph.types.loaded import LOADED, Loaded

Call = Callable[[Run], Callable[[Any], Any]]  # what is to be called for each parent, for one execution of a plan


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """An attribute of the parent."""

    name: str
    waits = False

    def column(self, _run: Run, parents: Column) -> Column:
        """The values of these parents."""
        return list(map(attrgetter(self.name), parents))


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """A function of the parent."""

    call: Call
    waits = False

    def column(self, run: Run, parents: Column) -> Column:
        """The values of these parents."""
        values = list(map(self.call(run), parents))
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
        [column] = await ask(run, parents, [[self]])()
        return column

    @property
    def question(self) -> Hashable:
        """What equal ones have in common: the keys of all parents, and the loader that is asked for them."""
        return (self.how.key, self.how.loader) if not self.place.definition.args else self.place

    def keys(self, run: Run, parents: Column) -> list[Hashable | None]:
        """The keys of these parents; None stands for null."""
        arguments = run.arguments(self.place)
        return list(map(partial(self.how.key, **arguments) if arguments else self.how.key, parents))

    def values(self, parents: Column, keys: Sequence[Hashable | None], found: Column) -> Column:
        """What was found for each parent, made what it is to be."""
        made = self.how.value
        if made is None:
            return found
        return [None if key is None else made(*each) for key, *each in zip(keys, parents, found, strict=True)]


def ask(run: Run, parents: Column, questions: Sequence[Sequence[Asked]]) -> Callable[[], Awaitable[list[Column]]]:
    """Ask these questions of these parents, with one set of keys for each loader.

    Fields that ask the same stand together. Gives how to wait for the columns of all fields, in their order.
    """
    asked = [(fields, fields[0].how.loader(run.context.loaders), fields[0].keys(run, parents)) for fields in questions]
    sets: dict[Loader[Any, Any], list[Hashable]] = {}
    for _, loader, keys in asked:
        if known := [key for key in keys if key is not None]:
            sets.setdefault(loader, []).extend(known)
    begun = {} if run.alone and len(sets) == 1 else {loader: run.ask(loader, sets[loader]) for loader in sets}

    async def columns() -> list[Column]:
        told = {loader: iter(await (begun.get(loader) or loader.read(keys))) for loader, keys in sets.items()}
        made = []
        for fields, loader, keys in asked:
            answers = told.get(loader, iter(()))
            found = [None if key is None else next(answers) for key in keys]
            made += [field.values(parents, keys, found) for field in fields]
        return made

    return columns


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """What a resolver gives for each parent, waited for together."""

    call: Call
    waits = True

    async def column(self, run: Run, parents: Column) -> Column:
        """The values of these parents."""
        return await each(self.call(run), parents)


AtHand = Attribute | Computed
Source = AtHand | Asked | Resolved


async def values_of(source: Source, run: Run, parents: Column) -> Column:
    """The values of a field for each of these parents, whether they have to be waited for or not."""
    if isinstance(source, Attribute | Computed):
        return source.column(run, parents)
    return await source.column(run, parents)


def source(place: Place) -> Source:
    """Where the values of a field come from."""
    field = place.strawberry
    if field is None or field.is_subscription or field.extensions:
        return Resolved(_as_declared(place))
    if (resolver := field.base_resolver) is None:
        return Attribute(field.python_name)
    if (how := field.metadata.get(LOADED)) is not None:
        return Asked(place, how)
    if resolver.self_parameter or resolver.root_parameter:
        return Resolved(_as_declared(place))
    call = _bound(place, resolver)
    return Resolved(call) if field.is_async else Computed(call)


async def each(call: Callable[[Any], Any], parents: Column) -> Column:
    """What is called for each of these parents, waited for together."""
    values: list[Any] = []
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


async def _ended(waiting: Future[list[Any]]) -> Column:
    found = await waiting
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def _as_declared(place: Place) -> Call:
    """The field's resolver as graphql-core calls it."""
    resolve = place.definition.resolve or default_field_resolver

    def call(run: Run) -> Callable[[Any], Any]:
        info, arguments = run.info(place), run.coerced(place)
        return lambda parent: resolve(parent, info, **arguments)

    return call


def _bound(place: Place, resolver: StrawberryResolver[Any]) -> Call:
    """The function behind a field of Strawberry's, waiting for the parent alone."""
    function = cast(Callable[..., Any], resolver.wrapped_func)  # never a class method, which has a self of its own
    parent, info = resolver.parent_parameter, resolver.info_parameter
    first = parent is not None and next(iter(resolver.signature.parameters)) == parent.name

    def call(run: Run) -> Callable[[Any], Any]:
        arguments = run.arguments(place)
        if info is not None:
            arguments = {**arguments, info.name: run.strawberry_info(place)}
        if parent is None:
            return lambda _parent: function(**arguments)
        if first:
            return partial(function, **arguments) if arguments else function
        return lambda row: function(**{parent.name: row}, **arguments)

    return call


def _close(values: Column) -> None:
    for value in values:
        if iscoroutine(value):
            value.close()
