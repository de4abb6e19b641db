"""SQL from `.sql` files, with optional lines.

A file holds queries under `-- name: jobs_page` headers, with parameters written `:workflow_id`. A line that ends in
`--? workflow_id` stays only where that parameter is given, so a filter nobody asked for costs the planner nothing and
every set of filters is a prepared statement of its own. `--? !after` keeps a line where the parameter is absent.
`{columns}` stands for the query of that name in the same file; any other part in braces is filled by the caller from a
closed set of its own, never with what came from outside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_OPTION = re.compile(r"--\?(?P<conditions>[ \w!]+)$")
_PART = re.compile(r"\{(\w+)\}")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


class Query:
    """One named query of a `.sql` file."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._compiled: dict[object, tuple[str, tuple[str, ...]]] = {}

    def bind(self, parameters: Mapping[str, object], **parts: str) -> tuple[str, list[object]]:
        """The statement with `$n` placeholders, and its arguments in that order; None means not given."""
        given = frozenset(name for name, value in parameters.items() if value is not None)
        key = (given, *parts.items())
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = self._compile(given, parts)
        statement, names = compiled
        return statement, [parameters[name] for name in names]

    def _compile(self, given: frozenset[str], parts: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        kept = []
        for line in self._text.splitlines():
            option = _OPTION.search(line)
            if option is None:
                kept.append(line)
            elif all((word.lstrip("!") in given) != word.startswith("!") for word in option["conditions"].split()):
                kept.append(line[: option.start()].rstrip())
        text = "\n".join(kept)
        for part, replacement in parts.items():
            text = text.replace(f"{{{part}}}", replacement)
        names: list[str] = []

        def numbered(match: re.Match[str]) -> str:
            if match[1] not in names:
                names.append(match[1])
            return f"${names.index(match[1]) + 1}"

        return f"/* {self.name} */ {_PARAMETER.sub(numbered, text)}", tuple(names)


@cache
def queries(name: str) -> Mapping[str, Query]:
    """The queries of `datasources/<name>.sql`, by name."""
    text = files("datasources").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    pieces = _HEADER.split(text)[1:]
    bodies = {query: body.strip() for query, body in zip(pieces[::2], pieces[1::2], strict=True)}

    def included(match: re.Match[str]) -> str:
        fragment = bodies.get(match[1])
        return match[0] if fragment is None else _PART.sub(included, _inline(fragment))

    return {query: Query(query, _PART.sub(included, body)) for query, body in bodies.items()}


def _inline(fragment: str) -> str:
    """A fragment without its comments, on one line unless its lines are optional one by one."""
    lines = [line for line in fragment.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines) if "--?" in fragment else " ".join(line.strip() for line in lines)
