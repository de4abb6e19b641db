"""How the REST paths read requests and say what is wrong with them."""

import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Graph, serving

ROOT = "/api/v1/metrics"
NEXT = re.compile(r'<([^>]+)>; rel="next"')


def get(graph: Graph, path: str, **headers: str) -> httpx.Response:
    return graph.http.get(f"{ROOT}/{path}", headers=headers)


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["correlation_id"] == answer.headers["x-request-id"]
    return body


def ids(answer: httpx.Response) -> list[str]:
    return [item["job_id"] for item in answer.json()]


def test_a_list_of_jobs_has_50_unless_it_is_told_otherwise(seeded_rest: Graph) -> None:
    assert len(ids(get(seeded_rest, "jobs"))) == 50
    assert len(ids(get(seeded_rest, "jobs?limit=1"))) == 1
    assert len(ids(get(seeded_rest, "jobs?limit=500"))) == 500


def test_a_list_longer_than_a_page_of_the_graph_has_each_item_once(seeded_rest: Graph) -> None:
    found = ids(get(seeded_rest, "jobs?limit=230"))
    newest = seeded_rest.sql("SELECT job_id FROM monitor.jobs ORDER BY created_at DESC, job_id DESC LIMIT 230")
    assert found == [row["job_id"] for row in newest]


def test_the_next_links_lead_through_the_whole_list(seeded_rest: Graph) -> None:
    found, link = [], f"{ROOT}/jobs?limit=500&status=completed&count=true"
    while link:
        answer = seeded_rest.http.get(link)
        found += ids(answer)
        match = NEXT.fullmatch(answer.headers.get("link", ""))
        link = match[1] if match else ""
    assert len(found) == len(set(found)) == int(answer.headers["x-total-count"])
    assert "link" not in answer.headers


@pytest.mark.parametrize("path", ["jobs", "robots"])
def test_a_list_is_counted_only_when_asked_for(seeded_rest: Graph, path: str) -> None:
    assert "x-total-count" not in get(seeded_rest, path).headers
    assert "x-total-count" not in get(seeded_rest, f"{path}?count=false").headers
    assert int(get(seeded_rest, f"{path}?count=true").headers["x-total-count"]) in {100, 3000}


def test_all_robots_are_listed_unless_a_status_is_named(seeded_rest: Graph) -> None:
    robots = get(seeded_rest, "robots").json()
    by_status = [get(seeded_rest, f"robots?status={word}").json() for word in ("idle", "busy", "offline", "failed")]
    assert len(robots) == sum(map(len, by_status)) == 100


def test_running_is_another_word_for_claimed(standing_fleet: Graph) -> None:
    assert ids(get(standing_fleet, "jobs?status=running")) == ids(get(standing_fleet, "jobs?status=claimed")) != []


@pytest.mark.parametrize("empty", ["jobs?status=&workflow_id=&robot_id=&after=", "robots?status=", "activity?since="])
def test_an_empty_filter_is_none(standing_fleet: Graph, empty: str) -> None:
    assert get(standing_fleet, empty).json() == get(standing_fleet, empty.partition("?")[0]).json()


def test_a_parameter_that_is_not_known_does_not_matter(standing_fleet: Graph) -> None:
    assert get(standing_fleet, "jobs?_=1732223").json() == get(standing_fleet, "jobs").json()


def test_activity_is_told_since_it_happened_and_newest_first(standing_fleet: Graph) -> None:
    events = get(standing_fleet, "activity").json()["events"]
    times = [event["timestamp"] for event in events]
    assert times == sorted(times, reverse=True)
    since = get(standing_fleet, f"activity?since={times[1]}").json()
    assert since == {"events": events[:2], "total": 2}
    assert get(standing_fleet, f"activity?since={times[1].removesuffix('Z')}").json() == since


def test_no_schedule_is_known(standing_fleet: Graph) -> None:
    assert get(standing_fleet, "activity?event_type=schedule_triggered").json() == {"events": [], "total": 0}


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("jobs?limit=0", "limit"),
        ("jobs?limit=501", "limit"),
        ("jobs?limit=-1", "limit"),
        ("jobs?limit=", "limit"),
        ("jobs?limit=5.0", "limit"),
        ("jobs?limit=%D9%A5", "limit"),
        ("jobs?limit=5&limit=6", "limit"),
        ("jobs?limit=" + "9" * 5000, "limit"),
        ("jobs?status=COMPLETED", "status"),
        ("jobs?status=done", "status"),
        ("jobs?workflow_id=" + "x" * 256, "workflow_id"),
        ("jobs?robot_id=a%00b", "robot_id"),
        ("jobs?after=nonsense", "after"),
        ("jobs?after=" + "A" * 5000, "after"),
        ("jobs?count=yes", "count"),
        ("robots?status=claimed", "status"),
        ("robots/a%00b", "robot_id"),
        ("jobs/" + "x" * 256, "job_id"),
        ("analytics?days=0", "days"),
        ("analytics?days=91", "days"),
        ("activity?limit=201", "limit"),
        ("activity?since=yesterday", "since"),
        ("activity?since=2026-13-01T00:00:00Z", "since"),
        ("activity?since=0001-01-01T00:00:00%2B10:00", "since"),
        ("activity?event_type=job_queued", "event_type"),
        ("activity?after=WyJhY3Rpdml0eSIsIjIwMjYtMDEtMDFUMDA6MDA6MDArMDA6MDAiLCJ4Il0", "after"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(seeded_rest: Graph, path: str, parameter: str) -> None:
    answer = get(seeded_rest, path)
    told = problem(answer)
    assert answer.status_code == 422
    assert told["parameter"] == parameter
    assert parameter in told["detail"]
    assert len(answer.content) < 1000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=st.text(min_size=1, max_size=60))
