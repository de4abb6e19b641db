"""Where credentials are found, where they are not looked for, and what is told of those that are refused."""

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import Graph, eventually, serving
from tokens_at_hand import QUESTION, SECRET, claims, close_of, signed, socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from graph.operating.logs import JsonLines

GOOD = signed()
METRICS = signed(claims(roles=["admin"]))
ASKED = {"query": QUESTION}
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def server(seeded_dsn: str) -> Iterator[Graph]:
    with serving(seeded_dsn, jwt_secret=SECRET) as graph:
        yield graph


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """All that is logged at the level debug, at which uvicorn is told to say no more than at info."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.INFO, "uvicorn.error"):
        logging.getLogger().addHandler(handler)
        yield stream
        logging.getLogger().removeHandler(handler)


def exchanges(written: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in lines if line["logger"] == "graph.requests"]


def ask(server: Graph, *headers: tuple[str, str], url: str = "/graphql") -> httpx.Response:
    return server.http.post(url, json=ASKED, headers=[*headers])


def code_of(response: httpx.Response) -> str:
    return str(response.json()["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_bearer_in_any_case(server: Graph, scheme: str) -> None:
    assert ask(server, ("Authorization", f"{scheme} {GOOD}")).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        GOOD,
        "Bearer",
        "Basic YTpi",
        f"Token {GOOD}",
        f"Bearer {GOOD} {GOOD}",
        f"Bearer {GOOD},Bearer {GOOD}",
        f"Bearer\t{GOOD}",
        f"BearerBearer {GOOD}",
    ],
)
def test_any_other_authorization_is_refused(server: Graph, header: str) -> None:
    assert ask(server, ("Authorization", header)).status_code == 401


def test_two_credentials_are_refused_even_where_both_are_good(server: Graph) -> None:
    bearer = ("Authorization", f"Bearer {GOOD}")
    assert ask(server, bearer, bearer).status_code == 401
    assert ask(server, bearer, ("X-API-Key", "casare_x")).status_code == 401
    asked = {"headers": {**STREAM, "Authorization": f"Bearer {GOOD}"}, "params": {**ASKED, "token": GOOD}}
    assert server.http.get("/graphql", **asked).status_code == 401
    assert server.http.get("/graphql", params={**ASKED, "token": [GOOD, GOOD]}, headers=STREAM).status_code == 401


def test_whoever_brings_nothing_is_nobody(server: Graph) -> None:
    response = ask(server)
    assert (response.status_code, code_of(response)) == (401, "UNAUTHENTICATED")
    assert server.http.get("/api/v1/metrics/fleet").status_code == 401


def test_rest_is_answered_with_a_problem(server: Graph) -> None:
    response = server.http.get("/api/v1/metrics/fleet", headers={"Authorization": "Bearer x"})
    assert (response.status_code, response.headers["content-type"]) == (401, "application/problem+json")
    assert response.json()["code"] == "UNAUTHENTICATED"
    assert response.headers["cache-control"] == "no-store"
    good = server.http.get("/api/v1/metrics/fleet", headers={"Authorization": f"Bearer {GOOD}"})
    assert good.status_code == 200


def test_an_event_source_brings_its_token_in_the_query(server: Graph) -> None:
    with server.http.stream("GET", "/graphql", params={**ASKED, "token": GOOD}, headers=STREAM) as response:
        assert response.status_code == 200
        assert '"totalRobots":100' in response.read().decode()


def test_nobody_else_does(server: Graph) -> None:
    assert server.http.get("/graphql", params={**ASKED, "token": GOOD}).status_code == 401
    assert ask(server, url=f"/graphql?token={GOOD}").status_code == 401
    assert ask(server, *STREAM.items(), url=f"/graphql?token={GOOD}").status_code == 401
    assert server.http.get("/api/v1/metrics/fleet", params={"token": GOOD}).status_code == 401
    with socket(server, f"/graphql?token={GOOD}") as client:
        client.send('{"type":"connection_init"}')
        assert close_of(client)[0] == 4403


def test_a_socket_of_the_documents_brings_its_token_in_the_query(server: Graph) -> None:
    with socket(server, f"/ws/queue-metrics?%74oken={GOOD}") as client:
        assert "depth" in json.loads(client.recv(timeout=10))


@pytest.mark.parametrize("path", ["/ws/queue-metrics?token=x", "/ws/live-jobs", "/ws/robot-status?token="])
def test_without_a_good_one_it_is_opened_and_closed_with_4403(server: Graph, path: str) -> None:
    with socket(server, path) as client:
        assert close_of(client)[0] == 4403


def test_no_token_is_logged_wherever_it_was(server: Graph, written: io.StringIO) -> None:
    for token in (GOOD, "forged.forged.forged"):
        for params in ({**ASKED, "token": token}, {"token": token}):
            server.http.get("/graphql", params=params, headers=STREAM)
            server.http.get("/api/v1/metrics/jobs", params=params)
            server.http.get(f"/nothing/{len(token)}", params=params)
        ask(server, ("Authorization", f"Bearer {token}"))
        for path in ("/ws/queue-metrics", "/graphql", "/nothing"):
            with suppress(InvalidStatus, ConnectionClosed), socket(server, f"{path}?token={token}") as client:
                client.send('{"type":"connection_init"}')
    eventually(lambda: len(exchanges(written)) >= 20, seconds=10)
    assert len(exchanges(written)) == 20
    lines = written.getvalue().splitlines()
    text = "".join(line for line in lines if not json.loads(line)["logger"].startswith(("websockets.client", "http")))
    assert "forged" not in text
    assert not any(part in text for part in GOOD.split("."))


def test_links_of_rest_carry_no_token(server: Graph) -> None:
    response = server.http.get(
        "/api/v1/metrics/jobs", params={"limit": 1, "token": "x"}, headers={"Authorization": f"Bearer {GOOD}"}
    )
    assert response.status_code == 200
    assert "token" not in str(response.headers)


def test_a_bad_token_does_not_matter_to_health_nor_to_what_browsers_load(server: Graph) -> None:
    bad = {"Authorization": "Bearer forged"}
    for path in ("/health", "/health/live", "/health/ready"):
        assert server.http.get(path, headers=bad).status_code == server.http.get(path).status_code == 200
    assert server.http.get("/graphql/assets/none.js", headers=bad).status_code == 404
    assert server.http.get("/", headers=bad).status_code == 307


def test_browsers_ask_beforehand_without_credentials_and_read_why_they_are_refused(server: Graph) -> None:
    origin = {"Origin": "http://localhost:5173"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-api-key"}
    allowed = server.http.options("/graphql", headers={**origin, **asked})
    assert allowed.status_code == 200
    refused = ask(server, *origin.items(), ("Authorization", "Bearer x"))
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin["Origin"])


def test_an_open_server_takes_everybody_whatever_they_bring(seeded_dsn: str) -> None:
    with serving(seeded_dsn) as server:
        bearer = ("Authorization", "Bearer forged")
        assert ask(server, bearer, bearer, ("X-API-Key", "x")).status_code == 200
        with socket(server, "/ws/queue-metrics?token=forged", Authorization="Basic x") as client:
            assert "depth" in json.loads(client.recv(timeout=10))


def rejected(server: Graph) -> float:
    text = server.http.get("/metrics", headers={"Authorization": f"Bearer {METRICS}"}).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(s.value for s in samples if "UNAUTHENTICATED" in s.labels.values() and s.name.endswith("_total"))


def test_a_thousand_forged_tokens_are_refused_counted_and_logged_each_in_one_line(
    server: Graph, written: io.StringIO
) -> None:
    before = rejected(server)
    written.truncate(0)
    written.seek(0)
    with ThreadPoolExecutor(4) as threads:
        forged = [signed(claims(sub=f"mallory-{number}"), key=f"{number:032}") for number in range(1000)]
        statuses = list(
            threads.map(lambda token: ask(server, ("Authorization", f"Bearer {token}")).status_code, forged)
        )
    assert statuses == [401] * 1000
    assert rejected(server) - before == 1000
    lines = [line for line in exchanges(written) if "UNAUTHENTICATED" in line["codes"]]
    assert len(lines) == 1000
    assert {line["reason"] for line in lines} == {"InvalidSignatureError: Signature verification failed"}
    assert "mallory" not in written.getvalue()
    ours = [line for line in written.getvalue().splitlines() if json.loads(line)["logger"].startswith("graph")]
    assert len(ours) == 1000 + 1  # the metrics were asked for
    assert ask(server, ("Authorization", f"Bearer {GOOD}")).status_code == 200
