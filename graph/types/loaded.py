"""Fields that a loader answers, declared once for both ways of execution: each says which key it asks for.

Field by field, the resolver that is made here loads the key of one parent; set at a time, `engine/setwise` loads those
of all parents together.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry

from graph.context import Info
from graph.loaders import Loaders
from graph.loaders.batching import Loader

LOADED = "loaded"  # where a field's metadata says how


@dataclass(frozen=True, slots=True)
class Loaded:
    """How values are found: the key of a parent, the loader, and what to make of a parent and what was found for it."""

    key: Callable[..., Hashable | None]
    loader: Callable[[Loaders], Loader[Any, Any]]
    value: Callable[[Any, Any], Any] | None


def loaded(
    graphql_type: Any,
    loader: Callable[[Loaders], Loader[Any, Any]],
    *,
    value: Callable[[Any, Any], Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> Callable[[Any], Any]:
    """A field of what a loader finds; decorates the static method that gives a parent's key, or None for null."""

    def field(method: Any) -> Any:
        how = Loaded(method.__func__, loader, value)
        parent, *arguments = inspect.signature(how.key).parameters.values()

        async def resolve(info: Info, **given: Any) -> Any:
            row = given.pop(parent.name)
            key = how.key(row, **given)
            if key is None:
                return None
            found = await how.loader(info.context.loaders).load(key)
            return found if how.value is None else how.value(row, found)

        resolve.__module__, resolve.__name__ = how.key.__module__, how.key.__name__
        info = inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info)
        by_name = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (parent, *arguments)]
        resolve.__signature__ = inspect.Signature([info, *by_name])  # type: ignore[attr-defined]
        known = {LOADED: how, **(metadata or {})}
        return strawberry.field(resolver=resolve, graphql_type=graphql_type, metadata=known, **options)

    return field
