"""Every operation that is shown to newcomers runs as it stands."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "clients/graphiql/examples").glob("*.graphql"))
README = re.findall(
    r"^```graphql\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_graphiql_runs(seeded, example: Path) -> None:
    variables = example.with_suffix(".json")
    given = json.loads(variables.read_text(encoding="utf-8")) if variables.exists() else {}
    assert seeded.ask(example.read_text(encoding="utf-8"), **given).data


def test_there_are_examples() -> None:
    assert EXAMPLES
    assert README


@pytest.mark.parametrize("operation", README)
def test_an_example_of_the_readme_runs(small_fleet, operation: str) -> None:
    assert small_fleet.ask(operation).data
