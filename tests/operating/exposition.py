"""The metrics page as a scraper reads it, and what promtool would say about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_UNITS = re.compile(r"(^|_)(milliseconds?|ms|minutes?|hours?|kilobytes?|kb|mb|megabytes?|percent)(_|$)")
_TYPES = {"gauge", "counter", "histogram", "summary"}


def families(page: str) -> dict[str, Metric]:
    """The families of a page by their names; a name stands there once."""
    found: dict[str, Metric] = {}
    for family in text_string_to_metric_families(page):
        assert family.name not in found, f"{family.name} stands there twice"
        found[family.name] = family
    return found


def value(page: str, name: str, **labels: str) -> float | None:
    """The value of one sample, or None where there is none; the sum where several have these labels."""
    values = [
        sample.value
        for family in families(page).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(values) if values else None


def complaints(page: str) -> list[str]:
    """What is wrong with the page, by the rules of `promtool check metrics`."""
    return [complaint for family in families(page).values() for complaint in _complaints(family)]


def _complaints(family: Metric) -> Iterator[str]:
    name = family.name
    if family.type not in _TYPES:
        yield f"{name}: no type"
    if not family.documentation:
        yield f"{name}: no help text"
    if not _NAME.fullmatch(name):
        yield f"{name}: not in snake case"
    if _UNITS.search(name):
        yield f"{name}: not in base units"
    if family.type in name.split("_"):
        yield f"{name}: the type stands in the name"
    if family.type != "counter" and name.endswith("_total"):
        yield f"{name}: only counters end in _total"
    if family.type != "histogram" and name.endswith(("_count", "_sum", "_bucket")):
        yield f"{name}: a suffix of histograms"
    for sample in family.samples:
        if family.type == "counter" and not sample.name.endswith("_total"):
            yield f"{sample.name}: counters end in _total"
        for label in sample.labels:
            if not _NAME.fullmatch(label) or (label == "le" and family.type != "histogram"):
                yield f"{name}: label {label}"
