"""Rate limits as callers of the REST paths meet them."""

from collections.abc import Callable

import pytest
from serving import serving

from graph.transports.rest import DOCUMENT

LIMITS = {
    "/metrics/fleet": 100,
    "/metrics/robots": 100,
    "/metrics/robots/r1": 200,
    "/metrics/jobs": 50,
    "/metrics/jobs/j1": 200,
    "/metrics/analytics": 20,
    "/metrics/activity": 60,
}


@pytest.fixture
def limited(dsn):
    with serving(dsn, rate_limits="on") as graph:
        yield graph


@pytest.mark.parametrize(("path", "limit"), LIMITS.items())
def test_each_path_answers_as_often_a_minute_as_the_documents_say(limited, path, limit):
    statuses = [limited.http.get(f"/api/v1{path}").status_code for _ in range(limit + 2)]
    assert {429} == set(statuses[limit:])
    assert 429 not in statuses[:limit]


def test_who_asks_too_often_is_told_when_to_come_back(limited):
    for _ in range(20):
        last = limited.http.get("/api/v1/metrics/analytics")
    assert last.headers["ratelimit-limit"] == "20"
    assert last.headers["ratelimit-remaining"] == "0"
    refused = limited.http.get("/api/v1/metrics/analytics")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "RATE_LIMITED"
    assert refused.json()["detail"].startswith("This path answers each caller 20 times a minute, and has. Try again in")
    assert 50 < int(refused.headers["retry-after"]) <= 65
    assert refused.headers["ratelimit-remaining"] == "0"


def test_paths_do_not_share_a_limit(limited):
    for _ in range(21):
        limited.http.get("/api/v1/metrics/analytics")
    assert limited.http.get("/api/v1/metrics/fleet").status_code == 200


def test_two_workers_share_a_limit(dsn):
    with serving(dsn, rate_limits="on") as one, serving(dsn, rate_limits="on") as other:
        statuses = [worker.http.get("/api/v1/metrics/jobs").status_code for _ in range(40) for worker in (one, other)]
    assert 40 <= statuses.count(200) <= 50
    assert set(statuses) == {200, 429}


def test_rest_pays_what_its_operation_costs_once(dsn):
    def standing() -> dict[str, int]:
        return graph.ask("{ viewer { rateLimit { remaining cost } } }").data["viewer"]["rateLimit"]

    def spent_on(ask: Callable[[], object]) -> int:
        before = standing()
        ask()
        after = standing()
        return before["remaining"] - after["remaining"] - after["cost"]

    with serving(dsn, rate_limits="on") as graph:
        body = {"query": DOCUMENT, "operationName": "Fleet"}
        over_rest = spent_on(lambda: graph.http.get("/api/v1/metrics/fleet").raise_for_status())
        assert over_rest == spent_on(lambda: graph.http.post("/graphql", json=body).raise_for_status()) > 5


def test_who_has_spent_their_cost_is_told_so_over_rest(dsn):
    with serving(dsn, rate_limits="on", rate_limit_cost=500, max_query_cost=500) as graph:
        answers = [graph.http.get("/api/v1/metrics/fleet") for _ in range(99)]
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert refused.status_code == 429
    assert refused.json()["detail"].startswith("Operations may cost 500 a minute, and yours have.")
    assert int(refused.headers["retry-after"]) > 50


def test_an_open_server_limits_nobody(dsn):
    with serving(dsn) as graph:
        answers = [graph.http.get("/api/v1/metrics/analytics") for _ in range(25)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit-limit" in answer.headers for answer in answers)
