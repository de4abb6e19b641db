"""The whole past of a fleet, in the order in which it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from random import Random

from datasources.seed.fleet import SECOND, Assignment, draw_robots, heartbeats, robot_row
from datasources.seed.jobs import Job, claimed_jobs, ended_jobs, pending_jobs
from datasources.seed.nodes import Healing, Steps
from datasources.seed.rhythm import arrivals
from datasources.seed.runs import draw_runs
from datasources.statuses import RobotStatus

_DAY = 86_400 * SECOND


def job_prefix(seed: int) -> str:
    """What the ids of all jobs of a seed start with."""
    return f"seed-{seed}-"


class Past:
    """Robots and jobs as they follow from a seed; `now` is in microseconds since Postgres' epoch."""

    def __init__(self, seed: int, *, robots: int, jobs: int, days: float, now: int, first_robot: int) -> None:
        self._seed = seed
        self._now = now
        self._start = now - int(days * _DAY)
        random = self._random("fleet")
        # A past is mostly over: at most a quarter of the jobs is under way, and a tenth waits.
        fleet = draw_robots(random, robots, first=first_robot, busiest=jobs // 4, born=self._start, now=now)
        busy = [robot for robot in fleet if robot.status is RobotStatus.BUSY]
        waiting = min(jobs // 10, 3 + robots // 5)
        self._ended = jobs - len(busy) - waiting
        self._runs = draw_runs(random, fleet, jobs)
        names = self._names(self._ended + 1, jobs)
        self._claimed = claimed_jobs(random, self._runs, names, busy, now)
        self._pending = list(pending_jobs(random, self._runs, names, waiting, now))
        self._steps = Steps(random, now)
        self._newest: deque[Job] = deque(maxlen=max(1000, jobs // 100))
        work = {
            robot.robot_id: Assignment(job.job_id, job.claimed_at)
            for robot, job in zip(busy, self._claimed, strict=True)
        }
        beats = [list(heartbeats(random, robot, work.get(robot.robot_id), now)) for robot in fleet]
        self.robots = [robot_row(robot, mine[0]) for robot, mine in zip(fleet, beats, strict=True)]
        self.heartbeats = list(chain.from_iterable(beats))

    def job_rows(self) -> Iterator[bytes]:
        """All jobs, roughly in the order in which they were created."""
        created = arrivals(self._random("arrivals"), self._ended, self._start, self._now)
        names = self._names(1, self._ended)
        deal = self._random("jobs")
        yield from ended_jobs(deal, self._runs, names, created=created, now=self._now, newest=self._newest)
        yield from (job.row() for job in self._claimed)
        yield from self._pending

    @property
    def node_count(self) -> int:
        """How many steps `node_rows` tells."""
        return sum(job.run.nodes for job in self._detailed())

    def node_rows(self) -> Iterator[bytes]:
        """The steps of the newest jobs; known once `job_rows` is used up."""
        return self._steps.rows(self._detailed())

    def healing_events(self) -> list[Healing]:
        """The repairs among those steps."""
        return list(self._steps.healing_events(self._newest))

    def _detailed(self) -> Iterator[Job]:
        return chain(self._newest, self._claimed)

    def _names(self, first: int, last: int) -> Iterator[str]:
        prefix = job_prefix(self._seed)
        return (f"{prefix}{number:08d}" for number in range(first, last + 1))

    def _random(self, part: str) -> Random:
        # Sequences of their own, for these are drawn from in turns.
        return Random(f"{self._seed} {part}")  # noqa: S311  # an invented past keeps no secret
