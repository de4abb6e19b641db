"""What every workflow works with: nodes, the portal, and a folder for the job's papers.

Where these are is told by the robot process's environment, never by a workflow's input: a job resumed
tomorrow finds tomorrow's portal.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import httpx
import jinja2
from dbos import DBOS, error

from clients.demo_fleet.activity import activity

PORTAL = "CASARE_DEMO_PORTAL"
WORK_DIR = "CASARE_DEMO_WORK_DIR"
PACE = "CASARE_DEMO_PACE"

PATIENCE_SECONDS = 4.0

P = ParamSpec("P")
R = TypeVar("R")


def node(*, attempts: int = 1) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Make a coroutine function a durable node; more attempts are for what a counterpart may get over."""

    def durable(work: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        name = work.__name__

        @wraps(work)
        async def told(*args: P.args, **kwargs: P.kwargs) -> R:
            with activity.at(DBOS.workflow_id, DBOS.step_id or 1, name):
                await _settle()
                return await work(*args, **kwargs)

        step = DBOS.step(
            name=name,
            retries_allowed=attempts > 1,
            max_attempts=attempts,
            should_retry=lambda failure: isinstance(failure, httpx.HTTPError),
        )(told)

        @wraps(work)
        async def visible(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await step(*args, **kwargs)
            except error.DBOSMaxStepRetriesExceeded as exhausted:
                raise exhausted.errors[-1] from exhausted  # what went wrong says more than how often

        return visible

    return durable


async def side_by_side(*nodes: Awaitable[R]) -> list[R]:
    """The results of nodes that run at the same time; all end before the first failure is raised."""
    outcomes = await asyncio.gather(*nodes, return_exceptions=True)
    results: list[R] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


async def get(path: str) -> httpx.Response:
    """What the portal shows at a path."""
    return await _call("GET", path)


async def post(path: str, content: str) -> str:
    """Hand a document in at the portal; its receipt."""
    response = await _call("POST", path, content)
    return str(response.json()["receipt"])


def folder() -> Path:
    """Where the running job keeps its papers, whichever robot runs it."""
    path = folder_of(DBOS.workflow_id or "no-job")
    path.mkdir(parents=True, exist_ok=True)
    return path


def folder_of(job_id: str) -> Path:
    """Where a job's papers are, if it has any."""
    return Path(os.environ[WORK_DIR]) / job_id


def render(template: str, **values: object) -> str:
    """A report from one of the templates."""
    return _templates().get_template(template).render(**values)


async def _call(method: str, path: str, content: str | None = None) -> httpx.Response:
    # A client for each call: a resumed workflow runs in another event loop than a fresh one.
    async with httpx.AsyncClient(
        base_url=os.environ[PORTAL], timeout=PATIENCE_SECONDS, verify=_tls(), trust_env=False
    ) as client:
        request = client.build_request(method, path, content=content)
        try:
            response = await client.send(request)
        except httpx.TimeoutException as late:
            raise type(late)(f"{method} {path}: no answer within {PATIENCE_SECONDS:g} s", request=request) from late
    if response.is_error:
        message = f"{method} {path} was answered {response.status_code}: {response.text}"
        raise httpx.HTTPStatusError(message, request=request, response=response)
    return response


async def _settle() -> None:
    # Robots work at the pace of the screens they drive; it also keeps a demo gentle on its machine.
    await asyncio.sleep(random.uniform(0.6, 2.0) * float(os.environ.get(PACE, "1")))


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
