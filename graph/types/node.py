"""Relay's global object identification: an id that tells its type, so that any object can be asked for again."""

from __future__ import annotations

import base64
import binascii
from typing import assert_never

import strawberry

from datasources.jobs import JobRow
from datasources.robots import RobotRow
from datasources.workflows import WorkflowRow
from graph.errors import BadUserInput
from graph.reads import reads

Row = JobRow | RobotRow | WorkflowRow


@strawberry.interface(description="An object with an id that is unique in the whole graph.")
class Node:
    """Relay's node."""

    @strawberry.field(
        metadata=reads(Job=("job_id",), Robot=("robot_id",)),
        description="Opaque id, for `node(id:)`; the plain id stands beside it.",
    )
    @staticmethod
    def id(node: strawberry.Parent[Row]) -> strawberry.ID:
        match node:
            case JobRow():
                name = f"Job:{node.job_id}"
            case RobotRow():
                name = f"Robot:{node.robot_id}"
            case WorkflowRow():
                name = f"Workflow:{node.workflow_id}"
            case _:
                assert_never(node)
        return strawberry.ID(base64.urlsafe_b64encode(name.encode()).decode().rstrip("="))


def read_global_id(value: str) -> tuple[str, str]:
    """The type and key that a global id names; raises BadUserInput where it is none."""
    try:
        text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadUserInput(f"{value!r:.60} is not an id of this API.", "BAD_ID") from error
    type_name, colon, key = text.partition(":")
    if not colon:
        raise BadUserInput(f"{value!r:.60} is not an id of this API.", "BAD_ID")
    return type_name, key
