"""Tokens of people who see some environments, or all of them."""

from __future__ import annotations

import time
from collections.abc import Iterable

import jwt

SECRET = "only these tests are signed with it"
SETTINGS = {"jwt_secret": SECRET, "rate_limits": "off", "max_query_cost": 10_000_000, "offline_after_seconds": 1e9}


def token(role: str, environments: Iterable[str] | None = None) -> str:
    """The token of somebody with a role, or several with spaces between them, and a scope."""
    now = int(time.time())
    claims = {"sub": f"some {role}", "iat": now, "exp": now + 3600, "roles": role.split()}
    if environments is not None:
        claims["environments"] = sorted(environments)
    return jwt.encode(claims, SECRET, algorithm="HS256")


def bearing(role: str, environments: Iterable[str] | None = None) -> dict[str, str]:
    """The headers of somebody with a role and a scope."""
    return {"Authorization": f"Bearer {token(role, environments)}"}
