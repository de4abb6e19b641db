"""Cursors and sizes of pages that somebody made up, forged or damaged: refused, or a place like any other."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from walking import JOBS, SHARED

from datasources.jobs import JobOrder


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
