"""What pages of other origins may do, and the application that is served at /."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from serving import Graph
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

VITE = "http://localhost:5173"
QUESTION = {"query": "{ fleet { totalRobots } }"}


def preflight(graph: Graph, origin: str) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return graph.http.options("/graphql", headers={**asked, "Access-Control-Request-Headers": "content-type"})


@pytest.mark.parametrize("origin", [VITE, "http://localhost:8000"])
def test_pages_of_the_documented_origins_may_ask(graph: Graph, origin: str) -> None:
    allowed = preflight(graph, origin)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
    answer = graph.http.post("/graphql", json=QUESTION, headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


def test_pages_of_other_origins_may_not(graph: Graph) -> None:
    refused = preflight(graph, "http://evil.example")
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


def test_origins_are_set(serve) -> None:
    with serve(cors_origins="https://monitor.example, https://other.example:8443") as graph:
        assert preflight(graph, "https://other.example:8443").status_code == 200
        assert preflight(graph, VITE).status_code == 400


def test_where_everybody_may_ask_nobody_does_so_with_credentials(serve) -> None:
    with serve(cors_origins="*") as graph:
        answer = graph.http.post("/graphql", json=QUESTION, headers={"Origin": VITE, "Cookie": "a=b"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/graphql", "/ws/live-jobs"])
def test_a_page_of_another_origin_opens_no_socket(graph: Graph, path: str) -> None:
    url = graph.url.replace("http", "ws") + path
    for origin in ("http://evil.example", "null", f"http://{urlsplit(graph.url).hostname}:1"):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, origin=origin, subprotocols=["graphql-transport-ws"], open_timeout=10)
        assert refused.value.response.status_code == 403


def test_our_own_pages_the_documented_origins_and_programs_open_sockets(graph: Graph) -> None:
    url = graph.url.replace("http", "ws") + "/graphql"
    for origin in (graph.url, VITE, None):
        with connect(url, origin=origin, subprotocols=["graphql-transport-ws"], open_timeout=10) as opened:
            assert opened.subprotocol == "graphql-transport-ws"


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """An application as Vite builds it, beside something secret."""
    (tmp_path / "secret.txt").write_text("swordfish")
    pages = tmp_path / "pages"
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text("<title>fleet</title>")
    (pages / "favicon.ico").write_bytes(b"icon")
    (pages / "assets" / "index-BrgQiztH.js").write_text("1")
    (pages / "outside.txt").symlink_to(tmp_path / "secret.txt")
    for shadow in ("graphql", "health", "metrics"):
        (pages / shadow).write_text("shadow")
    return pages


def test_an_application_routes_its_own_paths(serve, pages: Path) -> None:
    with serve(spa_dir=pages) as graph:
        for path in ("/", "/robots/r-1", "/jobs"):
            answer = graph.http.get(path)
            assert (answer.status_code, answer.text) == (200, "<title>fleet</title>")
            assert answer.headers["cache-control"] == "no-cache"


def test_files_named_by_their_content_are_kept_for_a_year(serve, pages: Path) -> None:
    with serve(spa_dir=pages) as graph:
        assert "max-age=31536000" in graph.http.get("/assets/index-BrgQiztH.js").headers["cache-control"]
        assert graph.http.get("/favicon.ico").headers["cache-control"] == "no-cache"
        assert graph.http.get("/assets/gone-BrgQiztH.js").status_code == 404


def test_an_application_shadows_no_path_of_ours(serve, pages: Path) -> None:
    with serve(spa_dir=pages) as graph:
        assert graph.ask("{ fleet { totalRobots } }").data
        assert graph.http.get("/health").json().keys() == {"status", "checks"}
        assert "casare_" in graph.http.get("/metrics").text
        for path in ("/api/v2/nothing", "/ws/nothing", "/graphql/nothing", "/health/nothing"):
            assert graph.http.get(path).status_code == 404, path


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets/..%5c..%5csecret.txt", "/outside.txt"]
)
def test_nothing_beside_the_application_is_served(serve, pages: Path, path: str) -> None:
    with serve(spa_dir=pages) as graph:
        request = graph.http.build_request("GET", graph.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = graph.http.send(request)
    assert "swordfish" not in answer.text


def test_without_an_application_the_root_leads_to_graphiql(graph: Graph) -> None:
    assert graph.http.get("/").headers["location"] == "graphql"
