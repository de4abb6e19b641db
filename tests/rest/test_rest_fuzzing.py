"""The REST paths, fuzzed from their own OpenAPI document with every check that schemathesis has."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from serving import Graph, serving

from graph.pages.openapi import openapi
from graph.schema import build_schema, core
from graph.transports.resources import RESOURCES
from graph.transports.rest import ROOT

pytestmark = pytest.mark.slow

API = schemathesis.openapi.from_dict({**openapi(core(build_schema()), "0"), "servers": [{"url": "/"}]})


@API.hook
def filter_case(_context: object, case: schemathesis.Case) -> bool:
    """No schema can tell which text is a cursor: none is made up here, but in tests of their own."""
    return not (case.query or {}).get("after")


@pytest.fixture(scope="module")
def fuzzed(seeded_dsn: str) -> Iterator[Graph]:
    """A server over the seeded fleet."""
    with serving(seeded_dsn, offline_after_seconds=86400) as graph:
        yield graph


@API.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_asked_the_answer_is_a_declared_one(case: schemathesis.Case, fuzzed: Graph) -> None:
    case.call_and_validate(base_url=fuzzed.url, timeout=20)


def test_every_path_is_fuzzed() -> None:
    paths = {operation.ok().path for operation in API.get_all_operations()}
    assert paths == {ROOT + resource.path for resource in RESOURCES}


def test_the_server_says_of_itself_what_is_fuzzed(fuzzed: Graph) -> None:
    told = fuzzed.http.get("/openapi.json").json()
    assert told["paths"] == API.raw_schema["paths"]
    assert told["components"] == API.raw_schema["components"]
