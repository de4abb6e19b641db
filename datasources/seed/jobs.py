"""Jobs, dealt from the runs over the days of the past; the newest still wait or are being worked on."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from datasources.seed.binary_copy import NULL, columns, text, timestamp
from datasources.seed.fleet import SECOND, Robot
from datasources.seed.runs import JOB_COLUMNS, Run

_ROW = columns(len(JOB_COLUMNS))
_TIMES = struct.Struct(">iqiqiq")
_LONGEST_WAIT = 300 * SECOND


class Job(NamedTuple):
    """A job that a robot claimed; times in microseconds since Postgres' epoch."""

    job_id: str
    run: Run
    created_at: int
    claimed_at: int
    completed_at: int | None

    def row(self) -> bytes:
        """The job's row for COPY."""
        times = timestamp(self.created_at) + timestamp(self.claimed_at) + timestamp(self.completed_at)
        return _ROW + text(self.job_id) + times + self.run.encoded()


def ended_jobs(
    random: Random,
    runs: list[Run],
    names: Iterator[str],
    *,
    created: Iterator[int],
    now: int,
    newest: deque[Job],
) -> Iterator[bytes]:
    """A row for each moment of `created`; the jobs that `newest` has room for stay in it."""
    cards = [(run, run.encoded()) for run in runs]
    draw, size = random.random, len(cards)
    for created_at, job_id in zip(created, names, strict=False):
        chance = draw() * size
        run, encoded = cards[int(chance)]
        claimed_at = created_at + run.wait
        # The fraction of the draw, which nothing else uses, makes each deal of a run take its own time.
        completed_at = claimed_at + int(run.duration * (0.9 + 0.2 * (chance % 1)))
        if completed_at > now:
            claimed_at = created_at + (now - created_at) // 4
            completed_at = now - (now - created_at) // 4
        if run.nodes:
            times = _TIMES.pack(8, created_at, 8, claimed_at, 8, completed_at)
            newest.append(Job(job_id, run, created_at, claimed_at, completed_at))
        else:
            times = timestamp(created_at) + NULL + timestamp(claimed_at)
        yield _ROW + text(job_id) + times + encoded


def claimed_jobs(random: Random, runs: list[Run], names: Iterator[str], busy: list[Robot], now: int) -> list[Job]:
    """One job under way for each busy robot."""
    jobs = []
    for robot in busy:
        run, done = random.choice(runs), random.uniform(0.05, 0.9)
        claimed_at = now - int(run.duration * done)
        run = run.under_way(robot, done)
        jobs.append(Job(next(names), run, claimed_at - run.wait, claimed_at, None))
    return jobs


def pending_jobs(random: Random, runs: list[Run], names: Iterator[str], count: int, now: int) -> Iterator[bytes]:
    """Rows of jobs that no robot has claimed yet."""
    ages = sorted((int(random.random() ** 2 * _LONGEST_WAIT) for _ in range(count)), reverse=True)
    for age, job_id in zip(ages, names, strict=False):
        times = timestamp(now - age) + NULL + NULL
        yield _ROW + text(job_id) + times + random.choice(runs).waiting().encoded()
