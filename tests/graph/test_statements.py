"""How many SQL statements an operation takes: one for each distinct field path, never one for each row."""

import pytest


@pytest.mark.parametrize(
    ("statements", "query"),
    [
        pytest.param(
            4,
            "{ jobs(first: 50) { nodes { jobId status robot { hostname status } workflow { workflowName lastRunAt }"
            " nodeExecutions { nodeId status durationMs } } } }",
            id="jobs with robot, workflow and steps",
        ),
        pytest.param(
            3,
            "{ robots(first: 100) { nodes { robotId status currentJob { jobId workflowName progressPercent }"
            " jobsCompletedToday jobsFailedToday averageJobDurationSeconds } } }",
            id="robots with their current job and their day",
        ),
        pytest.param(
            2,
            "{ jobs(first: 100) { totalCount nodes { jobId } pageInfo { hasNextPage endCursor } edges { cursor } } }",
            id="a page with its total",
        ),
        pytest.param(1, "{ jobs { nodes { jobId } edges { cursor node { status } } } }", id="a page without its total"),
        pytest.param(
            4,
            "{ robots(first: 100) { nodes { jobs(first: 5) { totalCount nodes { workflow { workflowName } } } } } }",
            id="each robot's jobs, their totals and workflows",
        ),
        pytest.param(
            6,
            "{ robots(first: 100) { nodes { jobs(first: 3) { nodes { workflow { workflowId analytics {"
            " totalJobs successRate failureRate averageDurationMs p50DurationMs p99DurationMs"
            " errorDistribution { errorType count } } } } } } } }",
            id="robots, jobs, workflows and three groups of analytics",
        ),
        pytest.param(
            7,
            "{ workflows(first: 100) { totalCount nodes { analytics { successRate p95DurationMs"
            " slowestWorkflows { runs } errorDistribution { count } selfHealingSuccessRate } } } }",
            id="workflows with every group of analytics",
        ),
        pytest.param(
            4,
            '{ workflows { nodes { week: analytics { totalJobs } day: analytics(window: {last: "P1D"}) { totalJobs }'
            ' hour: analytics(window: {last: "PT1H"}) { totalJobs successRate } } } }',
            id="one statement for each window",
        ),
        pytest.param(
            3,
            "{ robots(first: 100) { nodes { newest: jobs(first: 1) { nodes { jobId } }"
            " again: jobs(first: 1) { nodes { status } }"
            " failed: jobs(first: 1, filter: {status: [FAILED]}) { nodes { errorType } } } } }",
            id="aliases are one statement where they ask the same, and two where they differ",
        ),
        pytest.param(
            3,
            "{ jobs(first: 100) { nodes { begin: nodeExecutions(first: 2) { nodeId }"
            " rest: nodeExecutions(first: 5, after: 1) { nodeId } } } }",
            id="steps in two parts",
        ),
        pytest.param(
            3,
            "{ robots(first: 100) { nodes { last: heartbeats(last: 1) { at } heartbeats { at cpuPercent } } } }",
            id="heartbeats, few and many",
        ),
        pytest.param(
            0,
            "{ fleet { totalRobots activeRobots idleRobots offlineRobots failedRobots activeJobs queueDepth"
            " oldestPendingSeconds totalJobsToday averageJobDurationSeconds asOf stale }"
            ' staging: fleet(environment: "staging") { totalRobots queueDepth totalJobsToday } }',
            id="the fleet, and that of an environment",
        ),
        pytest.param(
            0,
            "{ fleet { pendingByEnvironment { depth } pendingByWorkflow { depth } unservablePending utilisation"
            " stuckJobCount stuckJobs { jobId robotId since reason } throughput { jobsPerMinute failureRate }"
            " estimatedDrainSeconds drainAssumptions { reason }"
            ' robotsNeeded(deadline: {within: "PT1H"}) { robots assumptions { reason } } } }',
            id="what operators ask of the fleet",
        ),
        pytest.param(1, "{ fleet { failingWorkflows { workflowId } queueDepth } }", id="failing workflows"),
        pytest.param(
            4,
            "{ robots(first: 100) { nodes { lastSeenSeconds offlineReason busyRatio"
            ' day: busyRatio(window: {last: "P1D"}) same: busyRatio(window: {last: "PT24H"}) } } }',
            id="robots with what they were busy with",
        ),
        pytest.param(0, "{ fleet { asOf stale } analytics { asOf } __typename }", id="what needs no database"),
        pytest.param(
            4,
            "{ analytics { totalJobs successRate p50DurationMs slowestWorkflows { runs } selfHealingSuccessRate } }",
            id="analytics in four groups",
        ),
        pytest.param(
            8,
            "{ robots(first: 100) { nodes { currentJob { nodeExecutions { nodeId } workflow { workflowId"
            " jobs(first: 2) { totalCount nodes { robot { heartbeats(last: 1) { at } } } } } } } } }",
            id="seven levels deep and round again",
        ),
        pytest.param(
            3,
            '{ job(jobId: "none") { jobId } other: job(jobId: "neither") { jobId } robot(robotId: "robot-001")'
            ' { robotId } again: robot(robotId: "robot-001") { hostname } workflow(workflowId: "none") { workflowId }'
            ' node(id: "Sm9iOm5vbmU") { id } }',
            id="single objects",
        ),
    ],
)
def test_an_operation_takes_one_statement_for_each_distinct_field_path(seeded, statements, query):
    reply = seeded.ask(query)
    assert reply.data
    assert reply.statements == statements


def test_a_page_of_one_row_takes_as_many_statements_as_a_page_of_a_hundred(seeded):
    query = """
        query ($first: Int!) {
          jobs(first: $first, filter: {status: [CLAIMED, COMPLETED]}, orderBy: COMPLETED_AT_DESC) {
            totalCount
            nodes {
              robot {
                jobsCompletedToday
                heartbeats(last: 2) { at }
                jobs(first: 1) { nodes { workflow { lastRunAt } } }
              }
              nodeExecutions { nodeId }
            }
          }
        }
    """
    one, hundred = seeded.ask(query, first=1), seeded.ask(query, first=100)
    assert len(one.data["jobs"]["nodes"]) == 1
    assert len(hundred.data["jobs"]["nodes"]) == 100
    assert one.statements == hundred.statements == 8


def test_what_another_branch_has_loaded_already_does_not_split_a_statement(seeded):
    query = """
        query ($workflow: ID!, $other: ID!) {
          workflow(workflowId: $workflow) { workflowName }
          other: workflow(workflowId: $other) { workflowName }
          jobs(first: 100) { nodes { workflow { analytics { totalJobs } jobs(first: 1) { nodes { robotId } } } } }
        }
    """
    workflow, other = (
        row["workflow_id"] for row in seeded.sql("SELECT DISTINCT workflow_id FROM monitor.jobs LIMIT 2")
    )
    reply = seeded.ask(query, workflow=workflow, other=other)
    assert reply.data["workflow"]["workflowName"]
    assert reply.statements in {4, 5}  # where the jobs come fast, both branches ask for their workflows at once


def test_objects_of_many_types_by_their_ids_take_one_statement_for_each_type(seeded):
    ids = seeded.ask("""
        { jobs(first: 30) { nodes { id } } robots(first: 30) { nodes { id } } workflows(first: 20) { nodes { id } } }
    """).data
    mixed = [node["id"] for triple in zip(*(ids[name]["nodes"] for name in ids), strict=False) for node in triple]
    reply = seeded.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=mixed)
    assert [node["id"] for node in reply.data["nodes"]] == mixed
    assert reply.statements == 3
