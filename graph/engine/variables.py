"""The values of a request's variables, counted before anything reads them one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graph.engine.judgement import TooComplex

_MOST = 10_000  # items of lists and fields of objects: a report of 500 things has some 6,000
_DEEPEST = 20


def count_values(variables: Mapping[str, Any]) -> None:
    """Refuse variables that hold too much, or hold it too deeply; raises TooComplex."""
    count, depth = 0, 0
    level: list[Any] = [variables] if variables else []
    while level:
        count += sum(map(len, level))
        if count > _MOST:
            raise TooComplex("values", count, _MOST)
        if depth > _DEEPEST:
            raise TooComplex("values in values", depth, _DEEPEST)
        depth += 1
        inside = (value for held in level for value in (held.values() if isinstance(held, dict) else held))
        level = [value for value in inside if isinstance(value, dict | list)]
