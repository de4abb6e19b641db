"""The robots of the past: where they run, what they can do, what they said in the last hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from datasources.seed.binary_copy import moment
from datasources.statuses import RobotStatus

SECOND = 1_000_000
_MINUTE, _HOUR, _DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND

# Of twenty robots twelve work in production, five in staging, three for the developers.
_ENVIRONMENTS = ("production",) * 12 + ("staging",) * 5 + ("development",) * 3
_SKILLS = ("browser", "excel", "pdf", "ocr", "email", "sap", "database", "desktop")
_MEMORY_MB = 8192

ROBOT_COLUMNS = (
    "robot_id",
    "hostname",
    "environment",
    "status",
    "capabilities",
    "cpu_percent",
    "memory_mb",
    "memory_percent",
    "reported_job_id",
    "last_heartbeat",
    "status_since",
    "registered_at",
)
HEARTBEAT_COLUMNS = ("robot_id", "at", "status", "cpu_percent", "memory_mb", "memory_percent", "job_id")


@dataclass(frozen=True, slots=True)
class Robot:
    """A robot, with the moment of its last heartbeat in microseconds since Postgres' epoch."""

    robot_id: str
    hostname: str
    environment: str
    status: RobotStatus
    capabilities: list[str]
    registered_at: int
    last_heartbeat: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """The job a busy robot is at, and since when."""

    job_id: str
    claimed_at: int


def draw_robots(random: Random, count: int, *, first: int, busiest: int, born: int, now: int) -> list[Robot]:
    """Robots numbered from `first`, of which at most `busiest` are at work; they registered before `born`."""
    statuses = _draw_statuses(random, count, busiest)
    robots = []
    for number, status in enumerate(statuses, first):
        environment = _ENVIRONMENTS[(number - 1) * 7 % len(_ENVIRONMENTS)]
        silent = random.randrange(10 * _MINUTE, 3 * _DAY) if status is RobotStatus.OFFLINE else 0
        robots.append(
            Robot(
                robot_id=f"robot-{number:03d}",
                hostname=f"rpa-{environment[:4]}-{number:03d}",
                environment=environment,
                status=status,
                capabilities=sorted(random.sample(_SKILLS, random.randint(2, 5))),
                registered_at=born - random.randrange(3 * _DAY, 90 * _DAY),
                last_heartbeat=now - silent,
            )
        )
    return robots


def _draw_statuses(random: Random, count: int, busiest: int) -> list[RobotStatus]:
    failed = min(2, count // 20)
    offline = round(count * 0.05)
    busy = min(busiest, max(1, round((count - failed - offline) * 0.45)))
    statuses = [RobotStatus.FAILED] * failed + [RobotStatus.OFFLINE] * offline + [RobotStatus.BUSY] * busy
    statuses += [RobotStatus.IDLE] * (count - len(statuses))
    random.shuffle(statuses)
    return statuses


def heartbeats(random: Random, robot: Robot, work: Assignment | None, now: int) -> Iterator[tuple[object, ...]]:
    """The robot's heartbeats of the last hour, one a minute, the newest first; always at least its last."""
    baseline = random.uniform(600, 2400)
    for minute in range(60):
        at = robot.last_heartbeat - minute * _MINUTE
        if minute and at < now - _HOUR:
            return
        job_id, status = None, RobotStatus.IDLE
        if work is not None and at >= work.claimed_at:
            job_id, status = work.job_id, RobotStatus.BUSY
        elif robot.status is RobotStatus.FAILED and minute < 12:
            status = RobotStatus.FAILED
        cpu = random.uniform(25, 90) if job_id else random.uniform(0.5, 6)
        memory = baseline * random.uniform(1.2, 1.6) if job_id else baseline * random.uniform(0.95, 1.05)
        yield (
            robot.robot_id,
            moment(at),
            status.value,
            round(cpu, 1),
            round(memory, 1),
            round(100 * memory / _MEMORY_MB, 1),
            job_id,
        )


def robot_row(robot: Robot, heartbeat: tuple[object, ...]) -> tuple[object, ...]:
    """The robot as its last heartbeat left it."""
    _, at, _, cpu, memory, memory_percent, job_id = heartbeat
    return (
        robot.robot_id,
        robot.hostname,
        robot.environment,
        robot.status.value,
        robot.capabilities,
        cpu,
        memory,
        memory_percent,
        job_id,
        at,
        at,
        moment(robot.registered_at),
    )
