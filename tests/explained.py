"""The plans that Postgres really ran, and how many rows they looked at."""

import json
from collections.abc import Iterator

from datasources.postgres import Database

LARGE_TABLES = {"jobs", "node_executions", "heartbeats", "heartbeats_other"}


class Plan:
    """A plan that has been run."""

    def __init__(self, root: dict) -> None:
        self.nodes = list(_walk(root))

    @property
    def full_scans(self) -> set[str]:
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"} & LARGE_TABLES

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def read(self) -> int:
        """How many rows of the large tables were looked at, those thrown away included."""
        return round(
            sum(
                node["Actual Loops"]
                * (
                    node["Actual Rows"]
                    + node.get("Rows Removed by Filter", 0)
                    + node.get("Rows Removed by Index Recheck", 0)
                )
                for node in self.nodes
                if node.get("Relation Name") in LARGE_TABLES
            )
        )

    @property
    def sorted(self) -> int:
        """How many rows the largest sort had to put in order."""
        sorts = [node for node in self.nodes if node["Node Type"] in {"Sort", "Incremental Sort"}]
        return round(max((node["Plans"][0]["Actual Rows"] for node in sorts), default=0))


def _walk(node: dict) -> Iterator[dict]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


class ExplainingDatabase(Database):
    """A database that keeps the plan of the statement it ran last, and those of all before it."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.plans = []

    async def fetch(self, query, parameters=None, columns=frozenset(), **parts):
        statement, arguments = query.bind(parameters or {}, self.scope, columns, **parts)
        async with self.connection() as connection:
            explained = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", *arguments)
        self.plan = Plan(json.loads(explained)[0]["Plan"])
        self.plans.append(self.plan)
        return await super().fetch(query, parameters, columns, **parts)
