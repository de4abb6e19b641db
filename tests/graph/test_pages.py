"""Pages, walked through the real server: together they are exactly the list that SQL gives, in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import serving
from walking import JOBS, PAGE_INFO, SHARED, ordered, walk

from datasources.jobs import JobOrder
from datasources.robots import RobotOrder
from datasources.statuses import JobStatus, RobotStatus

# Many jobs with one moment of creation, ties in every order, and a few that have not begun or not ended.
TIES = """
    INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
                              created_at, claimed_at, completed_at)
    SELECT format('%s-%s', chr(97 + n % 5), n), 'report', 'w' || n % 2, 'W', 'r' || n % 3, 'default',
           CASE WHEN n % 4 = 0 THEN 'pending' WHEN n % 4 = 1 THEN 'claimed' ELSE 'completed' END, 'as it is',
           '2026-01-01Z', CASE WHEN n % 4 > 0 THEN timestamptz '2026-01-01 00:01Z' END,
           CASE WHEN n % 4 > 1 THEN timestamptz '2026-01-01 00:02Z' + n % 4 * interval '0.000001 s' END
    FROM generate_series(1, 60) n
"""
ROBOTS = """
    INSERT INTO monitor.robots (robot_id, hostname, status, last_heartbeat, registered_at)
    SELECT 'r' || n, 'vm-' || n % 2, 'idle', CASE WHEN n > 1 THEN now() END, now() FROM generate_series(0, 2) n
