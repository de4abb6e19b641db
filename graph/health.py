"""Whether the service can do its work, and if not, why."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from datasources.postgres import Database, UpstreamError
from datasources.sql import Query

_PING = Query("ping", "SELECT 1")
_PATIENCE = 3.0  # seconds for the database to answer


class Health:
    """`/health`: 200 while the database answers, 503 with the reason while it does not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def show(self, _request: Request) -> Response:
        """The state of the service and of what it needs."""
        database = await self._check_database()
        healthy = database["status"] == "ok"
        body = {"status": "ok" if healthy else "unavailable", "checks": {"database": database}}
        return Response(
            orjson.dumps(body),
            200 if healthy else 503,
            {"Cache-Control": "no-store"},
            media_type="application/json",
        )

    async def _check_database(self) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._database.fetch(_PING)
        except UpstreamError as error:
            return {"status": "unavailable", "reason": str(error)}
        except TimeoutError:
            return {"status": "unavailable", "reason": f"no answer within {_PATIENCE:g} s"}
        return {"status": "ok", "latencyMs": round((time.perf_counter() - started) * 1000, 1)}
