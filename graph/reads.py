"""Which columns an operation looks at, as its fields say; a set-at-a-time plan has no others read.

A field without a resolver looks at the column of its name. A resolver says what it looks at, of its parent and of the
rows that it loads: for one that says nothing all columns of its parent are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strawberry.types.field import StrawberryField

from datasources.columns import Reads

READS = "reads"  # where a field's metadata says what it looks at
OfTypes = Mapping[str, Reads]  # by the GraphQL type whose root a row is
EVERYTHING: OfTypes = {}  # what an operation does not name is read wholly
NOTHING: OfTypes = dict.fromkeys(("Job", "Robot", "NodeExecution"), frozenset())


def reads(**columns: tuple[str, ...]) -> dict[str, Any]:
    """The metadata of a field that looks at these columns, by the type they belong to."""
    return {READS: {of: frozenset(names) for of, names in columns.items()}}


def reads_of(parent: str, field: StrawberryField | None) -> OfTypes:
    """What a field of this type looks at; None stands for all columns of a type."""
    if field is None:
        return {parent: None}
    if (said := field.metadata.get(READS)) is not None:
        return said  # type: ignore[no-any-return]
    return {parent: frozenset({field.python_name}) if field.base_resolver is None else None}


def together(operation: OfTypes, field: OfTypes) -> OfTypes:
    """What an operation looks at that has this field as well; what a field does not name it does not look at."""
    found = dict(operation)
    for of in found.keys() & field.keys():
        before, more = found[of], field[of]
        found[of] = None if before is None or more is None else before | more
    return found
