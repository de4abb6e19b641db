"""Questions asked again and again."""

import re
from typing import Any

from serving import Graph, eventually

JOBS = "{ jobs(first: 100, orderBy: CREATED_AT_ASC) { totalCount nodes { jobId status progressPercent } } }"


def ready(graph: Graph, **headers: str) -> None:
    """Wait until a server hears of snapshots."""
    eventually(lambda: not statements(graph, "{ workflows { totalCount } }", **headers))


def statements(graph: Graph, query: str, **headers: str) -> int:
    """How many statements an answer took."""
    response = graph.http.post("/graphql", json={"query": query}, headers=headers)
    assert "errors" not in response.json(), response.text
    return int(re.search(r'desc="(\d+) statements"', response.headers["server-timing"])[1])


def counted(graph: Graph) -> dict[str, float]:
    """How a server shared answers so far, as its metrics say."""
    page = graph.http.get("/metrics").text
    return {kind: float(total) for kind, total in re.findall(r'casare_answers_total\{kind="(\w+)"\} (\S+)', page)}


def new_job(graph: Graph, job_id: str, **columns: Any) -> None:
    """A job, straight into the database."""
    values = {"environment": "production", "status": "pending", **columns}
    names = ", ".join(values)
    places = ", ".join(f"${number}" for number in range(2, len(values) + 2))
    graph.sql(
        "INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, raw_status, created_at, "
        f"{names}) VALUES ($1, 'report', 'w', 'W', 'as told', now(), {places})",
        job_id,
        *values.values(),
    )
