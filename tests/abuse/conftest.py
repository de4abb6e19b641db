"""Servers to abuse: one as developers run it, open, and one as it runs in production."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from serving import Graph, serving

SECRET = "a secret that only the tests of abuse know"


def bearer(*roles: str, **claims: Any) -> dict[str, str]:
    """The header of somebody with these roles."""
    now = int(time.time())
    token = jwt.encode({"sub": "mallory", "iat": now, "exp": now + 600, "roles": roles, **claims}, SECRET, "HS256")
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def opened(seeded_dsn: str) -> Iterator[Graph]:
    """A server that takes everybody as they come."""
    with serving(seeded_dsn, offline_after_seconds=86400) as graph:
        yield graph


@pytest.fixture(scope="session")
def closed(seeded_dsn: str) -> Iterator[Graph]:
    """A server that asks who it is; its client is somebody who may look, and report."""
    settings = {"jwt_secret": SECRET, "introspection": "known", "rate_limits": "off"}
    with serving(seeded_dsn, offline_after_seconds=86400, **settings) as graph:
        graph.http.headers.update(bearer("viewer", "robot"))
        yield graph


@pytest.fixture
def credentials() -> Callable[..., dict[str, str]]:
    """The header of somebody with some roles, for a server with the secret in `secret`."""
    return bearer


@pytest.fixture
def secret() -> str:
    """What tokens are signed with."""
    return SECRET
