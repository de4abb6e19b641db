"""The schema: what was promised is there, all of it is described, and the committed file tells the truth."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
)

from graph.schema import build_schema, core, sdl
from graph.streams.topic import Topic

SCHEMA = core(build_schema())

# The issue's own words: `name: type` for each field, `name(argument: type): type` where there are arguments.
PAGE = "first: Int!, after: String, last: Int, before: String"
PROMISED = {
    "Query": f"""
        fleet(environment: String): Fleet!
        robot(robotId: ID!): Robot
        robots({PAGE}, filter: RobotFilter, orderBy: RobotOrder): RobotConnection!
        job(jobId: ID!): Job
        jobs({PAGE}, filter: JobFilter, orderBy: JobOrder): JobConnection!
        workflow(workflowId: ID!): Workflow
        workflows(first: Int!, after: String, search: String): WorkflowConnection!
        analytics(window: TimeWindow, workflowId: ID, robotId: ID, environment: String, exact: Boolean!): Analytics!
        node(id: ID!): Node
        nodes(ids: [ID!]!): [Node]!
    """,
    "Mutation": """
        registerRobot(input: RegisterRobotInput!): RegisterRobotResult!
        reportHeartbeats(input: [HeartbeatInput!]!): ReportHeartbeatsResult!
        reportJob(input: JobReportInput!): ReportJobResult!
        reportNodeExecutions(input: NodeExecutionsInput!): ReportNodeExecutionsResult!
    """,
    "Fleet": """
        totalRobots: Int!
        activeRobots: Int!
        idleRobots: Int!
        offlineRobots: Int!
        failedRobots: Int!
        activeJobs: Int!
        queueDepth: Int!
        totalJobsToday: Int!
        averageJobDurationSeconds: Float
        oldestPendingSeconds: Float
        asOf: DateTime!
        stale: Boolean!
    """,
    "Robot": f"""
        id: ID!
        robotId: ID!
        hostname: String!
        environment: String!
        status: RobotStatus!
        cpuPercent: Float
        memoryMb: Float
        memoryPercent: Float
        lastHeartbeat: DateTime
        registeredAt: DateTime!
        currentJobId: ID
        currentJob: Job
        jobsCompletedToday: Int!
        jobsFailedToday: Int!
        averageJobDurationSeconds: Float
        capabilities: [String!]!
        jobs({PAGE}, filter: JobFilter, orderBy: JobOrder): JobConnection!
        heartbeats(last: Int!): [RobotHeartbeat!]!
    """,
    "Job": """
        id: ID!
        jobId: ID!
        workflowId: ID!
        workflowName: String!
        workflow: Workflow!
        robotId: ID
        robot: Robot
        status: JobStatus!
        rawStatus: String!
        source: String!
        priority: Int!
        environment: String!
        createdAt: DateTime!
        claimedAt: DateTime
        completedAt: DateTime
        durationMs: Float
        queueWaitMs: Float
        errorType: String
        errorMessage: String
        retryCount: Int!
        maxRetries: Int
        progressPercent: Float
        currentNode: String
        nodeExecutions(first: Int!, after: Int!): [NodeExecution!]!
    """,
    "NodeExecution": """
        nodeId: ID!
        nodeType: String!
        position: Int!
        status: NodeStatus!
        success: Boolean
        startedAt: DateTime
        completedAt: DateTime
        durationMs: Float
        errorType: String
        errorMessage: String
        retryCount: Int!
    """,
    "Workflow": f"""
        id: ID!
        workflowId: ID!
        workflowName: String!
        jobs({PAGE}, filter: JobFilter, orderBy: JobOrder): JobConnection!
        analytics(window: TimeWindow, exact: Boolean!): Analytics!
        lastRunAt: DateTime!
    """,
    "Analytics": """
        totalJobs: Int!
        successRate: Float
        failureRate: Float
        averageDurationMs: Float
        p50DurationMs: Float
        p90DurationMs: Float
        p95DurationMs: Float
        p99DurationMs: Float
        slowestWorkflows: [SlowestWorkflow!]!
        errorDistribution: [ErrorTypeCount!]!
        selfHealingSuccessRate: Float
        asOf: DateTime!
    """,
    "SlowestWorkflow": "workflowId: ID!\nworkflowName: String!\naverageDurationMs: Float!\nruns: Int!",
    "ErrorTypeCount": "errorType: String!\ncount: Int!",
    "JobFilter": """
        status: [JobStatus!]
        workflowId: ID
        robotId: ID
        environment: String
        errorType: String
        source: String
        createdAt: TimeRange
        completedAt: TimeRange
        search: String
    """,
    "TimeWindow": "last: Duration\nbetween: TimeSpan",
    "TimeSpan": "from: DateTime!\nto: DateTime!",
    "JobConnection": "edges: [JobEdge!]!\nnodes: [Job!]!\npageInfo: PageInfo!\ntotalCount: Int!",
}
WORDS = {
    "RobotStatus": ["BUSY", "FAILED", "IDLE", "OFFLINE"],
    "JobStatus": ["CANCELLED", "CLAIMED", "COMPLETED", "FAILED", "PENDING"],
}


def ours() -> list[GraphQLNamedType]:
    return [
        type_
        for type_ in SCHEMA.type_map.values()
        if not is_introspection_type(type_) and not is_specified_scalar_type(type_)
    ]


def described() -> Iterator[tuple[str, str | None]]:
    """Everything that has a place for a description, by its schema coordinate."""
    for type_ in ours():
        yield type_.name, type_.description
        if isinstance(type_, GraphQLEnumType):
            for name, value in type_.values.items():
                yield f"{type_.name}.{name}", value.description
        elif isinstance(type_, GraphQLInputObjectType):
            for name, input_field in type_.fields.items():
                yield f"{type_.name}.{name}", input_field.description
        elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field.description
                for argument, details in field.args.items():
                    yield f"{type_.name}.{name}({argument}:)", details.description


def signatures(name: str) -> set[str]:
    """The fields of a type in the words of PROMISED; what has a default may be left out, whatever its type says."""
    type_ = SCHEMA.type_map[name]
    if isinstance(type_, GraphQLInputObjectType):
        return {f"{field}: {details.type}" for field, details in type_.fields.items()}
    assert isinstance(type_, GraphQLObjectType)
    found = set()
    for field, details in type_.fields.items():
        arguments = ", ".join(
            f"{argument}: {str(given.type).rstrip('!') if argument == 'orderBy' else given.type}"
            for argument, given in details.args.items()
        )
        found.add(f"{field}({arguments}): {details.type}" if arguments else f"{field}: {details.type}")
    return found


@pytest.mark.parametrize("name", PROMISED)
def test_a_type_has_the_fields_that_were_promised(name: str) -> None:
    promised = {line.strip() for line in PROMISED[name].splitlines() if line.strip()}
    assert promised - signatures(name) == set()


@pytest.mark.parametrize("name", WORDS)
def test_a_status_has_the_words_of_the_documents(name: str) -> None:
    type_ = SCHEMA.type_map[name]
    assert isinstance(type_, GraphQLEnumType)
    assert sorted(type_.values) == WORDS[name]


@pytest.mark.parametrize("name", ["Job", "Robot", "Workflow"])
def test_what_has_a_global_id_is_a_node(name: str) -> None:
    type_ = SCHEMA.type_map[name]
    assert isinstance(type_, GraphQLObjectType)
    assert [interface.name for interface in type_.interfaces] == ["Node"]


def test_a_window_of_time_is_one_or_the_other() -> None:
    assert "input TimeWindow @oneOf {" in sdl()


@pytest.mark.parametrize("field", ["robots", "jobs", "workflows"])
def test_a_page_has_fifty_items_unless_told_otherwise(field: str) -> None:
    assert SCHEMA.query_type is not None
    assert SCHEMA.query_type.fields[field].args["first"].default_value == 50


def test_what_has_a_cursor_is_told_from_the_ledger_and_nothing_else_is() -> None:
    assert SCHEMA.subscription_type is not None
    fields = SCHEMA.subscription_type.fields
    with_cursor = {name for name, field in fields.items() if "cursor" in get_named_type(field.type).fields}
    assert with_cursor == {name for name in fields if Topic(name, None, None, frozenset()).on_ledger}


def test_everything_is_described() -> None:
    assert [place for place, text in described() if not (text or "").strip()] == []


def test_what_is_measured_names_its_unit() -> None:
    units = {"Ms": "millisecond", "Seconds": "second", "Percent": "percent", "Rate": "percent", "Mb": "megabyte"}
    unnamed = []
    for place, text in described():
        for ending, unit in units.items():
            if place.endswith(ending) and unit not in (text or ""):
                unnamed.append(place)
    assert unnamed == []


def test_the_committed_schema_is_the_schema() -> None:
    written = (Path(__file__).parents[2] / "schema.graphql").read_text(encoding="utf-8")
    assert written == sdl(), "run `make schema`"
