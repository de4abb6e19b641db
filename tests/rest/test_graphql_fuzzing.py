"""GraphQL, fuzzed from its own schema: what is wrong is told with a code, never with a crash."""

from collections.abc import Iterator

import pytest
import schemathesis
from graphql import print_schema
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes
from serving import Graph, serving

from graph.schema import build_schema, core

pytestmark = pytest.mark.slow

schemathesis.graphql.scalar(
    "DateTime", st.datetimes().map(lambda moment: nodes.String(f"{moment.isoformat()}Z")) | st.text().map(nodes.String)
)
schemathesis.graphql.scalar(
    "Duration", st.integers(0, 9999).map(lambda days: nodes.String(f"P{days}D")) | st.text().map(nodes.String)
)
API = schemathesis.graphql.from_file(print_schema(core(build_schema())))


@pytest.fixture
def fuzzed(dsn: str) -> Iterator[Graph]:
    """A server on a database of its own, since whatever is reported is written down."""
    with serving(dsn) as graph:
        yield graph


@API.exclude(operation_id_regex="^Subscription").parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_asked_it_is_answered_or_refused(case: schemathesis.Case, fuzzed: Graph) -> None:
    answer = case.call(base_url=f"{fuzzed.url}/graphql", timeout=20)
    body = answer.json()
    codes = {error["extensions"]["code"] for error in body.get("errors", ())}
    assert answer.status_code in {200, 400}
    assert "data" in body or codes
    assert not codes & {"INTERNAL_SERVER_ERROR", "UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT"}
