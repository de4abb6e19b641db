"""What a reported value may be: declared in its type, so that what cannot be stored never reaches the database."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints

CLOCK_SKEW = timedelta(seconds=60)  # a robot's clock may differ from ours by this much
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # no Postgres text holds these

Rule = Callable[[Any, datetime], str | None]


def _length(least: int, most: int) -> Rule:
    def rule(text: str, now: datetime) -> str | None:
        if not least <= len(text) <= most:
            return f"must have {least} to {most} characters, not {len(text)}"
        return "holds a character that cannot be stored" if _UNSTORABLE.search(text) else None

    return rule


def _between(least: float, most: float) -> Rule:
    # Written so that NaN, which compares as false with everything, is refused too.
    return lambda number, now: None if least <= number <= most else f"cannot be {number:g}"


def _each(most: int, item: Rule) -> Rule:
    def rule(items: Sequence[Any], now: datetime) -> str | None:
        if len(items) > most:
            return f"must hold at most {most} items, not {len(items)}"
        return next(filter(None, (item(value, now) for value in items)), None)

    return rule


def _past(moment: datetime, now: datetime) -> str | None:
    return f"lies in the future; it is {now.isoformat()} here" if moment > now + CLOCK_SKEW else None


Id = Annotated[str, _length(1, 255)]
Word = Annotated[str, _length(0, 255)]
Text = Annotated[str, _length(0, 65_536)]
Ids = Annotated[Sequence[str], _each(100, _length(1, 255))]
Count = Annotated[int, _between(0, 2**31 - 1)]
Number = Annotated[int, _between(-(2**31), 2**31 - 1)]
Amount = Annotated[float, _between(0, sys.float_info.max)]
Percent = Annotated[float, _between(0, 100)]
Past = Annotated[datetime, _past]


def fault(report: Any, now: datetime) -> str | None:
    """What is wrong with a value of the report, in the words of the graph; None if nothing is."""
    for name, rule in _rules(report.__class__):
        value = getattr(report, name)
        if value is not None and (wrong := rule(value, now)) is not None:
            return f"{spoken(name)} {wrong}"
    return None


def spoken(name: str) -> str:
    """The field's name as the graph has it: `robot_id` is `robotId`."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def storable(text: str) -> str:
    """The text, or what of it can be stored as a key."""
    return _UNSTORABLE.sub("\ufffd", text[:255])


@cache
def _rules(report: type) -> Sequence[tuple[str, Rule]]:
    hints = get_type_hints(report, include_extras=True)
    return [(name, rule) for name, hint in hints.items() for rule in _declared(hint)]


def _declared(hint: Any) -> Iterator[Rule]:
    if hasattr(hint, "__metadata__"):
        yield from hint.__metadata__
    else:
        for part in get_args(hint):
            yield from _declared(part)