def test_whatever_is_no_cursor_is_refused(seeded_rest: Graph, after: str) -> None:
    answer = seeded_rest.http.get(f"{ROOT}/jobs", params={"after": after.encode(errors="replace")})
    assert problem(answer)["parameter"] == "after"


@pytest.mark.parametrize(
    "path",
    [
        "robots/none",
        "jobs/none",
        "jobs/a%2Fb",
        "jobs/%FF",
        "jobs/j-bad%0A",
        "robots/%0A1",
        "robots/",
        "jobs/a/b",
        "x",
        "x%0A",
    ],
)
def test_what_is_unknown_is_not_found(standing_fleet: Graph, path: str) -> None:
    answer = get(standing_fleet, path)
    assert answer.status_code == 404
    assert problem(answer)["code"] == "NOT_FOUND"


def test_an_id_may_hold_whatever_a_source_put_into_it(small_fleet: Graph) -> None:
    small_fleet.sql("UPDATE monitor.jobs SET job_id = 'a/b ?ü' WHERE job_id = 'j-wait'")
    assert get(small_fleet, "jobs/a%2Fb%20%3F%C3%BC").json()["job_id"] == "a/b ?ü"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(standing_fleet: Graph, method: str) -> None:
    answer = standing_fleet.http.request(method, f"{ROOT}/fleet")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert problem(answer)["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("path", ["jobs/j-bad", "jobs?limit=2", "robots", "jobs?count=true"])
def test_an_answer_that_is_known_is_not_sent_again(standing_fleet: Graph, path: str) -> None:
    first = get(standing_fleet, path)
    tag = first.headers["etag"]
    for known in (tag, f'W/{tag}, "other"', "*"):
        again = get(standing_fleet, path, **{"if-none-match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
    assert get(standing_fleet, path, **{"if-none-match": '"other"'}).content == first.content


def test_an_answer_that_has_changed_has_another_tag(small_fleet: Graph) -> None:
    tag = get(small_fleet, "jobs?limit=2").headers["etag"]
    small_fleet.sql("UPDATE monitor.jobs SET status = 'cancelled', completed_at = now() WHERE job_id = 'j-wait'")
    assert get(small_fleet, "jobs?limit=2", **{"if-none-match": tag}).status_code == 200


def test_a_head_is_an_answer_without_its_body(standing_fleet: Graph) -> None:
    answer, head = get(standing_fleet, "jobs"), standing_fleet.http.head(f"{ROOT}/jobs")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["etag"] == answer.headers["etag"]
    assert head.headers["content-length"] == answer.headers["content-length"]


def test_the_id_of_a_request_is_the_callers(standing_fleet: Graph) -> None:
    assert get(standing_fleet, "fleet", **{"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert problem(get(standing_fleet, "x", **{"x-request-id": "mine-2"}))["correlation_id"] == "mine-2"


def test_a_database_that_is_away_is_told_with_when_to_come_back() -> None:
    with serving("postgresql://nobody:secret@127.0.0.1:1/none", connect_timeout_seconds=1) as graph:
        answer = get(graph, "fleet")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert problem(answer)["code"] == "UPSTREAM_UNAVAILABLE"
    assert "secret" not in answer.text


def test_what_takes_too_long_is_given_up(dsn: str) -> None:
    with serving(dsn, operation_timeout_seconds=0.0001) as graph:
        answer = get(graph, "jobs")
    assert answer.status_code == 504
    assert problem(answer)["code"] == "UPSTREAM_TIMEOUT"


def test_a_failure_of_ours_is_masked(bare: Graph) -> None:
    bare.sql("ALTER TABLE monitor.healing_events RENAME TO elsewhere")
    answer = get(bare, "analytics")
    assert answer.status_code == 500
    assert problem(answer)["code"] == "INTERNAL_SERVER_ERROR"
    assert "healing" not in answer.text
