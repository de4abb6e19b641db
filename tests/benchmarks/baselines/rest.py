"""A plain REST service, as FastAPI's documentation would have it: response models, one JOIN a question."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal, Self

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from datasources.settings import Settings
from tests.benchmarks.baselines.answers import Answers

JobStatus = Literal["PENDING", "CLAIMED", "COMPLETED", "FAILED", "CANCELLED"]
StepStatus = Literal["RUNNING", "COMPLETED", "FAILED", "CANCELLED"]
RobotStatus = Literal["IDLE", "BUSY", "OFFLINE", "FAILED"]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    @classmethod
    def of(cls, values: Iterable[object], **others: Any) -> Self:
        """The model from a row's columns, which stand in the order of its fields."""
        return cls(**dict(zip(cls.model_fields, values, strict=False)) | others)


class Fleet(_Model):
    """The fleet in numbers."""

    total_robots: int
    active_robots: int
    idle_robots: int
    offline_robots: int
    failed_robots: int
    active_jobs: int
    queue_depth: int
    total_jobs_today: int
    average_job_duration_seconds: float | None


class RobotOfJob(_Model):
    """The robot that ran a job."""

    robot_id: str
    hostname: str
    status: RobotStatus


class ListedJob(_Model):
    """A job in a list."""

    job_id: str
    workflow_name: str
    status: JobStatus
    priority: int
    created_at: datetime
    claimed_at: datetime | None
    duration_ms: float | None
    error_type: str | None
    robot: RobotOfJob | None


class Jobs(_Model):
    """A list of jobs."""

    nodes: list[ListedJob]


class Step(_Model):
    """A step of a job."""

    node_id: str
    node_type: str
    position: int
    status: StepStatus
    success: bool | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: float | None
    error_type: str | None
    error_message: str | None
    retry_count: int


class Job(_Model):
    """A job with its steps."""

    job_id: str
    workflow_name: str
    status: JobStatus
    created_at: datetime
    duration_ms: float | None
    robot_id: str | None
    node_executions: list[Step]


class JobOfRobot(_Model):
    """The job a robot runs."""

    job_id: str
    workflow_name: str
    status: JobStatus
    progress_percent: float | None
    claimed_at: datetime | None


class ListedRobot(_Model):
    """A robot in a list."""

    robot_id: str
    hostname: str
    environment: str
    status: RobotStatus
    cpu_percent: float | None
    memory_mb: float | None
    last_heartbeat: datetime | None
    current_job: JobOfRobot | None


class Robots(_Model):
    """A list of robots."""

    nodes: list[ListedRobot]


def create_app() -> FastAPI:
    """The service over the database of the environment."""
    answers = Answers(Settings())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with answers.open():
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/fleet")
    async def fleet() -> Fleet:
        return Fleet.of(await answers.fleet())

    @app.get("/jobs")
    async def jobs() -> Jobs:
        rows = await answers.jobs()
        return Jobs(nodes=[ListedJob.of(row[:8], robot=_joined(RobotOfJob, row[8:])) for row in rows])

    @app.get("/jobs/{job_id}")
    async def job(job_id: str) -> Job:
        rows = await answers.job(job_id)
        if not rows:
            raise HTTPException(404)
        return Job.of(rows[0][:6], node_executions=[Step.of(row[6:]) for row in rows if row[6] is not None])

    @app.get("/robots")
    async def robots() -> Robots:
        rows = await answers.robots()
        return Robots(nodes=[ListedRobot.of(row[:7], current_job=_joined(JobOfRobot, row[7:])) for row in rows])

    return app


def _joined(model: type[_Model], values: Sequence[object]) -> _Model | None:
    return None if values[0] is None else model.of(values)
