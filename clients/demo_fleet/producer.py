"""Where the work comes from: orders arrive at a rate that breathes, as an office's day does."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from collections.abc import Sequence

from pgqueuer.queries import Queries

from clients.demo_fleet.orders import Order, entrypoint, queries
from clients.demo_fleet.workflows import WORKFLOWS

_BREATH_SECONDS = 240.0
_JOBS_PER_ROBOT_SECOND = 0.045  # keeps a robot about two thirds busy: a job takes about fifteen seconds
_LONGEST_QUEUE = 200
_WITHDRAWN = 0.02


def pace(seconds: float, robots: int, rate: float) -> float:
    """Orders a second after so many seconds; the mean is `rate` times what the robots do with ease."""
    return robots * _JOBS_PER_ROBOT_SECOND * rate * (1 + 0.8 * math.sin(2 * math.pi * seconds / _BREATH_SECONDS))


async def produce(dsn: str, environments: Sequence[str], rate: float) -> None:
    """Enqueue orders for ever, for one environment for each robot."""
    started = time.monotonic()
    async with queries(dsn) as queue:
        while True:
            await _enqueue(queue, random.choice(environments))
            orders_a_second = pace(time.monotonic() - started, len(environments), rate)
            await asyncio.sleep(min(30.0, random.expovariate(orders_a_second)))


async def _enqueue(queue: Queries, environment: str) -> None:
    entrypoints = [entrypoint(environment, workflow_id) for workflow_id in WORKFLOWS]
    waiting = await queue.queue_size()
    if sum(line.count for line in waiting if line.entrypoint in entrypoints) >= _LONGEST_QUEUE:
        return  # more would only wait longer than anybody watches
    workflow = random.choice(list(WORKFLOWS.values()))
    order = Order(
        job_id=str(uuid.uuid4()),
        workflow_id=workflow.workflow_id,
        workflow_name=workflow.name,
        environment=environment,
        number=random.randrange(1, 1_000_000),
    )
    priority = random.choices((0, 5, 10), weights=(8, 3, 1))[0]
    job_ids = await queue.enqueue(entrypoint(environment, workflow.workflow_id), order.to_payload(), priority)
    if random.random() < _WITHDRAWN:
        await asyncio.sleep(random.uniform(1, 8))
        await queue.mark_job_as_cancelled(job_ids)
