"""Scope: what somebody may see. What lies outside is as what does not exist, and this is the one place that sees to it.

A statement that runs for a scope reads every table of ours through a condition: `FROM monitor.jobs j` becomes
`FROM (SELECT t.* FROM monitor.jobs t WHERE t.environment = ANY(...)) j`, which Postgres plans as if it had been written
so. A table that is read beyond the scope says why, in a comment behind its alias: `monitor.jobs j /* unscoped: ... */`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_OWN = "t.environment {within}"
_OF_ITS_JOB = "EXISTS (SELECT FROM monitor.jobs o WHERE o.job_id = t.job_id AND o.environment {within})"
_OF_ITS_ROBOT = "EXISTS (SELECT FROM monitor.robots o WHERE o.robot_id = t.robot_id AND o.environment {within})"

# When a row of each table, called t, lies within a scope; None for tables whose rows belong to no environment, which
# nobody with a scope reads.
TABLES: Mapping[str, str | None] = {
    "events": _OWN,
    "jobs": _OWN,
    "reported_queues": _OWN,
    "robots": _OWN,
    "rollups": _OWN,
    "rollup_deltas": _OWN,
    "rollup_errors": _OWN,
    "rollup_healing": _OWN,
    "rollup_nodes": _OWN,
    "rollup_robots": _OWN,
    "rollup_sketches": _OWN,
    "healing_events": _OF_ITS_JOB,
    "node_executions": _OF_ITS_JOB,
    "heartbeats": _OF_ITS_ROBOT,
    "audit": None,
    "documents": None,
    "api_keys": None,
    "ledger": None,
    "migrations": None,
    "rates": None,
    "rollup_gaps": None,
    "source_errors": None,
    "sources": None,
}

# Functions of ours that read no table.
PURE = frozenset({"monitor.sketch_bin"})

_REFERENCE = re.compile(
    r"""'(?:[^']|'')*' | --[^\n]*                                        # what says nothing to us
    | (?<=FROM\s|JOIN\s)(?<!DELETE\ FROM\s)monitor\.(?P<table>\w+)\s+(?:AS\s+)?(?P<alias>[a-z]\w*)
      (?P<unscoped>\s*/\*\ unscoped:)?
    | (?P<other>\bmonitor\.\w+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Some environments, or all of them where that is None; with what errors said, or with that masked."""

    environments: frozenset[str] | None = None
    masked: bool = False

    def sees(self, environment: str) -> bool:
        """Whether what belongs to this environment may be seen."""
        return self.environments is None or environment in self.environments

    @property
    def names(self) -> list[str] | None:
        """The environments in order, as a parameter of SQL."""
        return None if self.environments is None else sorted(self.environments)

    @property
    def within(self) -> str | None:
        """The test of an environment in SQL, with the parameter `scope`; None where all are seen.

        A single one is compared, so that the order of an index that begins with the environment is of use.
        """
        if self.environments is None:
            return None
        return "= (:scope::text[])[1]" if len(self.environments) == 1 else "= ANY(:scope::text[])"


EVERYTHING = Scope()


def narrowed(name: str, statement: str, within: str) -> str:
    """The statement of that name as it reads what lies within a scope.

    Raises LookupError for one that writes, or that reads what belongs to no environment.
    """

    def reference(match: re.Match[str]) -> str:
        if match["other"] in PURE:
            return match[0]
        if match["other"]:
            raise LookupError(f"the query {name} does more with {match['other']} than read it: it takes no scope")
        if match["table"] is None or match["unscoped"]:
            return match[0]
        condition = TABLES.get(match["table"])
        if condition is None:
            raise LookupError(f"the query {name} reads monitor.{match['table']}, which belongs to no environment")
        table, alias, condition = match["table"], match["alias"], condition.format(within=within)
        return f"(SELECT t.* FROM monitor.{table} t WHERE {condition}) {alias}"  # noqa: S608  # all of it is ours

    return _REFERENCE.sub(reference, statement)
