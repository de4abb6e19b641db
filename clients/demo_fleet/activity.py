"""What a robot is doing at this moment, for its heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """The job and the nodes a robot is busy with."""

    def __init__(self) -> None:
        self.job_id: str | None = None
        self._nodes = 1
        self._reached = 0
        self._running: dict[int, str] = {}

    @property
    def node(self) -> str | None:
        """The newest of the nodes that are running."""
        running = list(self._running.values())
        return running[-1] if running else None

    @property
    def progress_percent(self) -> float | None:
        """How much of the job's nodes is behind us, 0 to 100; None without a job."""
        if self.job_id is None:
            return None
        return min(100.0, round(100 * (self._reached - len(self._running)) / self._nodes, 1))

    @contextmanager
    def job(self, job_id: str, nodes: int) -> Iterator[None]:
        """Busy with a job of so many nodes for the time of the block."""
        self.job_id, self._nodes, self._reached, self._running = job_id, nodes, 0, {}
        try:
            yield
        finally:
            self.job_id, self._running = None, {}

    @contextmanager
    def at(self, job_id: str | None, step: int, node: str) -> Iterator[None]:
        """At a node, the job's step of that number from 1; a job we no longer hold is not counted."""
        if job_id is None or job_id != self.job_id:
            yield
            return
        running = self._running
        # The step's number, not a count: a resumed job does not run again what it had finished before.
        self._reached = max(self._reached, step)
        running[step] = node
        try:
            yield
        finally:
            running.pop(step, None)


# One for the process, as DBOS is: its steps are functions of the module and reach a robot only this way.
activity = Activity()
