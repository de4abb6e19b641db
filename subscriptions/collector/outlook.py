"""What operators conclude from the fleet as it is: what is stuck, how long the queue lasts, how many robots it takes.

Jobs wait for the robots of their environment, so each environment is reckoned by itself. Nobody tells what a job needs
beyond that, so a robot's capabilities do not count here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from math import ceil

from datasources.statuses import RobotStatus
from subscriptions.collector.fleet import LiveFleet
from subscriptions.collector.jobs import WINDOW

_WORKING = {RobotStatus.BUSY, RobotStatus.IDLE}


class StuckReason(Enum):
    """Why a claimed job does not get on."""

    ROBOT_OFFLINE = "offline"
    ROBOT_SILENT = "silent"
    ROBOT_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StuckJob:
    """A claimed job that does not get on, and since when."""

    job_id: str
    robot_id: str
    since: datetime
    reason: StuckReason


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What an estimate rests on; `reason` says why there is none."""

    pending: int
    robots: int
    average_duration_seconds: float | None
    throughput_per_minute: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds until nothing waits, or a number of robots; None for the reason that its assumptions name."""

    value: float | None
    assumptions: Assumptions


@dataclass(frozen=True, slots=True)
class _Queue:
    """An environment in which jobs wait; the average is that of its own jobs, else that of all."""

    environment: str
    pending: int
    robots: int
    average: float | None


def utilisation(fleet: LiveFleet) -> float | None:
    """The share of the robots that are online which are busy, in percent."""
    online = len(fleet.robots) - fleet.states[RobotStatus.OFFLINE]
    return 100 * fleet.states[RobotStatus.BUSY] / online if online else None


def unservable(fleet: LiveFleet) -> int:
    """How many jobs wait in environments without a robot that could run them."""
    robots = _working(fleet)
    return sum(queue.pending for queue in fleet.queues if not robots[queue.environment])


def stuck(fleet: LiveFleet) -> list[StuckJob]:
    """The claimed jobs whose robot is offline, has fallen silent, or is none; the one stuck for longest first."""
    return sorted(_stuck(fleet), key=lambda job: (job.since, job.job_id))


def _stuck(fleet: LiveFleet) -> Iterator[StuckJob]:
    for job in fleet.running:
        if job.robot_id is None:
            continue
        begun = job.claimed_at or job.created_at
        robot = fleet.anybody.get(job.robot_id)
        if robot is None:
            yield StuckJob(job.job_id, job.robot_id, begun, StuckReason.ROBOT_UNKNOWN)
        elif robot.status is RobotStatus.OFFLINE:
            silent = robot.row.last_sign < fleet.silent_since
            reason = StuckReason.ROBOT_SILENT if silent else StuckReason.ROBOT_OFFLINE
            yield StuckJob(job.job_id, job.robot_id, max(begun, robot.row.last_sign), reason)


def drain(fleet: LiveFleet) -> Estimate:
    """How many seconds it takes until all that waits now has been run by the robots that can work now."""
    queues = _queues(fleet)
    reason = _unknown_duration(queues)
    for queue in queues:
        if not queue.robots:
            reason = f"no robot of {queue.environment} can work"
    seconds = [queue.pending * (queue.average or 0) / queue.robots for queue in queues if queue.robots]
    return Estimate(None if reason else max(seconds, default=0.0), _assumptions(queues, reason))


def robots_needed(fleet: LiveFleet, deadline: timedelta) -> Estimate:
    """How many robots it takes to have run all that waits now by then."""
    queues = _queues(fleet)
    reason = _unknown_duration(queues)
    needed = sum(ceil(queue.pending * (queue.average or 0) / deadline.total_seconds()) for queue in queues)
    return Estimate(None if reason else needed, _assumptions(queues, reason))


def _working(fleet: LiveFleet) -> Counter[str]:
    return Counter(robot.row.environment for robot in fleet.robots if robot.status in _WORKING)


def _queues(fleet: LiveFleet) -> list[_Queue]:
    robots = _working(fleet)
    of_all = _first(fleet.ended(WINDOW).average_seconds, fleet.day.average_seconds)
    return [
        _Queue(
            queue.environment,
            queue.pending,
            robots[queue.environment],
            _first(
                fleet.ended(WINDOW, queue.environment).average_seconds,
                fleet.created(queue.environment).average_seconds,
                of_all,
            ),
        )
        for queue in fleet.queues
        if queue.pending
    ]


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _unknown_duration(queues: list[_Queue]) -> str | None:
    if any(queue.average is None for queue in queues):
        return "no job that completed or failed today tells how long one takes"
    return None


def _assumptions(queues: list[_Queue], reason: str | None) -> Assumptions:
    pending = sum(queue.pending for queue in queues)
    timed = [queue for queue in queues if queue.average is not None]
    jobs = sum(queue.pending for queue in timed)
    average = sum(queue.pending * (queue.average or 0) for queue in timed) / jobs if jobs else None
    rates = [60 * queue.robots / queue.average for queue in timed if queue.average]
    return Assumptions(
        pending,
        robots=sum(queue.robots for queue in queues),
        average_duration_seconds=average,
        throughput_per_minute=sum(rates) if rates else None,
        reason=reason,
    )
