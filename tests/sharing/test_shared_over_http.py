"""Shared answers over HTTP: what is shared, by whom, and what it costs them."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from typing import Any

import httpx
from repeating import JOBS, counted, new_job, ready, statements
from serving import Graph, eventually
from sighted import SETTINGS, bearing

MESSAGES = "{ jobs { nodes { jobId environment errorMessage } } }"
TOTAL = "{ jobs { totalCount } }"


def asking_at_once(graph: Graph, query: str, times: int) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=graph.url, timeout=30) as client:
            return await asyncio.gather(*(client.post("/graphql", json={"query": query}) for _ in range(times)))

    return asyncio.run(run())


def test_fifty_who_ask_at_once_are_one_execution(graph: Graph) -> None:
    new_job(graph, "j1")
    before = counted(graph)
    responses = asking_at_once(graph, JOBS, 50)
    assert {response.text for response in responses} == {responses[0].text}
    taken = [int(re.search(r'desc="(\d+)', response.headers["server-timing"])[1]) for response in responses]
    assert sum(taken) == 2  # a page and its total
    eventually(lambda: sum(counted(graph)[kind] - before[kind] for kind in ("executed", "shared", "reused")) >= 50)
    assert counted(graph)["executed"] - before["executed"] <= 2  # with the last that made it ready, maybe


def test_what_is_written_here_is_read_here_at_once(graph: Graph) -> None:
    for number in range(30):
        job = {"jobId": f"j{number}", "workflowId": "w", "status": "PENDING"}
        graph.ask("mutation($input: JobReportInput!) { reportJob(input: $input) { outcome } }", input=job)
        assert graph.ask(TOTAL).data["jobs"]["totalCount"] == number + 1


def test_what_others_write_is_read_at_once(graph: Graph) -> None:
    new_job(graph, "j1")
    for number in range(30):
        graph.sql("UPDATE monitor.jobs SET progress_percent = $1", float(number))
        assert graph.ask(JOBS).data["jobs"]["nodes"][0]["progressPercent"] == number
    graph.sql("DELETE FROM monitor.jobs")
    assert graph.ask(JOBS).data["jobs"]["totalCount"] == 0


def test_scopes_and_masking_share_nothing(serve: Callable[..., Any]) -> None:
    with serve(**SETTINGS) as graph:
        new_job(graph, "j1", environment="a", status="failed", error_message="said in a")
        new_job(graph, "j2", environment="b", status="failed", error_message="said in b")
        viewers = [
            bearing(role, environments)
            for role in ("viewer", "operator")
            for environments in (None, ("a",), ("b",), ("a", "b"), ())
        ]
        ready(graph, **viewers[0])

        def answers() -> list[Any]:
            return [graph.http.post("/graphql", json={"query": MESSAGES}, headers=each).json() for each in viewers]

        first = answers()
        assert all(answers() == first for _ in range(3))
        seen = [{(job["environment"], job["errorMessage"]) for job in each["data"]["jobs"]["nodes"]} for each in first]
        masked, told = {"a": ("a", None), "b": ("b", None)}, {"a": ("a", "said in a"), "b": ("b", "said in b")}
        assert seen == [
            {shown[name] for name in names} for shown in (masked, told) for names in ("ab", "a", "b", "ab", "")
        ]


def test_whoever_may_not_ask_gets_no_answer_that_is_kept(serve: Callable[..., Any]) -> None:
    with serve(**SETTINGS) as graph:
        ready(graph, **bearing("viewer"))
        for _ in range(2):
            assert graph.http.post("/graphql", json={"query": TOTAL}, headers=bearing("viewer")).status_code == 200
            assert graph.http.post("/graphql", json={"query": TOTAL}).status_code == 401
            assert graph.http.post("/graphql", json={"query": TOTAL}, headers=bearing("robot")).status_code == 403


def test_everybody_pays_for_what_they_are_given(serve: Callable[..., Any]) -> None:
    with serve(rate_limits="on", rate_limit_cost=2000, max_query_cost=500, workers=1) as graph:
        codes = [code for _ in range(600) for code in graph.ask(TOTAL).codes]
    assert set(codes) == {"RATE_LIMITED"}


def test_different_variables_and_operations_are_different_questions(graph: Graph) -> None:
    for number in range(3):
        new_job(graph, f"j{number}")
    query = "query A($first: Int!) { jobs(first: $first) { nodes { jobId } } } query B { jobs { totalCount } }"

    def ask(name: str, **variables: int) -> Any:
        sent = {"query": query, "operationName": name, "variables": variables}
        return graph.http.post("/graphql", json=sent).json()["data"]["jobs"]

    for _ in range(2):
        assert [len(ask("A", first=first)["nodes"]) for first in (1, 2, 3)] == [1, 2, 3]
        assert ask("B") == {"totalCount": 3}


def test_tags_tell_what_is_written(graph: Graph) -> None:
    sha256 = hashlib.sha256(TOTAL.encode()).hexdigest()
    extensions = f'{{"persistedQuery": {{"version": 1, "sha256Hash": "{sha256}"}}}}'
    asked = {"extensions": extensions}
    tag = graph.http.get("/graphql", params={"query": TOTAL, **asked}).headers["etag"]
    assert graph.http.get("/graphql", params=asked).headers["etag"] == tag
    assert graph.http.get("/graphql", params=asked, headers={"If-None-Match": tag}).status_code == 304
    new_job(graph, "j1")
    changed = graph.http.get("/graphql", params=asked, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()) == (200, {"data": {"jobs": {"totalCount": 1}}})


def test_media_types_of_one_answer_differ(graph: Graph) -> None:
    for _ in range(2):
        for kind in ("application/json", "application/graphql-response+json"):
            response = graph.http.post("/graphql", json={"query": TOTAL}, headers={"Accept": kind})
            assert response.headers["content-type"] == f"{kind}; charset=utf-8"
            assert response.json() == {"data": {"jobs": {"totalCount": 0}}}


def test_who_looks_at_the_clock_or_at_oneself_is_answered_anew(graph: Graph) -> None:
    for query in ("{ fleet { asOf } }", "{ viewer { name } jobs { totalCount } }", "{ analytics { asOf } }"):
        assert graph.ask(query).data.keys() == graph.ask(query).data.keys()
    kept = counted(graph)["kept"]
    before = graph.ask("{ fleet { asOf } }").body
    eventually(lambda: graph.ask("{ fleet { asOf } }").body != before)  # as of when the feed was looked at
    assert graph.ask("{ analytics { asOf } }").body != graph.ask("{ analytics { asOf } }").body
    assert counted(graph)["kept"] == kept


def test_rest_is_told_the_same(graph: Graph) -> None:
    new_job(graph, "j1", error_message="said")
    first = graph.http.get("/api/v1/metrics/jobs")
    again = graph.http.get("/api/v1/metrics/jobs")
    assert first.status_code == 200
    assert again.content == first.content
    graph.sql("UPDATE monitor.jobs SET priority = 7")
    assert graph.http.get("/api/v1/metrics/jobs").status_code == 200


def test_a_setting_turns_it_off(serve: Callable[..., Any]) -> None:
    with serve(share_answers=False) as graph:
        assert [statements(graph, JOBS) for _ in range(4)] == [2] * 4
        assert counted(graph) == {}
        backends = graph.sql(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE application_name = 'casare-monitor snapshots' AND datname = current_database()"
        )
        assert backends == []
