"""The four questions, asked as GraphQL and as REST.

Numbers that move while one looks (`asOf`, `oldestPendingSeconds`) are left out: all servers must answer the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

_FLEET = """{ fleet {
  totalRobots activeRobots idleRobots offlineRobots failedRobots
  activeJobs queueDepth totalJobsToday averageJobDurationSeconds
} }"""

_JOBS = """{ jobs(first: 50) { nodes {
  jobId workflowName status priority createdAt claimedAt durationMs errorType
  robot { robotId hostname status }
} } }"""

_JOB = """query ($jobId: ID!) { job(jobId: $jobId) {
  jobId workflowName status createdAt durationMs robotId
  nodeExecutions(first: 20) {
    nodeId nodeType position status success startedAt completedAt durationMs errorType errorMessage retryCount
  }
} }"""

_ROBOTS = """{ robots(first: 100) { nodes {
  robotId hostname environment status cpuPercent memoryMb lastHeartbeat
  currentJob { jobId workflowName status progressPercent claimedAt }
} } }"""

# A job that has ended does not change between two servers' answers.
_LONGEST_JOB = """
SELECT j.job_id
FROM (SELECT job_id, status, created_at FROM monitor.jobs ORDER BY created_at DESC, job_id DESC LIMIT 2000) j
CROSS JOIN LATERAL (SELECT count(*) AS steps FROM monitor.node_executions n WHERE n.job_id = j.job_id) n
WHERE j.status IN ('completed', 'failed')
ORDER BY n.steps DESC, j.created_at DESC, j.job_id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as every client of it sends it."""

    method: str
    path: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question in both tongues; `root` is the GraphQL field whose value a REST answer equals."""

    name: str
    title: str
    root: str
    document: str
    path: str
    variables: dict[str, str] | None = None

    def request(self, *, graphql: bool) -> Request:
        """The question over HTTP."""
        if not graphql:
            return Request("GET", self.path)
        asked = {"query": self.document, "variables": self.variables}
        return Request("POST", "/graphql", orjson.dumps(asked).decode())

    def answer(self, body: Any, *, graphql: bool) -> Any:
        """What was asked for, out of the response's body."""
        return body["data"][self.root] if graphql else body


NAMES = ("q1", "q2", "q3", "q4")


async def questions(dsn: str) -> dict[str, Question]:
    """The questions to this database, by name."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    try:
        job_id = await connection.fetchval(_LONGEST_JOB)
    finally:
        await connection.close(timeout=5)
    if job_id is None:
        raise ValueError("there is no job to ask for: the database is not seeded")
    asked = (
        Question("q1", "fleet summary", "fleet", _FLEET, "/fleet"),
        Question("q2", "newest 50 jobs with robot, 11 fields", "jobs", _JOBS, "/jobs"),
        Question("q3", "one job with 20 node executions", "job", _JOB, f"/jobs/{job_id}", {"jobId": job_id}),
        Question("q4", "100 robots with current job", "robots", _ROBOTS, "/robots"),
    )
    return {question.name: question for question in asked}
