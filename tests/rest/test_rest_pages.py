"""The OpenAPI document tells the truth, and the pages that show it come from our own origin."""

import re
from typing import Any

import jsonschema_rs
import pytest
from serving import Graph

from clients.graphiql import build
from graph.pages.openapi import openapi
from graph.schema import build_schema, core
from graph.transports.resources import RESOURCES
from graph.transports.rest import ROOT

DOCUMENT: dict[str, Any] = openapi(core(build_schema()), "0")
OPERATIONS = {path: item["get"] for path, item in DOCUMENT["paths"].items()}
PATHS = ["fleet", "robots", "robots/r-busy", "jobs", "jobs/j-bad", "jobs/j-run", "analytics", "activity"]


@pytest.fixture
def pages(standing_fleet: Graph) -> Graph:
    """A server with its pages built."""
    build.build()
    return standing_fleet


def faults(operation: dict[str, Any], body: Any) -> list[str]:
    """What is wrong with an answer, as its schema has it, with no name too many."""
    schema = closed(DOCUMENT["components"]["schemas"][operation["operationId"]])
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    return [error.message for error in validator.iter_errors(body)]


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return {**{name: closed(value) for name, value in schema.items()}, **more}


def operation_of(path: str) -> dict[str, Any]:
    item = re.sub(r"^(robot|job)s/.*", r"\1s/{\1_id}", path)
    return OPERATIONS[f"{ROOT}/metrics/{item}"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_an_example_is_an_answer_as_declared(path: str) -> None:
    example = OPERATIONS[path]["responses"]["200"]["content"]["application/json"]["example"]
    assert faults(OPERATIONS[path], example) == []


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_has_the_declared_shape(standing_fleet: Graph, path: str) -> None:
    body = standing_fleet.http.get(f"{ROOT}/metrics/{path}").json()
    assert body
    assert faults(operation_of(path), body) == []


def test_what_can_go_wrong_is_declared_where_it_can() -> None:
    for resource in RESOURCES:
        declared = set(OPERATIONS[ROOT + resource.path]["responses"])
        expected = {"200", "304", "401", "403", "429", "500", "503", "504"}
        expected |= {"422"} if resource.parameters else set()
        expected |= {"404"} if resource.item else set()
        assert declared == expected


def test_everything_that_is_declared_is_described() -> None:
    for operation in OPERATIONS.values():
        assert operation["summary"]
        assert all(parameter["description"] for parameter in operation["parameters"])
        assert all(response["description"] for response in operation["responses"].values())


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_loads_from_its_own_origin_alone(pages: Graph, path: str) -> None:
    page = pages.http.get(path)
    assert page.status_code == 200
    assert {"default-src 'none'", "script-src 'self'"} <= set(page.headers["content-security-policy"].split("; "))
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) >= 2
    for link in links:
        file = pages.http.get(page.url.join(link))
        assert file.url.host == "127.0.0.1"
        assert file.status_code == 200
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_redocs_image_from_elsewhere_is_gone(pages: Graph) -> None:
    page = pages.http.get("/redoc")
    [script] = re.findall(r'<script[^>]* src="([^"]+)"', page.text)
    text = pages.http.get(page.url.join(script)).text
    assert "redocly logo" in text
    assert "logo-mini.svg" not in text


def test_the_document_names_the_root_it_is_served_under(standing_fleet: Graph) -> None:
    told = standing_fleet.http.get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert told["servers"] == [{"url": "/"}]
