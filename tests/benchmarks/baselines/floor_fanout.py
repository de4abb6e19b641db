"""The floor of fan-out: a bare ASGI application that encodes each event once, and sends the same to every socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from starlette.types import Message, Receive, Scope, Send

from datasources.settings import Settings
from subscriptions.doorbell import Doorbell

_SQL = Path(__file__).with_name("fanout.sql").read_text(encoding="utf-8")
_ID = "00000000-0000-0000-0000-000000000000"  # as long as those that clients choose

_JOB = ("workflowName", "status", "priority", "createdAt", "claimedAt", "durationMs")
_ROBOT = ("robotId", "hostname", "environment", "status", "cpuPercent")


class Floor:
    """As little as tells everybody of everything."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rung = asyncio.Event()
        self._subscribed: set[Send] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket, or open and close with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._hold(receive, send)
        else:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def _hold(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        try:
            while (message := await receive())["type"] == "websocket.receive":
                said = orjson.loads(message["text"])
                if said["type"] == "connection_init":
                    await send({"type": "websocket.send", "text": '{"type":"connection_ack"}'})
                elif said["type"] == "subscribe":
                    self._subscribed.add(send)
        finally:
            self._subscribed.discard(send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        dsn = self._settings.dsn() or ""
        doorbell = Doorbell(dsn, lambda _: self._rung.set())
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1, command_timeout=10) as pool:
            tasks = [asyncio.create_task(doorbell.run()), asyncio.create_task(self._tell(pool))]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            for task in tasks:
                task.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tell(self, pool: asyncpg.Pool) -> None:
        last = await pool.fetchval("SELECT coalesce(max(seq), 0) FROM monitor.events")
        while True:
            await self._rung.wait()
            self._rung.clear()
            for row in await pool.fetch(_SQL, last, self._settings.offline_after_seconds):
                last = row["seq"]
                message: Message = {"type": "websocket.send", "text": _text(row)}
                for send in tuple(self._subscribed):
                    await send(message)


def _text(row: Any) -> str:
    job = dict(zip(_JOB, row[4:10], strict=True))
    job["robot"] = None if row[10] is None else dict(zip(_ROBOT, row[10:], strict=True))
    update = {"jobId": row[1], "status": row[2], "previousStatus": row[3], "job": job}
    payload = {"data": {"jobUpdates": update}}
    return orjson.dumps({"id": _ID, "type": "next", "payload": payload}, option=orjson.OPT_UTC_Z).decode()


def create_app() -> Floor:
    """The floor over the database of the environment."""
    return Floor(Settings())
