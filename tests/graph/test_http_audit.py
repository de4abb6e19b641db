"""The audit suite of GraphQL over HTTP, as its authors wrote it, against the real server."""

import subprocess
from pathlib import Path

import pytest

from clients.graphiql import build

AUDIT = Path(__file__).parents[1] / "http_audit" / "audit.mjs"


@pytest.mark.slow
def test_every_audit_of_graphql_over_http_is_ok(graph) -> None:
    node = build.find_node()
    build.install(node)
    command = [str(node.executable), str(AUDIT), f"{graph.url}/graphql"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "61 audits: 61 ok" in done.stdout
