"""The documents' examples, replayed field by field over a fleet like the one they tell of."""

import time

import pytest
from serving import Graph

ROBOTS = """
    INSERT INTO monitor.robots (robot_id, hostname, environment, status, last_heartbeat, registered_at,
                                cpu_percent, memory_mb, memory_percent)
    SELECT 'robot-' || to_char(n, 'FM000'), 'vm-' || n, 'production',
           CASE WHEN n <= 3 THEN 'busy' WHEN n <= 8 THEN 'idle' ELSE 'offline' END,
           '2025-11-29T10:30:00Z', '2025-11-29T10:00:00Z', 45.2, 1024.5, 12.5
    FROM generate_series(1, 10) n
"""
QUEUE = """
    INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, environment, status, raw_status,
                              created_at, claimed_at, robot_id)
    SELECT 'job-' || n, 'report', 'abc123', 'Invoice intake', 'production',
           CASE WHEN n <= 7 THEN 'claimed' ELSE 'pending' END, 'x', now(),
           CASE WHEN n <= 7 THEN now() END, CASE WHEN n <= 7 THEN 'robot-001' END
    FROM generate_series(1, 49) n
"""
# 1,000 jobs that ended, 942 of them well, and 523 that wait; how long each ran stands in $1.
ENDED = """
    INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
                              created_at, claimed_at, completed_at, error_type)
    SELECT 'ended-' || n, 'report', 'abc123', 'Invoice intake', 'robot-001', 'production',
           CASE WHEN n <= 942 THEN 'completed' ELSE 'failed' END, 'x', at, at, at + make_interval(secs => ms / 1000),
           CASE WHEN n > 942 THEN 'InvoiceFormatError' END
    FROM unnest($1::float8[]) WITH ORDINALITY AS ran (ms, n), LATERAL (SELECT now() - interval '1 hour' AS at) t
"""
WAITING = """
    INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, environment, status, raw_status, created_at)
    SELECT 'waiting-' || n, 'report', 'abc123', 'Invoice intake', 'production', 'pending', 'x', now()
    FROM generate_series(1, 523) n
"""
HEALED = """
    INSERT INTO monitor.healing_events (job_id, node_id, tier, success)
    SELECT 'ended-' || n, 'click', 'anchor', n <= 157 FROM generate_series(1, 200) n
"""
RAN = [2100] * 601 + [3950] * 294 + [5200] * 11 + [7400] * 78 + [7800] + [12000] * 15


def test_the_fleet_is_told_as_in_the_documents(bare: Graph) -> None:
    bare.sql(ROBOTS)
    bare.sql(QUEUE)
    bare.renew()
    told = bare.http.get("/api/v1/metrics/fleet").json()
    assert told == {
        "total_robots": 10,
        "active_robots": 3,
        "idle_robots": 5,
        "offline_robots": 2,
        "active_jobs": 7,
        "queue_depth": 42,
        "total_jobs_today": 49,
        "average_job_duration_seconds": None,
    }


def test_analytics_are_told_as_in_the_documents(bare: Graph) -> None:
    bare.sql(ENDED, RAN)
    bare.sql(WAITING)
    bare.sql(HEALED)
    told = bare.http.get("/api/v1/metrics/analytics").json()
    assert told == {
        "total_jobs": 1523,
        "success_rate": pytest.approx(94.2),
        "failure_rate": pytest.approx(5.8),
        "average_duration_ms": pytest.approx(3245.6),
        "p50_duration_ms": 2100.0,
        "p90_duration_ms": 5200.0,
        "p99_duration_ms": 12000.0,
        "slowest_workflows": [
            {
                "workflow_id": "abc123",
                "workflow_name": "Invoice intake",
                "average_duration_ms": pytest.approx(3245.6),
            }
        ],
        "error_distribution": [{"error_type": "InvoiceFormatError", "count": 58}],
        "self_healing_success_rate": 78.5,
    }