"""


def sizes():
    return st.one_of(st.integers(1, 7), st.just(50), st.just(100))


@st.composite
def job_filters(draw):
    """A filter of jobs that leaves at most a few hundred of the seeded ones, and the same as SQL."""
    narrow = draw(
        st.sampled_from(
            [
                ({"status": ["FAILED"]}, "j.status = 'failed'"),
                ({"status": ["CANCELLED", "PENDING", "CLAIMED"]}, "j.status IN ('cancelled', 'pending', 'claimed')"),
                ({"robotId": "robot-003"}, "j.robot_id = 'robot-003'"),
                ({"workflowId": "credit-check"}, "j.workflow_id = 'credit-check'"),
                ({"errorType": "TimeoutError"}, "j.error_type = 'TimeoutError'"),
                ({"search": "ORDER c"}, "(j.workflow_name ILIKE '%order c%' OR j.error_message ILIKE '%order c%')"),
                ({"search": "no such text"}, "FALSE"),
            ]
        )
    )
    statuses = draw(st.none() | st.lists(st.sampled_from(JobStatus), max_size=5))
    environment = draw(st.none() | st.sampled_from(["production", "staging", "development", "nowhere"]))
    wanted, conditions = dict(narrow[0]), [narrow[1]]
    if statuses is not None and "status" not in wanted:
        wanted["status"] = [status.name for status in statuses]
        conditions.append("j.status = ANY(ARRAY[{}]::text[])".format(", ".join(f"'{status}'" for status in statuses)))
    if environment is not None:
        wanted["environment"] = environment
        conditions.append(f"j.environment = '{environment}'")
    return wanted, " AND ".join(conditions)


@SHARED
@given(order=st.sampled_from(JobOrder), wanted=job_filters(), size=st.integers(5, 100), backward=st.booleans())
def test_pages_of_jobs_make_the_list_that_sql_gives(seeded, order, wanted, size, backward):
    filter, condition = wanted
    rows = seeded.sql(f"SELECT j.job_id FROM monitor.jobs j WHERE {condition} ORDER BY {ordered(order, id='j.job_id')}")
    found = walk(seeded, JOBS, ["jobs"], "jobId", backward=backward, size=size, filter=filter, orderBy=order.name)
    assert found == [row["job_id"] for row in rows]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("order", JobOrder)
def test_the_whole_list_of_jobs_has_nobody_twice_and_nobody_missing(seeded, order, backward):
    rows = seeded.sql(f"SELECT j.job_id FROM monitor.jobs j ORDER BY {ordered(order, id='j.job_id')}")
    found = walk(seeded, JOBS, ["jobs"], "jobId", backward=backward, size=100, orderBy=order.name)
    assert found == [row["job_id"] for row in rows]


@SHARED
@given(
    order=st.sampled_from(JobOrder),
    owner=st.sampled_from([("robot", "robotId", "robot_id"), ("workflow", "workflowId", "workflow_id")]),
    status=st.none() | st.sets(st.sampled_from(JobStatus), min_size=1),
    size=sizes().filter(lambda size: size > 3),
    backward=st.booleans(),
)
def test_pages_of_one_robot_s_or_workflow_s_jobs_make_their_list(seeded, order, owner, status, size, backward):
    field, argument, column = owner
    parent = {"robot": "robot-005", "workflow": "travel-booking"}[field]
    statuses = JobStatus if status is None else status
    rows = seeded.sql(
        f"SELECT j.job_id FROM monitor.jobs j WHERE j.{column} = $1 AND j.status = ANY($2::text[])"
        f" ORDER BY {ordered(order, id='j.job_id')}",
        parent,
        list(statuses),
    )
    query = f"""
        query ($parent: ID!, $first: Int! = 50, $after: String, $last: Int, $before: String, $filter: JobFilter,
               $orderBy: JobOrder!) {{
          {field}({argument}: $parent) {{
            jobs(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {{
              nodes {{ jobId }} {PAGE_INFO} }} }} }}
    """
    found = walk(
        seeded,
        query,
        [field, "jobs"],
        "jobId",
        backward=backward,
        size=size,
        parent=parent,
        filter=None if status is None else {"status": [each.name for each in status]},
        orderBy=order.name,
    )
    assert found == [row["job_id"] for row in rows]


@SHARED
@given(
    order=st.sampled_from(RobotOrder),
    environment=st.none() | st.sampled_from(["production", "staging"]),
    status=st.none() | st.sets(st.sampled_from(RobotStatus)),
    size=sizes(),
    backward=st.booleans(),
)
def test_pages_of_robots_make_the_list_that_sql_gives(seeded, order, environment, status, size, backward):
    silent = "coalesce(r.last_heartbeat, r.registered_at) < now() - interval '1 day'"
    rows = seeded.sql(
        "SELECT r.robot_id FROM monitor.robots r WHERE ($1::text IS NULL OR r.environment = $1)"
        f" AND ($2::text[] IS NULL OR CASE WHEN {silent} THEN 'offline' ELSE r.status END = ANY($2))"
        f" ORDER BY {ordered(order, id='r.robot_id')}",
        environment,
        None if status is None else list(status),
    )
    query = f"""
        query ($first: Int! = 50, $after: String, $last: Int, $before: String, $filter: RobotFilter,
               $orderBy: RobotOrder!) {{
          robots(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {{
            nodes {{ robotId }} {PAGE_INFO} }} }}
    """
    filter = {"environment": environment, "status": None if status is None else [each.name for each in status]}
    found = walk(seeded, query, ["robots"], "robotId", backward=backward, size=size, filter=filter, orderBy=order.name)
    assert found == [row["robot_id"] for row in rows]


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("search", [None, "in", "nothing of the kind"])
def test_pages_of_workflows_make_the_list_that_sql_gives(seeded, size, search):
    rows = seeded.sql(
        "SELECT DISTINCT workflow_id FROM monitor.jobs WHERE workflow_id ILIKE $1 OR workflow_name ILIKE $1 ORDER BY 1",
        f"%{search or ''}%",
    )
    query = f"""
        query ($first: Int!, $after: String, $search: String) {{
          workflows(first: $first, after: $after, search: $search) {{ nodes {{ workflowId }} {PAGE_INFO} }} }}
    """
    found = walk(seeded, query, ["workflows"], "workflowId", backward=False, size=size, search=search)
    assert found == [row["workflow_id"] for row in rows]


@pytest.fixture(scope="module")
def tied(migrated):
    """A server over sixty jobs created at one moment, for tests that only read."""
    with migrated() as dsn, serving(dsn) as graph:
        graph.sql(TIES)
        graph.sql(ROBOTS)
        yield graph


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("order", JobOrder)
def test_ties_and_missing_times_are_told_apart_by_the_id(tied, order, backward):
    rows = tied.sql(f"SELECT j.job_id FROM monitor.jobs j ORDER BY {ordered(order, id='j.job_id')}")
    for size in (1, 7, 60):
        found = walk(tied, JOBS, ["jobs"], "jobId", backward=backward, size=size, orderBy=order.name)
        assert found == [row["job_id"] for row in rows]


@pytest.mark.parametrize("order", RobotOrder)
def test_robots_with_one_host_or_no_heartbeat_are_told_apart(tied, order):
    rows = tied.sql(f"SELECT r.robot_id FROM monitor.robots r ORDER BY {ordered(order, id='r.robot_id')}")
    query = f"""
        query ($first: Int!, $after: String, $orderBy: RobotOrder!) {{
          robots(first: $first, after: $after, orderBy: $orderBy) {{ nodes {{ robotId }} {PAGE_INFO} }} }}
    """
    found = walk(tied, query, ["robots"], "robotId", backward=False, size=1, orderBy=order.name)
    assert found == [row["robot_id"] for row in rows]


def test_a_walk_loses_nobody_while_new_jobs_come_in_at_the_front(graph):
    graph.sql(TIES)
    known = [row["job_id"] for row in graph.sql("SELECT job_id FROM monitor.jobs ORDER BY job_id DESC")]
    found, cursor, newer = [], None, 0
    while True:
        jobs = graph.ask(JOBS, first=9, after=cursor, orderBy="CREATED_AT_DESC").data["jobs"]
        found += [job["jobId"] for job in jobs["nodes"]]
        if not jobs["pageInfo"]["hasNextPage"]:
            break
        cursor, newer = jobs["pageInfo"]["endCursor"], newer + 1
        graph.sql(
            "INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)"
            " VALUES ($1, 'report', 'w', 'W', 'pending', 'new', now())",
            f"new-{newer}",
        )
    assert found == known
    first = graph.ask(JOBS, last=100, before=None, orderBy="CREATED_AT_DESC").data["jobs"]["nodes"][:newer]
    assert [job["jobId"] for job in first] == [f"new-{number}" for number in range(newer, 0, -1)]


def test_a_page_between_two_cursors_holds_what_lies_between(tied):
    edges = tied.ask("{ jobs(first: 60) { edges { cursor node { jobId } } } }").data["jobs"]["edges"]
    after, before = edges[10]["cursor"], edges[20]["cursor"]
    between = [edge["node"]["jobId"] for edge in edges[11:20]]
    for window, expected, info in (
        ({"first": 50}, between, {"hasNextPage": True, "hasPreviousPage": True}),
        ({"first": 3}, between[:3], {"hasNextPage": True, "hasPreviousPage": True}),
        ({"last": 3}, between[-3:], {"hasNextPage": True, "hasPreviousPage": True}),
        ({"last": 9}, between, {"hasNextPage": True, "hasPreviousPage": True}),
    ):
        jobs = tied.ask(JOBS, **window, after=after, before=before, orderBy="CREATED_AT_DESC").data["jobs"]
        assert [job["jobId"] for job in jobs["nodes"]] == expected
        assert {name: jobs["pageInfo"][name] for name in info} == info


def test_an_empty_list_has_no_cursors_and_goes_nowhere(graph):
    jobs = graph.ask(JOBS, orderBy="CREATED_AT_DESC").data["jobs"]
    assert jobs == {
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }
