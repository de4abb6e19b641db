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
