"""Reports of robots whose work is in no attached source."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.reports.executions import report_nodes
from datasources.reports.heartbeats import report_heartbeats
from datasources.reports.jobs import report_job
from datasources.reports.robots import register_robot
from datasources.reports.values import storable
from graph.context import Info
from graph.errors import BadUserInput
from graph.types.reports import (
    HeartbeatInput,
    JobReportInput,
    NodeExecutionsInput,
    RegisterRobotInput,
    RegisterRobotResult,
    ReportHeartbeatsResult,
    ReportJobResult,
    ReportNodeExecutionsResult,
    ReportOf,
)
from graph.types.roles import requires
from graph.viewer import Role

_MOST = 500  # things of one report


def _bounded(name: str, count: int) -> None:
    if not 1 <= count <= _MOST:
        raise BadUserInput(f"{name} must hold 1 to {_MOST} items, not {count}.")


@strawberry.type(description="Reports of robots. All are idempotent: sent again, they change nothing.")
class Mutation:
    """What robots tell."""

    @strawberry.mutation(
        directives=requires(Role.ROBOT),
        graphql_type=RegisterRobotResult,
        description="Present a robot, or what changed about it; a queueManagerId that is left out stays.",
    )
    @staticmethod
    async def register_robot(
        info: Info, input: Annotated[RegisterRobotInput, strawberry.argument(description="The robot.")]
    ) -> ReportOf:
        context = info.context
        return ReportOf(
            await register_robot(context.database, input.registration(), context.now), storable(input.robot_id)
        )

    @strawberry.mutation(
        directives=requires(Role.ROBOT),
        graphql_type=ReportHeartbeatsResult,
        description="Signs of life of one or many robots, 1 to 500. Those refused do not hinder the others; one that "
        "comes late is kept, but changes nothing.",
    )
    @staticmethod
    async def report_heartbeats(
        info: Info, input: Annotated[list[HeartbeatInput], strawberry.argument(description="The heartbeats.")]
    ) -> ReportOf:
        _bounded("input", len(input))
        now = info.context.now
        heartbeats = [heartbeat.heartbeat(now) for heartbeat in input]
        return ReportOf(await report_heartbeats(info.context.database, heartbeats, now))

    @strawberry.mutation(
        directives=requires(Role.ROBOT),
        graphql_type=ReportJobResult,
        description="A job's state. Within one try it only moves forward: pending, claimed, ended. A claimed or failed "
        "job is tried again with a higher retryCount.",
    )
    @staticmethod
    async def report_job(
        info: Info, input: Annotated[JobReportInput, strawberry.argument(description="The job.")]
    ) -> ReportOf:
        context = info.context
        return ReportOf(await report_job(context.database, input.report(), context.now), storable(input.job_id))

    @strawberry.mutation(
        directives=requires(Role.ROBOT),
        graphql_type=ReportNodeExecutionsResult,
        description="Steps of a job, 1 to 500. Those refused do not hinder the others.",
    )
    @staticmethod
    async def report_node_executions(
        info: Info, input: Annotated[NodeExecutionsInput, strawberry.argument(description="The steps.")]
    ) -> ReportOf:
        _bounded("nodes", len(input.nodes))
        context, nodes = info.context, [node.report() for node in input.nodes]
        return ReportOf(await report_nodes(context.database, input.job_id, nodes, context.now), storable(input.job_id))
