"""Robot: a process that runs jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any

import strawberry

from datasources.jobs import JobOrder, JobParent
from datasources.robots import RobotCriteria, RobotOrder, RobotRow
from datasources.statuses import RobotStatus
from datasources.windows import AnalyticsScope, Step
from graph.context import Info
from graph.errors import BadUserInput
from graph.reads import reads
from graph.types.analytics import Analytics
from graph.types.job_pages import jobs_of
from graph.types.jobs import Job, JobFilterArgument, JobOrderArgument
from graph.types.loaded import loaded
from graph.types.node import Node
from graph.types.paging import After, Before, Connection, ConnectionOf, First, Last, search_text
from graph.types.scalars import described_enum, format_time
from graph.types.windows import ExactArgument, TimeWindow, WindowArgument, analytics_scope, window_bounds

_HOUR = timedelta(hours=1)
MOST_HEARTBEATS = 1000  # heartbeats of a robot in one answer

described_enum(
    RobotStatus,
    "What a robot is doing.",
    {
        RobotStatus.IDLE: "It waits for a job.",
        RobotStatus.BUSY: "It runs a job.",
        RobotStatus.OFFLINE: "It said goodbye, or its heartbeats have stopped.",
        RobotStatus.FAILED: "It is alive and says that it cannot work.",
    },
)
described_enum(
    RobotOrder,
    "The orders a list of robots comes in. Ties are broken by the robot id.",
    {
        RobotOrder.ROBOT_ID_ASC: "By id.",
        RobotOrder.ROBOT_ID_DESC: "By id, backwards.",
        RobotOrder.HOSTNAME_ASC: "By the host they run on.",
        RobotOrder.HOSTNAME_DESC: "By the host they run on, backwards.",
        RobotOrder.LAST_HEARTBEAT_DESC: "The one heard of most recently first.",
        RobotOrder.LAST_HEARTBEAT_ASC: "The one silent for longest first.",
    },
)


class OfflineReason(Enum):
    """Why a robot is offline."""

    NEVER_HEARD = "never heard"
    SAID_GOODBYE = "said goodbye"
    SILENT = "silent"


described_enum(
    OfflineReason,
    "Why a robot is offline.",
    {
        OfflineReason.NEVER_HEARD: "It presented itself, and has not given a sign of life since.",
        OfflineReason.SAID_GOODBYE: "Its last heartbeat said so.",
        OfflineReason.SILENT: "Its heartbeats have stopped: `lastSeenSeconds` tells since when.",
    },
)


@strawberry.type(name="RobotHeartbeat", description="What a robot said of itself at one moment.")
class RobotHeartbeat:
    """A heartbeat; its root is a HeartbeatRow."""

    at: datetime = strawberry.field(description="When it was measured.")
    status: RobotStatus = strawberry.field(description="What it said it was doing.")
    cpu_percent: float | None = strawberry.field(description="Its processor use, in percent of one core.")
    memory_mb: float | None = strawberry.field(description="Its memory, in megabytes.")
    memory_percent: float | None = strawberry.field(description="Its memory, in percent of the machine's.")
    job_id: strawberry.ID | None = strawberry.field(
        description="The job it said it ran. Who sees some environments only is told of jobs known there."
    )


@strawberry.type(description="A process that runs jobs.")
class Robot(Node):
    """A robot; its root is a RobotRow."""

    robot_id: strawberry.ID = strawberry.field(description="The robot's id.")
    hostname: str = strawberry.field(description="The machine it runs on.")
    environment: str = strawberry.field(description="The environment it belongs to.")
    status: RobotStatus = strawberry.field(
        description="What it is doing; offline once its heartbeats have stopped, whatever it said last."
    )
    cpu_percent: float | None = strawberry.field(description="Its processor use, in percent of one core.")
    memory_mb: float | None = strawberry.field(description="Its memory, in megabytes.")
    memory_percent: float | None = strawberry.field(description="Its memory, in percent of the machine's.")
    last_heartbeat: datetime | None = strawberry.field(description="Its last sign of life; null before the first.")
    registered_at: datetime = strawberry.field(description="When it first presented itself.")
    current_job_id: strawberry.ID | None = strawberry.field(
        description="Id of the job it runs; null if none. Who sees some environments only is told of jobs known there."
    )
    capabilities: list[str] = strawberry.field(description="What it can do, in its operators' words.")

    @classmethod
    def is_type_of(cls, value: object, _info: Any) -> bool:
        """Whether a root is a robot's."""
        return isinstance(value, RobotRow)

    @loaded(
        Job | None,
        lambda loaders: loaders.jobs,
        metadata=reads(Robot=("current_job_id",)),
        description="The job it runs; null if none, or not known here.",
    )
    @staticmethod
    def current_job(robot: strawberry.Parent[RobotRow]) -> str | None:
        return robot.current_job_id

    @loaded(
        int,
        lambda loaders: loaders.robots_today,
        metadata=reads(Robot=("robot_id",)),
        value=lambda _, today: today.completed,
        description="Jobs it completed since midnight UTC.",
    )
    @staticmethod
    def jobs_completed_today(robot: strawberry.Parent[RobotRow]) -> str:
        return robot.robot_id

    @loaded(
        int,
        lambda loaders: loaders.robots_today,
        metadata=reads(Robot=("robot_id",)),
        value=lambda _, today: today.failed,
        description="Jobs that failed on it since midnight UTC.",
    )
    @staticmethod
    def jobs_failed_today(robot: strawberry.Parent[RobotRow]) -> str:
        return robot.robot_id

    @loaded(
        float | None,
        lambda loaders: loaders.robots_today,
        metadata=reads(Robot=("robot_id",)),
        value=lambda _, today: None if today.average_duration_ms is None else today.average_duration_ms / 1000,
        description="Average run of the jobs that completed or failed on it since midnight UTC, in seconds; "
        "null if there are none.",
    )
    @staticmethod
    def average_job_duration_seconds(robot: strawberry.Parent[RobotRow]) -> str:
        return robot.robot_id

    @strawberry.field(
        graphql_type=Connection[Job],
        metadata=reads(Robot=("robot_id",)),
        description="The jobs it ran or runs, a page at a time.",
    )
    @staticmethod
    async def jobs(
        robot: strawberry.Parent[RobotRow],
        info: Info,
        first: First = 50,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: JobFilterArgument = None,
        order_by: JobOrderArgument = JobOrder.CREATED_AT_DESC,
    ) -> ConnectionOf:
        return await jobs_of(info, JobParent.ROBOT, robot.robot_id, first, after, last, before, filter, order_by)

    @strawberry.field(
        metadata=reads(Robot=("last_heartbeat",)),
        description="How long ago it was last heard of, in seconds; null if never.",
    )
    @staticmethod
    def last_seen_seconds(robot: strawberry.Parent[RobotRow], info: Info) -> float | None:
        heard = robot.last_heartbeat
        return None if heard is None else max(0.0, (info.context.now - heard).total_seconds())

    @strawberry.field(
        metadata=reads(Robot=("robot_id", "status", "last_heartbeat")),
        description="Why it is offline; null where it is not.",
    )
    @staticmethod
    async def offline_reason(robot: strawberry.Parent[RobotRow], info: Info) -> OfflineReason | None:
        if robot.status is not RobotStatus.OFFLINE:
            return None
        if robot.last_heartbeat is None:
            return OfflineReason.NEVER_HEARD
        newest = await info.context.loaders.heartbeats.load((robot.robot_id, 1))
        said = bool(newest) and newest[0].status is RobotStatus.OFFLINE
        return OfflineReason.SAID_GOODBYE if said else OfflineReason.SILENT

    @strawberry.field(
        metadata=reads(Robot=("robot_id",)),
        description="The share of the time online within the window in which it was busy, in percent, from its turns "
        "in the ledger; null where it was not online.",
    )
    @staticmethod
    async def busy_ratio(
        robot: strawberry.Parent[RobotRow],
        info: Info,
        window: Annotated[
            TimeWindow | None,
            strawberry.argument(
                description="Which time, as far back as the ledger is kept; the last hour if left out. For more there "
                "is `analytics { robotHours }`."
            ),
        ] = None,
    ) -> float | None:
        now = info.context.now
        since, until = (now - _HOUR, now) if window is None else window_bounds(window, now)
        kept = Step.HOUR.floor(now - timedelta(days=info.context.settings.ledger_days))
        if since < kept:
            raise BadUserInput(f"The window begins before the ledger does, which is kept since {format_time(kept)}.")
        time = await info.context.loaders.robots_busy.load((robot.robot_id, (since, min(until, now))))
        if time.known_from is not None and time.known_from > since:
            raise BadUserInput(
                f"The window begins before the ledger does, which begins at {format_time(time.known_from)}."
            )
        return time.ratio

    @loaded(
        list[RobotHeartbeat],
        lambda loaders: loaders.heartbeats,
        metadata=reads(Robot=("robot_id",)),
        description="Its newest heartbeats (1..1000), newest first.",
    )
    @staticmethod
    def heartbeats(
        robot: strawberry.Parent[RobotRow],
        last: Annotated[int, strawberry.argument(description="How many, 1 to 1000.")] = 60,
    ) -> tuple[str, int]:
        if not 1 <= last <= MOST_HEARTBEATS:
            raise BadUserInput(f"last must lie between 1 and {MOST_HEARTBEATS}, not {last}.")
        return robot.robot_id, last

    @strawberry.field(
        graphql_type=Analytics,
        metadata=reads(Robot=("robot_id",)),
        description="How the jobs it ran went over a window of time.",
    )
    @staticmethod
    async def analytics(
        robot: strawberry.Parent[RobotRow],
        info: Info,
        window: WindowArgument = None,
        exact: ExactArgument = False,
    ) -> AnalyticsScope:
        return await analytics_scope(info, window, exact, robot_id=robot.robot_id)


@strawberry.input(description="Which robots a list holds. What is left out, or null, does not matter.")
class RobotFilter:
    """Which robots."""

    status: list[RobotStatus] | None = strawberry.field(default=None, description="In one of these states.")
    environment: str | None = strawberry.field(default=None, description="In this environment.")
    capability: str | None = strawberry.field(default=None, description="That can do this.")
    search: str | None = strawberry.field(
        default=None, description="With this text in the id or the host's name, in any case."
    )

    def criteria(self) -> RobotCriteria:
        """The same for the datasources."""
        return RobotCriteria(
            statuses=None if self.status is None else tuple(self.status),
            environment=self.environment,
            capability=self.capability,
            text=search_text(self.search),
        )
