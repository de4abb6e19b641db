"""A small fleet that can be reasoned about: the three robots and six jobs of graph/fleet.sql."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from direct import execute
from serving import Graph, eventually, serving

FLEET = (Path(__file__).parent / "graph" / "fleet.sql").read_text()


def in_memory(graph: Graph) -> dict[str, int] | None:
    """The fleet as the collector knows it; None before it does."""
    reply = graph.ask("{ fleet { totalRobots activeRobots activeJobs queueDepth } }")
    return None if reply.statements else reply.data["fleet"]


@contextmanager
def serving_small_fleet(dsn: str, **settings: Any) -> Iterator[Graph]:
    """A server over it, which knows it."""
    execute(dsn, FLEET)
    with serving(dsn, **settings) as graph:
        eventually(lambda: in_memory(graph) == {"totalRobots": 3, "activeRobots": 1, "activeJobs": 2, "queueDepth": 1})
        yield graph
