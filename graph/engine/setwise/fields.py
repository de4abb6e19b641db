"""Fields of a plan, and the selections they make up: what is asked of one object type, answered for many at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from graphql import GraphQLIsTypeOfFn

from datasources.columns import by_column
from graph.engine.setwise.places import Place, Run
from graph.engine.setwise.shapes import Column, Shape, Unusual
from graph.engine.setwise.sources import (
    Asked,
    AtHand,
    Attribute,
    Computed,
    Resolved,
    Source,
    ask,
    each,
    together,
    values_of,
)

Known = Mapping[str, Column]  # columns of the parents that are at hand already, by attribute


@dataclass(frozen=True, slots=True, eq=False)
class TypeName:
    """`__typename`."""

    key: str
    name: str

    def at_hand(self, _run: Run, parents: Column, _known: Known) -> Column:
        """The name of their type, for each of these parents."""
        return [self.name] * len(parents)


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A field without a selection of its own, of which its parents tell all."""

    key: str
    source: AtHand
    shape: Shape
    leaves: Callable[[Column], Column]

    @property
    def looks_at_a_column(self) -> bool:
        """Whether it is what an attribute of its parents says."""
        return isinstance(self.source, Attribute)

    def at_hand(self, run: Run, parents: Column, known: Known) -> Column:
        """Its value for each of these parents."""
        source = self.source
        values = known.get(source.name) if isinstance(source, Attribute) else None
        return presented(source.column(run, parents) if values is None else values, self.shape, self.leaves)


@dataclass(frozen=True, slots=True, eq=False)
class LateLeaf:
    """A field without a selection of its own, for which more is needed than its parents."""

    key: str
    source: Asked | Resolved
    shape: Shape
    leaves: Callable[[Column], Column]
    waits = True

    async def column(self, run: Run, parents: Column) -> Column:
        """Its value for each of these parents."""
        return self.complete(await self.source.column(run, parents))

    def complete(self, values: Column) -> Column:
        """The values as they stand in an answer."""
        return presented(values, self.shape, self.leaves)


def presented(values: Column, shape: Shape, leaves: Callable[[Column], Column]) -> Column:
    """Leaves, or lists of them, as they stand in an answer."""
    if shape.items is not None:
        flat, restore = shape.take_off(values)
        return restore(leaves(flat))
    found = leaves(values)
    if not shape.nullable and None in found:
        raise Unusual
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """A field that holds objects, or lists of them."""

    key: str
    source: Source
    shape: Shape
    place: Place
    is_type_of: GraphQLIsTypeOfFn | None
    selection: Selection

    @property
    def waits(self) -> bool:
        """Whether more is needed than its parents."""
        return self.source.waits or self.selection.waits

    async def column(self, run: Run, parents: Column) -> Column:
        """Its value for each of these parents."""
        flat, restore = self.shape.take_off(await values_of(self.source, run, parents))
        if flat and self.is_type_of is not None:
            one_of_each = dict(zip(map(type, flat), flat, strict=True)).values()  # by its type a root is known
            info = run.info(self.place)
            if any(self.is_type_of(value, info) is not True for value in one_of_each):
                raise Unusual
        return restore(await self.selection.objects(run, flat))


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """A field that graphql-core executes by itself, with all that is below: of an abstract type, or of the schema."""

    key: str
    place: Place
    waits = True

    async def column(self, run: Run, parents: Column) -> Column:
        """Its value for each of these parents; what went wrong stands in the errors of the run's executor."""
        place, execute = self.place, run.executor.execute_field
        return await each(lambda parent: execute(place.parent, parent, place.details, place.path, None), parents)


Field = TypeName | Leaf | LateLeaf | Objects | Foreign


def leaf(key: str, source: Source, shape: Shape, leaves: Callable[[Column], Column]) -> Leaf | LateLeaf:
    """A field without a selection of its own."""
    if isinstance(source, Attribute | Computed):
        return Leaf(key, source, shape, leaves)
    return LateLeaf(key, source, shape, leaves)


class Selection:
    """The fields that are asked of one object type."""

    def __init__(self, fields: list[Field]) -> None:
        self._keys = [field.key for field in fields]
        self._assemble = _assembler(self._keys) if fields else None
        self._at_hand = [field for field in fields if isinstance(field, TypeName | Leaf)]
        self._looks_at_columns = any(isinstance(field, Leaf) and field.looks_at_a_column for field in fields)
        self._below = [field for field in fields if isinstance(field, Objects) and not field.waits]
        same: dict[Hashable, list[tuple[LateLeaf, Asked]]] = {}
        for field in fields:
            if isinstance(field, LateLeaf) and isinstance(field.source, Asked):
                same.setdefault(field.source.question, []).append((field, field.source))
        self._asking = [field for question in same.values() for field, _ in question]
        self._asked = [[source for _, source in question] for question in same.values()]
        asking = set(map(id, self._asking))
        late = [field for field in fields if isinstance(field, LateLeaf | Objects | Foreign) and field.waits]
        self._waiting = [field for field in late if id(field) not in asking]
        self._parted = bool(self._asking) + len(self._waiting) > 1
        self.waits = bool(self._asking or self._waiting)

    async def objects(self, run: Run, parents: Column) -> Column:
        """What is asked, for each of these parents."""
        if not parents:
            return []
        if self._parted:
            run.alone = False
        known = by_column(parents) if self._looks_at_columns else {}
        found = {field.key: field.at_hand(run, parents, known) for field in self._at_hand}
        for field in self._below:
            found[field.key] = await field.column(run, parents)
        if self.waits:
            await self._wait(run, parents, found)
        if self._assemble is None:
            return [{} for _ in parents]
        return self._assemble([found[key] for key in self._keys])

    async def _wait(self, run: Run, parents: Column, found: dict[str, Column]) -> None:
        waiting = together([field.column(run, parents) for field in self._waiting])
        try:
            answers = ask(run, parents, self._asked)
        finally:
            columns = await waiting
        found.update(zip((field.key for field in self._waiting), columns, strict=True))
        for field, column in zip(self._asking, await answers(), strict=True):
            found[field.key] = field.complete(column)


def _assembler(keys: list[str]) -> Callable[[list[Column]], Column]:
    """From columns to objects with these keys; a dict display takes a third of the time of `dict(zip(...))`."""
    values = [f"value{number}" for number in range(len(keys))]
    pairs = ", ".join(f"{key!r}: {value}" for key, value in zip(keys, values, strict=True))
    source = f"lambda columns: [{{{pairs}}} for {', '.join(values)}, in zip(*columns, strict=True)]"
    return eval(source)  # type: ignore[no-any-return]  # noqa: S307  # keys are names, by the grammar of GraphQL
