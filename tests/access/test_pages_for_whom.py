"""Which pages are for whom, and what browsers are told of each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Graph, serving
from speaking import token_of
from tokens_at_hand import SECRET

from clients.graphiql import build

PAGES = ["/docs", "/redoc", "/openapi.json"]
ANN = {"Authorization": f"Bearer {token_of()}"}
HTML = {"Accept": "text/html"}


@pytest.fixture
def serve(seeded_dsn: str) -> Callable[..., Any]:
    """Start a server with a secret, and settings of the test's choice."""
    return lambda **settings: serving(seeded_dsn, **{"jwt_secret": SECRET, **settings})


@pytest.fixture(scope="module")
def server(seeded_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with a secret and an application at its root."""
    build.build()
    pages: Path = tmp_path_factory.mktemp("pages")
    (pages / "index.html").write_text("<title>fleet</title>")
    with serving(seeded_dsn, jwt_secret=SECRET, spa_dir=pages, trusted_proxies="127.0.0.1") as server:
        yield server


@pytest.mark.parametrize("path", ["/graphql", "/docs", "/redoc", "/", "/robots/1"])
def test_every_page_says_what_it_may_load_and_who_sees_it(server: Graph, path: str) -> None:
    answer = server.http.get(path, headers=HTML)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert {policy[name] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["style-src"] == ("'self' 'unsafe-inline'" if path in {"/graphql", "/redoc"} else "'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/graphql?query={__typename}", "/health", "/api/v1/metrics/fleet", "/metrics", "/no"])
def test_every_answer_is_of_the_type_that_it_says(server: Graph, path: str) -> None:
    assert server.http.get(path, headers=ANN).headers["x-content-type-options"] == "nosniff"


def test_a_browser_is_told_to_keep_to_https_where_it_came_by_it(server: Graph) -> None:
    assert "strict-transport-security" not in server.http.get("/health/live").headers
    encrypted = server.http.get("/health/live", headers={"X-Forwarded-Proto": "https"})
    assert encrypted.headers["strict-transport-security"] == "max-age=31536000"


def test_the_policy_of_an_application_is_a_setting(serve, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>fleet</title>")
    with serve(spa_dir=tmp_path, spa_policy="default-src 'self'") as server:
        assert server.http.get("/").headers["content-security-policy"] == "default-src 'self'"


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (None, 401),
        ("forged", 401),
        (token_of("r-1", "robot"), 403),
        (token_of(environments=["production"]), 403),
        (token_of(), 200),
    ],
    ids=["nobody", "forged", "a robot", "one environment", "everything"],
)
def test_metrics_are_for_those_who_see_everything(server: Graph, token: str | None, status: int) -> None:
    answer = server.http.get("/metrics", headers={"Authorization": f"Bearer {token}"} if token else {})
    assert answer.status_code == status
    assert ("casare_" in answer.text) == (status == 200)
    if status != 200:
        assert answer.json()["code"] == {401: "UNAUTHENTICATED", 403: "FORBIDDEN"}[status]
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_metrics_can_be_opened(serve) -> None:
    with serve(metrics_open=True) as server:
        assert server.http.get("/metrics").status_code == 200


def test_health_tells_everybody_how_it_is_and_those_who_are_known_why(server: Graph) -> None:
    for path in ("/health", "/health/ready", "/health/live"):
        assert server.http.get(path).json() == {"status": "ok"}
    assert server.http.get("/health", headers={"Authorization": "Bearer forged"}).json() == {"status": "ok"}
    assert server.http.get("/health", headers=ANN).json().keys() == {"status", "checks"}


@pytest.mark.parametrize(
    ("introspection", "nobody", "known"), [("all", 200, 200), ("known", 401, 200), ("none", 404, 404)]
)
def test_what_tells_of_the_rest_paths_follows_introspection(serve, introspection: str, nobody: int, known: int) -> None:
    with serve(introspection=introspection) as server:
        for path in PAGES:
            assert server.http.get(path).status_code == nobody, path
            assert server.http.get(path, headers=ANN).status_code == known, path


@pytest.mark.parametrize(("introspection", "status"), [("all", 200), ("known", 200), ("none", 404)])
def test_graphiql_is_served_unless_nobody_may_look(serve, introspection: str, status: int) -> None:
    with serve(introspection=introspection) as server:
        answer = server.http.get("/graphql", headers=HTML)
    assert answer.status_code == status
    assert ('id="credentials"' in answer.text) == (status == 200)


def test_pages_of_allowed_origins_may_send_credentials_of_either_kind(server: Graph) -> None:
    asked = {"Origin": "http://localhost:5173", "Access-Control-Request-Method": "POST"}
    wanted = {**asked, "Access-Control-Request-Headers": "authorization,x-api-key,content-type"}
    assert server.http.options("/graphql", headers=wanted).status_code == 200