def test_analytics_are_the_documented_fields_byte_for_byte_folded_or_not(bare: Graph) -> None:
    bare.sql(ENDED, [2000] * 120 + [4000] * 70 + [9000] * 10)
    bare.sql("UPDATE monitor.jobs SET status = 'failed', error_type = 'TimeoutError' WHERE duration_ms = 9000")
    bare.sql(
        "INSERT INTO monitor.healing_events (job_id, node_id, tier, success) VALUES ('ended-1', 'n', 'anchor', true)"
    )
    slowest = b'[{"workflow_id":"abc123","workflow_name":"Invoice intake","average_duration_ms":3050.0}]'
    body = (
        b'{"total_jobs":200,"success_rate":95.0,"failure_rate":5.0,"average_duration_ms":3050.0,'
        b'"p50_duration_ms":2000.0,"p90_duration_ms":4000.0,"p99_duration_ms":9000.0,"slowest_workflows":'
        + slowest
        + b","
        b'"error_distribution":[{"error_type":"TimeoutError","count":10}],"self_healing_success_rate":100.0}'
    )
    deadline = time.monotonic() + 30
    while True:
        assert bare.http.get("/api/v1/metrics/analytics").content == body
        if not bare.sql("SELECT FROM monitor.rollup_deltas"):
            break
        assert time.monotonic() < deadline, "nothing was folded"
        time.sleep(0.2)
    assert bare.http.get("/api/v1/metrics/analytics").content == body


def test_robots_are_told_as_in_the_documents(bare: Graph) -> None:
    bare.sql(ROBOTS)
    bare.sql(QUEUE)
    told = bare.http.get("/api/v1/metrics/robots", params={"status": "busy"}).json()
    assert [robot["robot_id"] for robot in told] == ["robot-001", "robot-002", "robot-003"]
    summary = {
        "robot_id": "robot-001",
        "hostname": "vm-1",
        "status": "busy",
        "cpu_percent": 45.2,
        "memory_mb": 1024.5,
        "current_job_id": "job-7",
        "last_heartbeat": "2025-11-29T10:30:00Z",
    }
    assert told[0] == summary
    assert bare.http.get("/api/v1/metrics/robots/robot-001").json() == {
        **summary,
        "memory_percent": 12.5,
        "jobs_completed_today": 0,
        "jobs_failed_today": 0,
        "average_job_duration_seconds": None,
    }


def test_jobs_are_told_in_the_documents_words_with_utc_times(standing_fleet: Graph) -> None:
    told = standing_fleet.http.get("/api/v1/metrics/jobs").json()
    assert {job["status"] for job in told} == {"pending", "claimed", "completed", "failed", "cancelled"}
    assert all(job["created_at"].endswith("Z") for job in told)
    assert list(told[0]) == [
        "job_id",
        "workflow_id",
        "workflow_name",
        "robot_id",
        "status",
        "created_at",
        "completed_at",
        "duration_ms",
    ]


def test_a_job_is_told_with_its_steps(standing_fleet: Graph) -> None:
    told = standing_fleet.http.get("/api/v1/metrics/jobs/j-bad").json()
    steps = told.pop("node_executions")
    assert {name: told[name] for name in ("status", "error_type", "error_message", "retry_count", "duration_ms")} == {
        "status": "failed",
        "error_type": "InvoiceFormatError",
        "error_message": "line 3: no amount",
        "retry_count": 2,
        "duration_ms": 2000.0,
    }
    assert told["claimed_at"].endswith("Z")
    assert [step["node_id"] for step in steps] == ["download", "parse"]
    assert {name: value for name, value in steps[1].items() if not name.endswith("_at")} == {
        "node_id": "parse",
        "node_type": "step",
        "status": "failed",
        "success": False,
        "duration_ms": 1500.0,
        "error_type": "InvoiceFormatError",
        "error_message": "line 3: no amount",
        "retry_count": 2,
    }


def test_where_nothing_happened_measures_are_null_rather_than_zero(bare: Graph) -> None:
    told = bare.http.get("/api/v1/metrics/analytics").json()
    assert told["total_jobs"] == 0
    assert told["success_rate"] is told["p50_duration_ms"] is told["self_healing_success_rate"] is None
