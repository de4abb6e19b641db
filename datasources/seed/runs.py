"""Runs that jobs are dealt from: drawn once and dealt often, each time at another moment and pace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from random import Random

from datasources.seed.binary_copy import double, integer, text
from datasources.seed.fleet import SECOND, Robot
from datasources.seed.workflows import NODES_A_RUN, WORKFLOWS, Node, Workflow
from datasources.statuses import JobStatus

SOURCE = "seed"

# The columns of a job in the order of its binary row: what differs from job to job, then the run's own.
JOB_COLUMNS = (
    "job_id",
    "created_at",
    "claimed_at",
    "completed_at",
    "source",
    "workflow_id",
    "workflow_name",
    "robot_id",
    "environment",
    "status",
    "raw_status",
    "priority",
    "error_type",
    "error_message",
    "retry_count",
    "max_retries",
    "progress_percent",
    "current_node",
)

_DECK = 32_768
_MAX_RETRIES = 3
_CANCELLED = 0.016
_LONGEST_SECONDS = 4 * 3600
_PAGES = ("/worklist", "/orders/search", "/customers/details", "/claims/new", "/shipments", "/approvals")
_SELECTORS = ("#submit", "button.save", "input[name=iban]", "table.results tr", "#customer-id", "a.next-page")


@dataclass(frozen=True, slots=True)
class Run:
    """One way a job can go; durations in microseconds."""

    workflow: Workflow
    environment: str
    robot_id: str | None
    status: JobStatus
    priority: int
    wait: int
    duration: int
    nodes: int
    """How many of its steps were begun; 0 where no robot ever claimed it."""
    last_node: Node
    progress_percent: float | None
    error_type: str | None = None
    error_message: str | None = None
    retry_count: int = 0

    def encoded(self) -> bytes:
        """The columns of the job's row that only depend on its run."""
        return b"".join(
            (
                text(SOURCE),
                text(self.workflow.workflow_id),
                text(self.workflow.name),
                text(self.robot_id),
                text(self.environment),
                text(self.status),
                text(self.status),
                integer(self.priority),
                text(self.error_type),
                text(self.error_message),
                integer(self.retry_count),
                integer(_MAX_RETRIES),
                double(self.progress_percent),
                text(self.last_node.node_id if self.status is JobStatus.CLAIMED else None),
            )
        )

    def waiting(self) -> Run:
        """The same run before a robot claimed it."""
        return replace(
            self,
            robot_id=None,
            status=JobStatus.PENDING,
            nodes=0,
            progress_percent=None,
            error_type=None,
            error_message=None,
            retry_count=0,
        )

    def under_way(self, robot: Robot, done: float) -> Run:
        """The same run while the robot is at it, with the share of it that is done."""
        completed = min(NODES_A_RUN - 2, max(1, int(done * NODES_A_RUN)))
        return replace(
            self,
            robot_id=robot.robot_id,
            environment=robot.environment,
            status=JobStatus.CLAIMED,
            nodes=completed + 1,
            last_node=self.workflow.application.node(completed),
            progress_percent=100.0 * completed / NODES_A_RUN,
            error_type=None,
            error_message=None,
            retry_count=0,
        )


def draw_runs(random: Random, robots: list[Robot], jobs: int) -> list[Run]:
    """Runs that have ended, in the proportions of a real past: enough for so many jobs to differ."""
    shares = [workflow.share for workflow in WORKFLOWS]
    workflows = random.choices(WORKFLOWS, shares, k=min(jobs, _DECK))
    return [_draw_run(random, workflow, random.choice(robots)) for workflow in workflows]


def _draw_run(random: Random, workflow: Workflow, robot: Robot) -> Run:
    seconds = min(random.lognormvariate(log(workflow.median_seconds), workflow.spread), _LONGEST_SECONDS)
    wait = random.expovariate(1 / 6) * (20 if random.random() < 0.04 else 1)
    run = Run(
        workflow=workflow,
        environment=robot.environment,
        robot_id=robot.robot_id,
        status=JobStatus.COMPLETED,
        priority=random.choices((0, 5, 10), (80, 15, 5))[0],
        wait=int((wait + 0.05) * SECOND),
        duration=int(seconds * SECOND),
        nodes=NODES_A_RUN,
        last_node=workflow.application.closing,
        progress_percent=100.0,
        retry_count=random.choices((0, 1, 2), (93, 5, 2))[0],
    )
    fate = random.random()
    if fate < workflow.failure_rate:
        return _failing(random, run)
    if fate < workflow.failure_rate + _CANCELLED:
        return _cancelled(random, run)
    return run


def _failing(random: Random, run: Run) -> Run:
    application = run.workflow.application
    failure = random.choices(application.failures, range(len(application.failures), 0, -1))[0]
    return replace(
        run,
        status=JobStatus.FAILED,
        duration=int(run.duration * random.uniform(0.2, 1.3)),
        last_node=application.each_item[failure.step],
        progress_percent=float(random.randrange(20, 95, 5)),
        error_type=failure.error_type,
        error_message=failure.message.format(
            ms=random.choice((5000, 10000, 30000, 60000)),
            selector=random.choice(_SELECTORS),
            page=random.choice(_PAGES),
            number=random.randrange(100_000, 999_999),
            amount=f"{random.lognormvariate(6, 1):.2f}",
            percent=random.randrange(20, 60),
            small=random.randrange(2, 40),
        ),
        retry_count=random.choices((_MAX_RETRIES, 1, 0), (70, 20, 10))[0],
    )


def _cancelled(random: Random, run: Run) -> Run:
    if random.random() < 0.5:
        return replace(run.waiting(), status=JobStatus.CANCELLED, wait=run.wait * 10)
    return replace(
        run,
        status=JobStatus.CANCELLED,
        duration=int(run.duration * random.uniform(0.1, 0.9)),
        last_node=run.workflow.application.node(NODES_A_RUN - 1),
        progress_percent=float(random.randrange(5, 95, 5)),
    )
