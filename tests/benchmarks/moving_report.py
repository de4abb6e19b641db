"""What came of telling and of starting, as tables: medians over the rounds, and how they stand to the baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from rich.table import Table

from tests.benchmarks.fanout import TOPICS, Idle, Told
from tests.benchmarks.report import Spread
from tests.benchmarks.starting import Start


def telling(measured: Sequence[Told | Idle], sockets: int) -> list[Table]:
    """A table for each topic."""
    told = [each for each in measured if isinstance(each, Told)]
    idle = {each.server: each.kb for each in measured if isinstance(each, Idle)}
    tables = []
    for topic in TOPICS:
        table = _table(
            f"{topic.name.upper()} {topic.title} to {sockets:,} sockets",
            "server",
            "CPU us",
            "of floor",
            "stock is x",
            "deliveries/s",
            "p50 ms",
            "p99 ms",
            "idle kB",
        )
        for server in topic.servers:
            rounds = _rounds(told, topic.name, server)
            if not rounds:
                continue
            table.add_row(
                server,
                _spread(rounds, lambda each: each.cpu_us_per_delivery, 1),
                _ratio(_rounds(told, topic.name, "floor"), rounds),
                _ratio(_rounds(told, topic.name, "stock"), rounds),
                _spread(rounds, lambda each: each.deliveries_per_second, 0),
                _spread(rounds, lambda each: each.p50_ms, 1),
                _spread(rounds, lambda each: each.p99_ms, 1),
                f"{idle[server]:.1f}" if topic is TOPICS[0] and server in idle else "-",
                style="bold" if server == "ours" else "",
            )
        tables.append(table)
    return tables


def starting(starts: Sequence[Start]) -> Table:
    """The table of starts."""
    table = _table("Start, with a database", "server", "seconds", "CPU s", "MB at rest")
    table.add_row(
        "ours",
        Spread.of([start.seconds for start in starts]).shown(2),
        Spread.of([start.cpu_seconds for start in starts]).shown(2),
        Spread.of([start.rest_mb for start in starts]).shown(1),
        style="bold",
    )
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, box=None, padding=(0, 2, 0, 0), title_justify="left")
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _rounds(told: Sequence[Told], topic: str, server: str) -> list[Told]:
    return [each for each in told if (each.topic, each.server) == (topic, server)]


def _spread(rounds: Sequence[Told], value: Callable[[Told], float], digits: int) -> str:
    return Spread.of([value(each) for each in rounds]).shown(digits)


def _ratio(over: Sequence[Told], under: Sequence[Told]) -> str:
    """The median of one server's processor time for a delivery in multiples of another's in the same round."""
    costs = {each.round: each.cpu_us_per_delivery for each in under}
    ratios = [each.cpu_us_per_delivery / costs[each.round] for each in over if costs.get(each.round)]
    return f"{median(ratios):.2f}" if ratios else "-"
