"""SQL from `.sql` files, with optional lines.

A file holds queries under `-- name: jobs_page` headers, with parameters written `:workflow_id`. A line that ends in
`--? workflow_id` stays only where that parameter is given, so a filter nobody asked for costs the planner nothing and
every set of filters is a prepared statement of its own. `--? !after` keeps a line where the parameter is absent.
`{columns}` stands for the query of that name in the same file; any other part in braces is filled by the caller from a
closed set of its own, never with what came from outside.

For somebody with a scope the tables of ours are read through it, as `scope.py` tells. `--? scope` keeps a line where
there is one, `--? masked` where the reader may not see what errors said, `--? reads_hostname` where that column is read
(`columns.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

from datasources.scope import EVERYTHING, Scope, narrowed

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_OPTION = re.compile(r"--\?(?P<conditions>[ \w!]+)$")
_PART = re.compile(r"\{(\w+)\}")
_GAP = re.compile(
    r"""'(?:[^']|'')*' | "[^"]*" | --[^\n]*                              # what says nothing to us
    | \{(?P<part>\w+)\} | (?<![:\w]):(?P<parameter>[a-z_]+)\b""",
    re.VERBOSE,
)
_COMPILED = 500  # statements of one query that are kept


class Query:
    """One named query of a `.sql` file."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._compiled = lru_cache(_COMPILED)(self._compile)

    def bind(
        self,
        parameters: Mapping[str, object],
        scope: Scope = EVERYTHING,
        columns: frozenset[str] = frozenset(),
        /,
        **parts: str,
    ) -> tuple[str, list[object]]:
        """The statement with `$n` placeholders, and its arguments in that order; None means not given.

        Raises LookupError for a parameter or a part that is missing, and for a statement that takes no scope.
        """
        if scope is not EVERYTHING:
            parameters = {**parameters, "scope": scope.names, "masked": scope.masked or None}
        given = frozenset([name for name, value in parameters.items() if value is not None])
        statement, names = self._compiled(given, columns, tuple(parts.items()), scope.within)
        try:
            return statement, [parameters[name] for name in names]
        except KeyError as error:
            raise LookupError(f"the query {self.name} needs the parameter {error.args[0]}") from error

    def _compile(
        self, given: frozenset[str], columns: frozenset[str], parts: tuple[tuple[str, str], ...], within: str | None
    ) -> tuple[str, tuple[str, ...]]:
        given, kept = given | columns, []
        for line in self._text.splitlines():
            option = _OPTION.search(line)
            if option is None:
                kept.append(line)
            elif all((word.lstrip("!") in given) != word.startswith("!") for word in option["conditions"].split()):
                kept.append(line[: option.start()].rstrip())
        text = "\n".join(kept)
        for part, replacement in parts:
            text = text.replace(f"{{{part}}}", replacement)
        if within is not None:
            text = narrowed(self.name, text, within)
        names: list[str] = []

        def numbered(match: re.Match[str]) -> str:
            if match["part"]:
                raise LookupError(f"the query {self.name} needs the part {match['part']}")
            if match["parameter"] is None:
                return match[0]
            if match["parameter"] not in names:
                names.append(match["parameter"])
            return f"${names.index(match['parameter']) + 1}"

        return f"/* {self.name} */ {_GAP.sub(numbered, text)}", tuple(names)


@cache
def queries(name: str) -> Mapping[str, Query]:
    """The queries of `datasources/<name>.sql`, by name."""
    text = files("datasources").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    pieces = _HEADER.split(text)[1:]
    bodies = {query: body.strip() for query, body in zip(pieces[::2], pieces[1::2], strict=True)}

    def included(match: re.Match[str]) -> str:
        fragment = bodies.get(match[1])
        return match[0] if fragment is None else _inline(_PART.sub(included, fragment))

    return {query: Query(query, _PART.sub(included, body)) for query, body in bodies.items()}


def _inline(fragment: str) -> str:
    """A fragment without its comments, on one line unless its lines are optional one by one."""
    lines = [line for line in fragment.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines) if "--?" in fragment else " ".join(line.strip() for line in lines)
