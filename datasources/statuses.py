"""The states of the fleet, in the documents' words, and the moves between them."""

from __future__ import annotations

from enum import StrEnum


class RobotStatus(StrEnum):
    """What a robot is doing."""

    IDLE = "idle"
    BUSY = "busy"
    OFFLINE = "offline"
    FAILED = "failed"


class JobStatus(StrEnum):
    """Where a job is in its life."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self in _TERMINAL_JOBS


class NodeStatus(StrEnum):
    """Where a step of a job is in its life."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_TERMINAL_JOBS = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})

# To look a word up is ten times as fast as to call the enum with it, and pages hold a hundred.
ROBOT_STATUSES = {status.value: status for status in RobotStatus}
JOB_STATUSES = {status.value: status for status in JobStatus}
NODE_STATUSES = {status.value: status for status in NodeStatus}
