"""What stands on the metrics page."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from exposition import complaints, families, value
from serving import Graph, eventually, serving

from graph.operating.metrics import Names


def page(graph: Graph) -> str:
    answer = graph.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def new_robot(graph: Graph, robot_id: str, environment: str = "production") -> None:
    graph.sql(
        "INSERT INTO monitor.robots (robot_id, hostname, environment, last_heartbeat) VALUES ($1, 'h', $2, now())",
        robot_id,
        environment,
    )


def new_job(graph: Graph, job_id: str) -> None:
    graph.sql(
        """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, environment, status, raw_status,
                                     created_at)
           VALUES ($1, 'report', 'w', 'W', 'production', 'pending', 'pending', now() - interval '90 seconds')""",
        job_id,
    )


def finish(graph: Graph, job_id: str, status: str) -> None:
    graph.sql(
        """UPDATE monitor.jobs SET status = $2, created_at = now() - interval '90 s',
               claimed_at = now() - interval '40 s', completed_at = now()
           WHERE job_id = $1""",
        job_id,
        status,
    )


def counted(said: str) -> float:
    """How many jobs are said to have ended."""
    return value(said, "casare_jobs_finished_total") or 0


def until_counting(graph: Graph) -> None:
    """Wait until jobs are counted as they end, by cancelling some."""
    for number in range(20):
        new_job(graph, f"probe-{number}")
        finish(graph, f"probe-{number}", "cancelled")
        with suppress(AssertionError):
            eventually(lambda: counted(page(graph)) > 0, 3)
            return
    raise AssertionError("no job that ends is counted")


def test_promtool_has_nothing_to_say(graph: Graph) -> None:
    new_robot(graph, "r1")
    new_job(graph, "j1")
    graph.ask("query Ours { robots(first: 1) { nodes { robotId currentJob { jobId } } } }")
    graph.ask("{ nope }")
    assert complaints(page(graph)) == []


def test_the_fleet_is_measured(graph: Graph) -> None:
    new_robot(graph, "r1")
    new_robot(graph, "r2", "staging")
    new_job(graph, "j1")
    said = page(graph)
    assert value(said, "casare_fleet_readable") == 1
    assert value(said, "casare_robots", environment="production", status="idle") == 1
    assert value(said, "casare_robots", environment="staging") == 1
    assert value(said, "casare_queue_depth", environment="production") == 1
    assert value(said, "casare_jobs_running", environment="production") == 0
    assert 90 <= (value(said, "casare_oldest_pending_age_seconds", environment="production") or 0) < 150
    assert 0 <= (value(said, "casare_heartbeat_age_seconds", environment="staging") or 0) < 60


def test_jobs_are_counted_as_they_end_with_their_times(graph: Graph) -> None:
    until_counting(graph)
    before = page(graph)
    for job_id, status in (("j1", "completed"), ("j2", "failed"), ("j3", "completed")):
        new_job(graph, job_id)
        finish(graph, job_id, status)
    eventually(lambda: counted(page(graph)) == counted(before) + 3)
    said = page(graph)
    assert value(said, "casare_jobs_finished_total", outcome="completed", environment="production") == 2
    assert value(said, "casare_job_duration_seconds_sum", outcome="failed") == 40
    assert value(said, "casare_job_duration_seconds_bucket", outcome="completed", le="60.0") == 2
    assert value(said, "casare_job_duration_seconds_bucket", outcome="completed", le="30.0") == 0
    waited = [value(text, "casare_job_queue_wait_seconds_sum") or 0 for text in (before, said)]
    assert waited[1] - waited[0] == 150


def test_a_fleet_that_cannot_be_read_is_left_out_not_zero() -> None:
    with serving("postgresql://me@127.0.0.1:1/rpa", connect_timeout_seconds=1) as graph:
        said = page(graph)
    assert value(said, "casare_fleet_readable") == 0
    assert "casare_robots" not in families(said)
    assert "casare_queue_depth" not in families(said)


def test_operations_statements_and_batches_are_measured_by_name(graph: Graph) -> None:
    new_robot(graph, "r1")
    new_job(graph, "j1")
    graph.sql("UPDATE monitor.jobs SET robot_id = 'r1'")
    graph.ask("query Ours { jobs(first: 5) { nodes { robot { hostname } } } }")
    graph.ask("{ fleet { totalRobots } }")
    said = page(graph)
    assert value(said, "casare_operation_duration_seconds_count", operation="Ours", type="query") == 1
    assert value(said, "casare_operation_duration_seconds_count", operation="-") == 1
    assert value(said, "casare_sql_statement_duration_seconds_count", query="robots_by_id") == 1
    assert (value(said, "casare_loader_batch_keys_count") or 0) >= 1
    assert value(said, "casare_http_requests_total", handler="/graphql", method="POST", status="200") == 2


def test_names_that_clients_make_up_are_bounded(graph: Graph) -> None:
    names = Names(3)
    assert [names.of(name) for name in ("a", "b", None, "c", "d", "a", "e")] == [
        "a",
        "b",
        "-",
        "c",
        "other",
        "a",
        "other",
    ]
    for number in range(210):
        graph.ask(f"query Q{number} {{ fleet {{ totalRobots }} }}")
        graph.http.get(f"/nothing/{number}")
    said = page(graph)
    told = {
        sample.labels["operation"]
        for sample in families(said)["casare_operation_duration_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert len(told) == 201
    assert value(said, "casare_operation_duration_seconds_count", operation="other") == 10
    assert value(said, "casare_http_requests_total", handler="other") == 210


def test_refused_requests_are_counted_by_code(graph: Graph) -> None:
    graph.ask("{ nope }")
    graph.ask("{ nope")
    graph.http.post("/graphql", content=b"{}", headers={"Content-Type": "text/plain"})
    graph.http.delete("/graphql")
    said = page(graph)
    for code in ("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "UNSUPPORTED_MEDIA_TYPE", "METHOD_NOT_ALLOWED"):
        assert value(said, "casare_requests_rejected_total", code=code) == 1, code


def test_errors_of_operations_that_ran_are_counted_by_code(graph: Graph) -> None:
    graph.sql("DROP TABLE monitor.node_executions CASCADE")
    new_job(graph, "j1")
    graph.ask('{ job(jobId: "j1") { nodeExecutions { nodeId } } }')
    said = page(graph)
    assert value(said, "casare_operation_errors_total", code="INTERNAL_SERVER_ERROR") == 1


def test_what_could_not_be_taken_from_a_source_is_counted(graph: Graph) -> None:
    graph.sql("SELECT monitor.record_source_error('dbos', key, 'BAD_ROW', 'x') FROM unnest('{a,b,a}'::text[]) AS key")
    assert value(page(graph), "casare_source_errors_total", source="dbos", code="BAD_ROW") == 3


def test_streams_and_their_events_are_measured(graph: Graph) -> None:
    query = "subscription Watch { jobUpdates { jobId } }"
    with graph.http.stream(
        "GET", "/graphql", params={"query": query}, headers={"Accept": "text/event-stream"}
    ) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ":"
        eventually(lambda: value(page(graph), "casare_streams_open") == 1)
        number = 0
        while not (value(page(graph), "casare_deliveries_total") or 0) >= 1:
            number += 1
            new_job(graph, f"j{number}")
            assert number < 500
        said = page(graph)
    assert value(said, "casare_subscriptions_total") == 1
    assert (value(said, "casare_stream_event_duration_seconds_count", operation="Watch") or 0) >= 1
    eventually(lambda: value(page(graph), "casare_streams_open") == 0)


def test_a_scraper_that_speaks_openmetrics_gets_it(graph: Graph) -> None:
    answer = graph.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["docker/grafana/dashboards/fleet.json", "docker/prometheus/alerts.yaml"])
def test_what_the_dashboard_and_the_alerts_ask_for_is_there(graph: Graph, path: str) -> None:
    new_robot(graph, "r1")
    new_job(graph, "j1")
    asked = set(re.findall(r"casare_[a-z0-9_]+", (Path(__file__).parents[2] / path).read_text(encoding="utf-8")))
    said = page(graph)
    there = {suffixed for name, family in families(said).items() for suffixed in _with_suffixes(name, family.type)}
    assert len(asked) > 5
    assert asked <= there


def _with_suffixes(name: str, kind: str) -> list[str]:
    return {"counter": [f"{name}_total"], "histogram": [f"{name}_{end}" for end in ("bucket", "count", "sum")]}.get(
        kind, [name]
    )


@pytest.mark.slow
def test_folding_is_counted_and_so_is_what_is_left_of_it(graph: Graph) -> None:
    new_job(graph, "j1")
    finish(graph, "j1", "completed")
    graph.sql("INSERT INTO monitor.rollup_gaps (source, day) VALUES ('report', date_trunc('day', now(), 'UTC'))")
    eventually(lambda: value(page(graph), "casare_fold_days_total") == 1)
    new_job(graph, "j2")
    finish(graph, "j2", "failed")
    eventually(lambda: (value(page(graph), "casare_folds_total") or 0) > 0)
    eventually(lambda: value(page(graph), "casare_unfolded_changes") == 0)
    said = page(graph)
    for name in ("casare_unfolded_days", "casare_fold_refusals_total", "casare_fold_failures_total"):
        assert value(said, name) == 0
