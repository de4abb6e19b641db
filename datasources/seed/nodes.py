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
_SPLITS = 64

_ENDINGS = {
    JobStatus.COMPLETED: NodeStatus.COMPLETED,
    JobStatus.FAILED: NodeStatus.FAILED,
    JobStatus.CANCELLED: NodeStatus.CANCELLED,
    JobStatus.CLAIMED: NodeStatus.RUNNING,
}


def node_rows(random: Random, jobs: Iterable[Job], now: int) -> Iterator[bytes]:
    """The rows of the jobs' steps, which fill the time from claim to end, or to now."""
    # How a run's time is divided: where each step ends, as running totals of uneven shares.
    splits = [
        [0.0, *accumulate(random.gammavariate(1.2, 1.0) for _ in range(NODES_A_RUN))] for _ in range(_SPLITS)
    ]
    for job in jobs:
        run = job.run
        if job.claimed_at is None:
            continue
        split = splits[int(random.random() * _SPLITS)]
        end = now if job.completed_at is None else job.completed_at
        scale = (end - job.claimed_at) / split[run.nodes]
        moments = [job.claimed_at + int(share * scale) for share in split[: run.nodes + 1]]
        start = _ROW + text(job.job_id)
        application, last = run.workflow.application, run.nodes - 1
        for position in range(last):
            times = _TIMES.pack(8, moments[position], 8, moments[position + 1])
            yield start + times + _completed(application, position)
        completed = timestamp(job.completed_at)
        ending = _described(run.last_node, last, _ENDINGS[run.status], run.error_type, run.error_message)
        yield start + timestamp(moments[last]) + completed + ending


def healing_events(random: Random, jobs: Iterable[Job]) -> Iterator[Healing]:
    """Repairs of selectors: jobs that failed over a missing element were beyond it, a few were saved."""
    for job in jobs:
        application, claimed_at, completed_at = job.run.workflow.application, job.claimed_at, job.completed_at
        if not application.heals or claimed_at is None or completed_at is None:
            continue
        tier = random.choices(_TIERS, _TIER_SHARES)[0]
        if job.run.error_type == "ElementNotFoundError":
            yield moment(completed_at), job.job_id, job.run.last_node.node_id, tier, False
        elif random.random() < 0.06:
            at = claimed_at + int((completed_at - claimed_at) * random.random())
            node = application.node(random.randrange(len(application.opening), job.run.nodes - 1))
            yield moment(at), job.job_id, node.node_id, tier, True


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
