"""A schema of unusual shapes: leaves with and without null, lists of lists, abstract types, every kind of resolver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from graph.loaders.batching import Loader
from graph.schema import core
from graph.types.loaded import loaded
from graph.types.scalars import SCALARS

Info = strawberry.Info[Any, None]


class Row:
    """An animal: whatever attributes it was given, and no others."""

    def __init__(self, **values: Any) -> None:
        self.__dict__ |= values


class Stone(Row):
    """No animal."""


@dataclass
class Zoo:
    """The context of an operation: the animals it finds."""

    animals: list[Row]

    @property
    def loaders(self) -> Zoo:
        """The loaders of this context."""
        return self

    def read_only(self, _reads: object) -> None:
        """Animals are whole, whatever is looked at."""

    @property
    def found(self) -> Loader[int, Any]:
        """Animals by their number; there is none below zero, and 13 brings bad luck."""

        async def batch(keys: list[int]) -> list[Any]:
            await asyncio.sleep(0)
            if 13 in keys:
                raise LookupError("13")
            return [self.animals[key % len(self.animals)] if key >= 0 else None for key in keys]

        return Loader(batch)


@strawberry.enum
class Colour(Enum):
    """Colours."""

    RED = "red"
    GREEN = "green"


@strawberry.interface
class Named:
    """What has a name."""

    text: str | None


@strawberry.type
class Cage:
    """Where an animal lives; its root is an animal."""

    number: int
    colour: Colour | None

    @strawberry.field(graphql_type=Annotated["Animal", strawberry.lazy("menagerie")])
    @staticmethod
    def inmate(animal: strawberry.Parent[Row]) -> Row:
        return animal


@strawberry.type
class Animal(Named):
    """An animal; its root is a Row."""

    text: str | None
    must_text: str
    number: int | None
    must_number: int
    ratio: float | None
    flag: bool | None
    moment: datetime | None
    colour: Colour | None
    id: strawberry.ID | None
    words: list[str]
    matrix: list[list[int | None] | None] | None
    colours: list[list[Colour]] | None

    @classmethod
    def is_type_of(cls, value: object, _info: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, Row) and not isinstance(value, Stone)

    friend: Annotated[Animal, strawberry.lazy("menagerie")] | None
    must_friend: Annotated[Animal, strawberry.lazy("menagerie")]
    friends: list[Annotated[Animal, strawberry.lazy("menagerie")] | None] | None
    herds: list[list[Annotated[Animal, strawberry.lazy("menagerie")]] | None] | None
    named: Named | None
    cage: Cage | None

    @strawberry.field
    @staticmethod
    def shouted(animal: strawberry.Parent[Row], times: int = 1) -> str | None:
        return None if animal.text is None else animal.text.upper() * times

    @strawberry.field
    @staticmethod
    def doubled(animal: strawberry.Parent[Row]) -> int:
        return animal.number * 2  # type: ignore[no-any-return]

    @strawberry.field
    @staticmethod
    async def slow_text(animal: strawberry.Parent[Row], info: Info, times: int = 1) -> str | None:
        await asyncio.sleep(0)
        return animal.text and animal.text * min(times, len(info.context.animals))

    @strawberry.field(graphql_type=Annotated["Animal", strawberry.lazy("menagerie")] | None)
    @staticmethod
    async def awaited_friend(animal: strawberry.Parent[Row]) -> Any:
        await asyncio.sleep(0)
        return animal.friend

    @loaded(Annotated["Animal", strawberry.lazy("menagerie")] | None, lambda zoo: zoo.found)
    @staticmethod
    def neighbour(animal: strawberry.Parent[Row], by: int = 1) -> int | None:
        return None if animal.number is None else animal.number + by

    @loaded(str, lambda zoo: zoo.found, value=lambda animal, found: found.must_text + animal.must_text)
    @staticmethod
    def neighbours_text(animal: strawberry.Parent[Row]) -> int | None:
        return animal.number

    @strawberry.field(graphql_type=list[Cage | None])
    @staticmethod
    def cages(animal: strawberry.Parent[Row]) -> Iterator[Any]:
        return iter([animal, None])


@strawberry.type
class Query:
    """The root."""

    @strawberry.field(graphql_type=list[Animal | None])
    @staticmethod
    def animals(info: Info) -> list[Row]:
        return info.context.animals  # type: ignore[no-any-return]

    @strawberry.field(graphql_type=Animal | None)
    @staticmethod
    async def animal(info: Info, number: int = 0) -> Any:
        return await info.context.loaders.found.load(number)

    @strawberry.field(graphql_type=Animal)
    @staticmethod
    async def must_animal(info: Info, number: int = 0) -> Any:
        return await info.context.loaders.found.load(number)

    @strawberry.field(graphql_type=Named)
    @staticmethod
    def named(info: Info) -> Row:
        return info.context.animals[0]  # type: ignore[no-any-return]


@strawberry.type
class Subscription:
    """The root of streams; what they yield is given by those who push."""

    @strawberry.subscription(graphql_type=Animal | None)
    @staticmethod
    async def met() -> AsyncIterator[Any]:
        yield None

    @strawberry.subscription(graphql_type=list[Animal | None])
    @staticmethod
    async def herd(number: int = 0) -> AsyncIterator[Any]:
        yield [number]

    @strawberry.subscription
    @staticmethod
    async def word() -> AsyncIterator[str]:
        yield ""


def menagerie() -> GraphQLSchema:
    """The schema."""
    return core(
        strawberry.Schema(query=Query, subscription=Subscription, config=StrawberryConfig(scalar_map=dict(SCALARS)))
    )
