"""Small fleets over four environments in which everything refers to everything, and what is left of one in a scope."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
from hypothesis import strategies as st

from datasources.rollups import claim_folding

ENVIRONMENTS = ("amber", "blue", "coral", "dun")
ROBOTS = [f"r{number}" for number in range(5)]
STRANGERS = [*ROBOTS, "r-unregistered"]
WORKFLOWS = ["intake", "payroll", "scrape"]
JOBS = [f"j{number}" for number in range(9)]
ERRORS = ["TimeoutError", "ValueError"]
SOURCES = ["report", "dbos"]
CAPABILITIES = ["sap", "browser"]
MORNING = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

Rows = dict[str, list[dict[str, Any]]]

TABLES = ("robots", "jobs", "node_executions", "healing_events", "heartbeats", "reported_queues", "events")
ROLLUPS = ("rollups", "rollup_sketches", "rollup_errors", "rollup_healing", "rollup_nodes", "rollup_robots")
_environments = st.sampled_from(ENVIRONMENTS)
_moments = st.integers(1, 72).map(lambda hours: MORNING - timedelta(hours=hours))


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def _robots(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        {
            "robot_id": robot,
            "hostname": f"host-of-{robot}",
            "environment": draw(_environments),
            "status": draw(st.sampled_from(["idle", "busy", "failed"])),
            "capabilities": draw(st.lists(st.sampled_from(CAPABILITIES), unique=True)),
            "cpu_percent": float(draw(st.integers(0, 9))),
            "reported_job_id": draw(_maybe(st.sampled_from([*JOBS, "j-unheard-of"]))),
            "last_heartbeat": draw(_maybe(_moments)),
            "registered_at": MORNING - timedelta(days=4),
            "status_since": MORNING - timedelta(days=3),
        }
        for robot in draw(st.lists(st.sampled_from(ROBOTS), unique=True))
    ]


@st.composite
def _jobs(draw: st.DrawFn) -> list[dict[str, Any]]:
    jobs = []
    for job in draw(st.lists(st.sampled_from(JOBS), unique=True, min_size=2)):
        status = draw(st.sampled_from(["pending", "claimed", "completed", "failed", "cancelled"]))
        created = draw(_moments)
        claimed = None if status == "pending" else created + timedelta(minutes=draw(st.integers(0, 9)))
        ended = status in {"completed", "failed", "cancelled"}
        workflow = draw(st.sampled_from(WORKFLOWS))
        jobs.append(
            {
                "job_id": job,
                "source": draw(st.sampled_from(SOURCES)),
                "workflow_id": workflow,
                "workflow_name": f"{workflow} as {draw(_environments)} calls it",
                "robot_id": draw(_maybe(st.sampled_from(STRANGERS))),
                "environment": draw(_environments),
                "status": status,
                "raw_status": status,
                "created_at": created,
                "claimed_at": claimed,
                "completed_at": claimed + timedelta(minutes=draw(st.integers(0, 9))) if ended and claimed else None,
                "error_type": draw(st.sampled_from(ERRORS)) if status == "failed" else None,
                "error_message": f"said of {job}" if status == "failed" else None,
            }
        )
    return jobs


@st.composite
def fleets(draw: st.DrawFn) -> Rows:
    """The rows of each table."""
    robots, jobs = draw(_robots()), draw(_jobs())
    steps = [
        {
            "job_id": job["job_id"],
            "position": position,
            "node_id": f"{job['job_id']}-step-{position}",
            "node_type": "click",
            "status": "failed",
            "started_at": job["created_at"],
            "error_type": "ValueError",
            "error_message": f"said of {job['job_id']}/{position}",
        }
        for job in jobs
        for position in range(draw(st.integers(0, 2)))
    ]
    healings = [
        {"job_id": job["job_id"], "node_id": "n", "tier": "t", "success": draw(st.booleans())}
        for job in jobs
        for _ in range(draw(st.integers(0, 2)))
    ]
    heartbeats = [
        {
            "robot_id": robot["robot_id"],
            "at": MORNING - timedelta(minutes=minutes),
            "status": "busy",
            "job_id": draw(_maybe(st.sampled_from([*JOBS, "j-unheard-of"]))),
        }
        for robot in robots
        for minutes in range(draw(st.integers(0, 2)))
    ]
    queues = [
        {"environment": environment, "depth": draw(st.integers(0, 5)), "at": datetime.now(UTC)}
        for environment in draw(st.lists(_environments, unique=True))
    ]
    events = []
    for kind in draw(st.lists(st.sampled_from(["job", "node", "robot"]), max_size=12)):
        number = len(events) + 1
        events.append(
            {
                "seq": number,
                "at": MORNING - timedelta(minutes=60 - number),
                "kind": kind,
                "job_id": None if kind == "robot" else draw(st.sampled_from(JOBS)),
                "robot_id": draw(st.sampled_from(STRANGERS) if kind == "robot" else _maybe(st.sampled_from(STRANGERS))),
                "position": 0 if kind == "node" else None,
                "workflow_id": None if kind == "robot" else draw(st.sampled_from(WORKFLOWS)),
                "environment": draw(_environments),
                "status": draw(
                    st.sampled_from(
                        ["idle", "offline", "failed"] if kind == "robot" else ["completed", "failed", "cancelled"]
                    )
                ),
            }
        )
    rows = (robots, jobs, steps, healings, heartbeats, queues, events)
    return dict(zip(TABLES, rows, strict=True))


SCOPES = st.lists(_environments, unique=True, max_size=3).map(frozenset)


def within(rows: Rows, scope: frozenset[str], *, masked: bool) -> Rows:
    """The same fleet where nothing outside the scope has ever been.

    What is inside may name a robot outside, which is then one that never registered; robots and their heartbeats tell
    the ids of jobs inside only, and what errors said is not told to those who may not see it.
    """
    robots = {row["robot_id"] for row in rows["robots"] if row["environment"] in scope}
    jobs = {row["job_id"] for row in rows["jobs"] if row["environment"] in scope}

    def seen(table: str, row: dict[str, Any]) -> bool:
        if table in {"node_executions", "healing_events"}:
            return row["job_id"] in jobs
        return row["robot_id"] in robots if table == "heartbeats" else row["environment"] in scope

    def shown(row: dict[str, Any]) -> dict[str, Any]:
        hidden = dict.fromkeys(name for name in ("reported_job_id", "job_id") if row.get(name) not in {None, *jobs})
        if "kind" in row:  # a transition within the scope names its job, wherever that is now
            hidden = {}
        return row | hidden | ({"error_message": None} if masked and "error_message" in row else {})

    return {table: [shown(row) for row in rows[table] if seen(table, row)] for table in TABLES}


async def fill(connection: asyncpg.Connection, rows: Rows) -> None:
    """Make these the only rows of a database, as they are and without any transition that nobody told of.

    Their history is folded by the server, sooner or later.
    """
    async with connection.transaction():
        await claim_folding(connection)
        await connection.execute(
            "SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off;"
            + ";".join(f"DELETE FROM monitor.{table}" for table in (*TABLES, *ROLLUPS, "rollup_deltas", "rollup_gaps"))
        )
        for table, known in rows.items():
            for row in known[:1]:
                names = ", ".join(row)
                await connection.execute(
                    f"INSERT INTO monitor.{table} ({names}) OVERRIDING SYSTEM VALUE"
                    f" SELECT {names} FROM jsonb_populate_recordset(NULL::monitor.{table}, $1::jsonb)",
                    orjson.dumps(known).decode(),
                )
        await connection.execute(
            "INSERT INTO monitor.rollup_gaps (source, day)"
            " SELECT DISTINCT source, date_trunc('day', created_at, 'UTC') FROM monitor.jobs"
        )
