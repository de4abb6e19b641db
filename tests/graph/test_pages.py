"""Pages, walked through the real server: together they are exactly the list that SQL gives, in both directions."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasources.jobs import JobOrder
from datasources.robots import RobotOrder
from datasources.statuses import JobStatus, RobotStatus

SHARED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PAGE_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"

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


def ordered(order, *, id):
    """The ORDER BY of an order, as a client would understand its description."""
    key, direction = order.value.key, "DESC" if order.value.descending else "ASC"
    return f"{key} {direction}, {id} {direction}"


def walk(graph, query, path, ids, *, backward, size, **variables):
    """Every id of a list in its order, a page after the other, and what each page tells of its ends held to account."""
    window = {"last": size} if backward else {"first": size}
    found, cursor = [], None
    while True:
        reply = graph.ask(query, **variables, **window, **{"before" if backward else "after": cursor}).data
        connection = reply
        for name in path:
            connection = connection[name]
        page, info = [node[ids] for node in connection["nodes"]], connection["pageInfo"]
        further, back = ("hasPreviousPage", "hasNextPage") if backward else ("hasNextPage", "hasPreviousPage")
        assert info[back] == (cursor is not None)
        found = page + found if backward else found + page
        if not info[further]:
            return found
        assert len(page) == size
        cursor = info["startCursor" if backward else "endCursor"]


JOBS = f"""
    query ($first: Int! = 50, $after: String, $last: Int, $before: String, $filter: JobFilter, $orderBy: JobOrder!) {{
      jobs(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {{
        nodes {{ jobId }} {PAGE_INFO} }} }}
"""


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


@pytest.fixture
def tied(graph):
    """A server over sixty jobs created at one moment."""
    graph.sql(TIES)
    graph.sql(ROBOTS)
    return graph


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


def test_a_walk_loses_nobody_while_new_jobs_come_in_at_the_front(tied):
    known = [row["job_id"] for row in tied.sql("SELECT job_id FROM monitor.jobs ORDER BY job_id DESC")]
    found, cursor, newer = [], None, 0
    while True:
        jobs = tied.ask(JOBS, first=9, after=cursor, orderBy="CREATED_AT_DESC").data["jobs"]
        found += [job["jobId"] for job in jobs["nodes"]]
        if not jobs["pageInfo"]["hasNextPage"]:
            break
        cursor, newer = jobs["pageInfo"]["endCursor"], newer + 1
        tied.sql(
            "INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)"
            " VALUES ($1, 'report', 'w', 'W', 'pending', 'new', now())",
            f"new-{newer}",
        )
    assert found == known
    first = tied.ask(JOBS, last=100, before=None, orderBy="CREATED_AT_DESC").data["jobs"]["nodes"][:newer]
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


def cursor_of(*content):
    return base64.urlsafe_b64encode(json.dumps(content[0] if len(content) == 1 else content).encode()).decode()


STRANGE = [
    "",
    "garbage",
    "ä",
    "\0",
    "====",
    "W10",
    base64.b64encode(b"\xff\xfe").decode(),
    base64.b64encode(b"[" * 5000).decode(),
    cursor_of(None),
    cursor_of(7),
    cursor_of({"list": 1, "key": 2, "id": 3}),
    cursor_of("abc"),
    cursor_of("jobs:CREATED_AT_DESC", "2026-01-01T00:00:00+00:00"),
    cursor_of("jobs:CREATED_AT_DESC", "2026-01-01T00:00:00+00:00", "j", "more"),
    cursor_of("jobs:CREATED_AT_DESC", 5, "j"),
    cursor_of("jobs:CREATED_AT_DESC", None, None),
    cursor_of("jobs:CREATED_AT_DESC", "2026-01-01T00:00:00+00:00", ["j"]),
    cursor_of("jobs:CREATED_AT_DESC", "2026-01-01T00:00:00+00:00", "NUL\0"),
    *(
        cursor_of("jobs:CREATED_AT_DESC", key, "j")
        for key in ("", "x", "infinity-", "now", "2026-13-01", "2026-W01-1", "1e400", "\0", "\ud800", "294277-01-01")
    ),
    cursor_of(["jobs:CREATED_AT_DESC"], "2026-01-01T00:00:00+00:00", "j"),
    cursor_of("jobs:COMPLETED_AT_DESC", "2026-01-01T00:00:00+00:00", "j"),
    cursor_of("jobs:CREATED_AT_ASC", "2026-01-01T00:00:00+00:00", "j"),
    cursor_of("robots:ROBOT_ID_ASC", "r", "r"),
    cursor_of("workflows", "w", "w"),
]


@pytest.mark.parametrize("cursor", STRANGE)
@pytest.mark.parametrize("argument", ["after", "before"])
def test_what_is_no_cursor_of_this_list_is_refused(seeded, cursor, argument):
    assert seeded.ask(JOBS, orderBy="CREATED_AT_DESC", **{argument: cursor}).codes == ["BAD_CURSOR"]


@pytest.mark.parametrize(
    ("query", "cursor"),
    [
        ("{ jobs(orderBy: DURATION_ASC, after: %s) { nodes { jobId } } }", cursor_of("jobs:DURATION_ASC", key, "j"))
        for key in ("1e400", "nan", "inf", "1_0", "x", "", " 1.0")
    ]
    + [
        ("{ robots(after: %s) { nodes { robotId } } }", cursor_of("robots:ROBOT_ID_ASC", "\0", "r")),
        (
            "{ robots(orderBy: LAST_HEARTBEAT_ASC, after: %s) { nodes { robotId } } }",
            cursor_of("robots:LAST_HEARTBEAT_ASC", "yesterday", "r"),
        ),
        ("{ workflows(after: %s) { nodes { workflowId } } }", cursor_of("workflows", "w", "\0")),
        ("{ workflows(after: %s) { nodes { workflowId } } }", cursor_of("jobs:CREATED_AT_DESC", "w", "w")),
        (
            '{ robot(robotId: "robot-001") { jobs(before: %s) { nodes { jobId } } } }',
            cursor_of("robots:ROBOT_ID_ASC", "r", "r"),
        ),
    ],
)
def test_a_key_that_its_order_cannot_have_is_refused(seeded, query, cursor):
    assert seeded.ask(query % json.dumps(cursor)).codes == ["BAD_CURSOR"]


@SHARED
@given(
    key=st.text(max_size=30) | st.floats().map(str) | st.datetimes().map(str),
    id=st.text(max_size=10),
    order=st.sampled_from(JobOrder),
)
def test_a_forged_cursor_finds_a_place_or_is_refused(seeded, key, id, order):
    reply = seeded.ask(JOBS, first=1, after=cursor_of(f"jobs:{order.name}", key, id), orderBy=order.name)
    assert reply.codes in ([], ["BAD_CURSOR"])


@SHARED
@given(data=st.data(), order=st.sampled_from(JobOrder))
def test_a_damaged_cursor_finds_a_place_or_is_refused(seeded, data, order):
    page = seeded.ask(JOBS, first=3, orderBy=order.name).data["jobs"]
    cursor = page["pageInfo"]["endCursor"]
    place = data.draw(st.integers(0, len(cursor) - 1))
    damaged = cursor[:place] + data.draw(st.sampled_from(["", "A", "-", "_", "=", "é", "\0"])) + cursor[place + 1 :]
    assert seeded.ask(JOBS, first=1, after=damaged, orderBy=order.name).codes in ([], ["BAD_CURSOR"])


@pytest.mark.parametrize("size", [0, -1, 101, -(2**31), 2**31 - 1])
@pytest.mark.parametrize(
    "query",
    [
        "{ jobs(first: %d) { nodes { jobId } } }",
        "{ jobs(last: %d) { nodes { jobId } } }",
        "{ robots(first: %d) { nodes { robotId } } }",
        "{ robots(last: %d) { nodes { robotId } } }",
        "{ workflows(first: %d) { nodes { workflowId } } }",
        '{ robot(robotId: "robot-001") { jobs(first: %d) { nodes { jobId } } } }',
        '{ workflow(workflowId: "credit-check") { jobs(last: %d) { nodes { jobId } } } }',
    ],
)
def test_a_page_size_out_of_range_is_refused(seeded, query, size):
    assert seeded.ask(query % size).codes == ["BAD_USER_INPUT"]
