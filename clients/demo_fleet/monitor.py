"""How a robot tells the monitoring graph that it lives: registered, then a heartbeat every two seconds."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportError
from gql.transport.httpx import HTTPXAsyncTransport

from clients.demo_fleet.activity import activity
from clients.demo_fleet.lifeline import wait

HEARTBEAT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_LONGEST_BACKOFF_SECONDS = 30.0
_DOCUMENT = GraphQLRequest(Path(__file__).with_name("robot.graphql").read_text(encoding="utf-8"))


class RobotRefused(Exception):
    """The monitor knows a reason not to take what this robot reports."""


class Reporter:
    """Reports one robot; while the monitor is away the robot works on, unheard."""

    def __init__(self, url: str, robot_id: str, environment: str, capabilities: list[str], worker_id: str) -> None:
        self._url = url
        self._robot_id = robot_id
        self._registration = {
            "robotId": robot_id,
            "hostname": socket.gethostname(),
            "environment": environment,
            "capabilities": capabilities,
            "queueManagerId": worker_id,
        }
        self._process = psutil.Process()

    async def run(self, ended: asyncio.Event) -> None:
        """Register and send heartbeats until the work has ended, the last one saying offline."""
        self._process.cpu_percent()  # the first call only starts the measurement
        failures = 0
        while not ended.is_set():
            try:
                async with self._client() as session:
                    await self._register(session)
                    failures = 0
                    await self._beat(session, ended)
            except (TransportError, httpx.HTTPError, TimeoutError, RobotRefused) as error:
                failures += 1
                pause = min(_LONGEST_BACKOFF_SECONDS, 2.0 ** min(failures, 10))
                if failures == 1 and not ended.is_set():
                    reason = str(error) or type(error).__name__
                    print(f"{self._robot_id} is not heard: {reason}; works on and retries", flush=True)
                await wait(ended, pause)

    def _client(self) -> Client:
        token = os.environ.get("CASARE_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = HTTPXAsyncTransport(self._url, headers=headers, timeout=_ANSWER_SECONDS)
        return Client(transport=transport, execute_timeout=_ANSWER_SECONDS)

    async def _register(self, session: AsyncClientSession) -> None:
        answer = await session.execute(_request("RegisterRobot", self._registration))
        if refusal := answer["registerRobot"]["refusal"]:
            raise RobotRefused(f"{refusal['code']}: {refusal['message']}")

    async def _beat(self, session: AsyncClientSession, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await self._send(session, "IDLE" if activity.job_id is None else "BUSY")
            await wait(ended, HEARTBEAT_SECONDS)
        await self._send(session, "OFFLINE")

    async def _send(self, session: AsyncClientSession, status: str) -> None:
        heartbeat = {
            "robotId": self._robot_id,
            "status": status,
            "at": datetime.now(UTC).isoformat(),
            "cpuPercent": self._process.cpu_percent(),
            "memoryMb": self._process.memory_info().rss / 1_048_576,
            "memoryPercent": self._process.memory_percent(),
            "currentJobId": activity.job_id,
            "currentNode": activity.node,
            "progressPercent": activity.progress_percent,
        }
        answer = await session.execute(_request("ReportHeartbeats", [heartbeat]))
        for refusal in answer["reportHeartbeats"]["refused"]:
            raise RobotRefused(f"{refusal['code']}: {refusal['message']}")


def _request(operation: str, variables: object) -> GraphQLRequest:
    return GraphQLRequest(_DOCUMENT, operation_name=operation, variable_values={"input": variables})
