"""Every operation that is shown to newcomers runs as it stands."""

import json
import re
from pathlib import Path

import pytest
from serving import Graph

ROOT = Path(__file__).parents[2]
SUBSCRIPTION = re.compile(r"^subscription\b", re.MULTILINE)
EXAMPLES = sorted((ROOT / "clients/graphiql/examples").glob("*.graphql"))
README = re.findall(
    r"^```graphql\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_graphiql_runs(seeded, example: Path) -> None:
    variables = example.with_suffix(".json")
    given = json.loads(variables.read_text(encoding="utf-8")) if variables.exists() else {}
    operation = example.read_text(encoding="utf-8")
    if SUBSCRIPTION.search(operation):
        _begins(seeded, operation)
    else:
        assert seeded.ask(operation, **given).data


def _begins(graph: Graph, operation: str) -> None:
    headers = {"Accept": "text/event-stream"}
    with graph.http.stream("POST", "/graphql", json={"query": operation}, headers=headers, timeout=5) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "error" not in next(stream.iter_text())


def test_there_are_examples() -> None:
    assert EXAMPLES
    assert README


@pytest.mark.parametrize("operation", README)
def test_an_example_of_the_readme_runs(small_fleet, operation: str) -> None:
    if SUBSCRIPTION.search(operation):
        _begins(small_fleet, operation)
    else:
        assert small_fleet.ask(operation).data
