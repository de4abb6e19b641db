"""Jobs may have thousands of steps: one field of an operation reads twenty thousand of them, and no more."""

from serving import Graph

from datasources.executions import MOST_AT_ONCE

STEPS = 1000
FILL = """
WITH job AS (
    INSERT INTO monitor.jobs
        (job_id, source, workflow_id, workflow_name, environment, status, raw_status, created_at)
    SELECT 'job-' || n, 'tests', 'w', 'w', 'production', 'completed', 'completed', now()
    FROM generate_series(1, $1::int) AS n
    RETURNING job_id
)
INSERT INTO monitor.node_executions (job_id, position, node_id, node_type, status)
SELECT job_id, position, 'n', 't', 'completed' FROM job, generate_series(1, $2::int) AS position
"""


def asked(graph: Graph, jobs: int, steps: str) -> list[str]:
    return graph.ask(f"query ($n: Int!) {{ jobs(first: $n) {{ nodes {{ {steps} }} }} }}", n=jobs).codes


def test_a_field_reads_so_many_steps_and_no_more(serve) -> None:
    most = MOST_AT_ONCE // STEPS
    with serve() as graph:
        graph.sql(FILL, most + 1, STEPS)
        assert asked(graph, most, "nodeExecutions(first: 1000) { position }") == []
        assert set(asked(graph, most + 1, "nodeExecutions { position }")) == {"QUERY_TOO_COMPLEX"}
        assert asked(graph, most + 1, "nodeExecutions(first: 900) { position }") == []
        reply = graph.ask("{ jobs(first: 21) { nodes { nodeExecutions { position } } } }")
        assert "fewer jobs" in reply.body["errors"][0]["message"]
        assert reply.body["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"


def test_the_steps_of_fifty_jobs_come_with_all_their_fields(serve) -> None:
    fields = "{ nodeId nodeType position status startedAt completedAt durationMs errorType errorMessage retryCount }"
    with serve() as graph:
        graph.sql(FILL, 50, 20)
        reply = graph.ask(f"{{ jobs {{ nodes {{ jobId nodeExecutions {fields} }} }} }}")
        assert sum(len(job["nodeExecutions"]) for job in reply.data["jobs"]["nodes"]) == 50 * 20
