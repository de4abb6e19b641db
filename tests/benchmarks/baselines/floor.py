"""The floor: a bare ASGI application, one JOIN, dicts, orjson. No framework and no check of anything."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from datasources.settings import Settings
from tests.benchmarks.baselines.answers import Answers

_FLEET = (
    "totalRobots",
    "activeRobots",
    "idleRobots",
    "offlineRobots",
    "failedRobots",
    "activeJobs",
    "queueDepth",
    "totalJobsToday",
    "averageJobDurationSeconds",
)
_LISTED_JOB = ("jobId", "workflowName", "status", "priority", "createdAt", "claimedAt", "durationMs", "errorType")
_ROBOT_OF_JOB = ("robotId", "hostname", "status")
_JOB = ("jobId", "workflowName", "status", "createdAt", "durationMs", "robotId")
_STEP = (
    "nodeId",
    "nodeType",
    "position",
    "status",
    "success",
    "startedAt",
    "completedAt",
    "durationMs",
    "errorType",
    "errorMessage",
    "retryCount",
)
_LISTED_ROBOT = ("robotId", "hostname", "environment", "status", "cpuPercent", "memoryMb", "lastHeartbeat")
_JOB_OF_ROBOT = ("jobId", "workflowName", "status", "progressPercent", "claimedAt")


class Floor:
    """As little as answers the questions."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or open and close with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = orjson.dumps(await self._answer(scope["path"]), option=orjson.OPT_UTC_Z)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._answers.open():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, path: str) -> dict[str, Any]:
        if path == "/fleet":
            return _named(_FLEET, await self._answers.fleet())
        if path == "/jobs":
            return {"nodes": [_nested(row, _LISTED_JOB, "robot", _ROBOT_OF_JOB) for row in await self._answers.jobs()]}
        if path == "/robots":
            rows = await self._answers.robots()
            return {"nodes": [_nested(row, _LISTED_ROBOT, "currentJob", _JOB_OF_ROBOT) for row in rows]}
        rows = await self._answers.job(path.removeprefix("/jobs/"))
        job, width = _named(_JOB, rows[0]), len(_JOB)
        job["nodeExecutions"] = [_named(_STEP, row[width:]) for row in rows if row[width] is not None]
        return job


def _named(names: tuple[str, ...], values: Any) -> dict[str, Any]:
    return dict(zip(names, values, strict=False))


def _nested(row: Any, names: tuple[str, ...], joined: str, joined_names: tuple[str, ...]) -> dict[str, Any]:
    found, width = _named(names, row), len(names)
    found[joined] = None if row[width] is None else _named(joined_names, row[width:])
    return found


def create_app() -> Floor:
    """The floor over the database of the environment."""
    return Floor(Answers(Settings()))
