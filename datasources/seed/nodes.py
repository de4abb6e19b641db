"""The steps of the newest jobs, and how some of them were healed."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from itertools import accumulate
from random import Random

from datasources.seed.binary_copy import columns, integer, moment, text, timestamp
from datasources.seed.jobs import Job
from datasources.seed.workflows import NODES_A_RUN, Application, Node
from datasources.statuses import JobStatus, NodeStatus

NODE_COLUMNS = (
    "job_id",
    "started_at",
    "completed_at",
    "position",
    "node_id",
    "node_type",
    "status",
    "error_type",
    "error_message",
    "retry_count",
)
HEALING_COLUMNS = ("at", "job_id", "node_id", "tier", "success")
Healing = tuple[datetime, str, str, str, bool]

_ROW = columns(len(NODE_COLUMNS))
_TIMES = struct.Struct(">iqiq")
_TIERS = ("heuristic", "anchor", "vision")
_TIER_SHARES = (70, 20, 10)
_HEALED = 0.06
_DIVISIONS = 64

_ENDINGS = {
    JobStatus.COMPLETED: NodeStatus.COMPLETED,
    JobStatus.FAILED: NodeStatus.FAILED,
    JobStatus.CANCELLED: NodeStatus.CANCELLED,
    JobStatus.CLAIMED: NodeStatus.RUNNING,
}


class Steps:
    """The steps of jobs that a robot claimed: they fill the time from claim to end, or to now."""

    def __init__(self, random: Random, now: int) -> None:
        self._random = random
        self._now = now
        # Ways to divide a run's time into uneven steps, as running totals.
        self._divisions = [
            [0.0, *accumulate(random.gammavariate(1.2, 1.0) for _ in range(NODES_A_RUN))] for _ in range(_DIVISIONS)
        ]

    def rows(self, jobs: Iterable[Job]) -> Iterator[bytes]:
        """A row for each step."""
        for job in jobs:
            run, moments = job.run, self._moments(job)
            start, last = _ROW + text(job.job_id), run.nodes - 1
            for position in range(last):
                times = _TIMES.pack(8, moments[position], 8, moments[position + 1])
                yield start + times + _completed(run.workflow.application, position)
            times = timestamp(moments[last]) + timestamp(job.completed_at)
            ending = _described(run.last_node, last, _ENDINGS[run.status], run.error_type, run.error_message)
            yield start + times + ending

    def healing_events(self, jobs: Iterable[Job]) -> Iterator[Healing]:
        """Repairs of selectors: jobs that failed over a missing element were beyond it, a few were saved."""
        for job in jobs:
            run, application = job.run, job.run.workflow.application
            if not application.heals:
                continue
            tier = self._random.choices(_TIERS, _TIER_SHARES)[0]
            if run.error_type == "ElementNotFoundError":
                position, node = run.nodes - 1, run.last_node
            elif run.status is JobStatus.COMPLETED and self._random.random() < _HEALED:
                position = self._random.randrange(len(application.opening), run.nodes - 1)
                node = application.node(position)
            else:
                continue
            at = moment(self._moments(job)[position + 1])
            yield at, job.job_id, node.node_id, tier, run.status is JobStatus.COMPLETED

    def _moments(self, job: Job) -> list[int]:
        claimed_at, count = job.claimed_at, job.run.nodes
        division = self._divisions[job.created_at % _DIVISIONS]
        end = self._now if job.completed_at is None else job.completed_at
        pace = (end - claimed_at) / division[count]
        return [claimed_at + int(share * pace) for share in division[: count + 1]]


@cache
def _completed(application: Application, position: int) -> bytes:
    return _described(application.node(position), position, NodeStatus.COMPLETED)


def _described(
    node: Node,
    position: int,
    status: NodeStatus,
    error_type: str | None = None,
    error_message: str | None = None,
) -> bytes:
    return b"".join(
        (
            integer(position),
            text(node.node_id),
            text(node.node_type),
            text(status),
            text(error_type),
            text(error_message),
            integer(0),
        )
    )
