"""Workflows from the root."""

from __future__ import annotations

from typing import Annotated

import strawberry

from datasources.paging import Key
from datasources.workflows import BY_ID, workflows_count, workflows_page
from graph.context import Info
from graph.types.loaded import loaded
from graph.types.paging import After, Connection, ConnectionOf, First, page_request, search_text
from graph.types.roles import requires
from graph.types.workflows import Workflow
from graph.viewer import Role


@strawberry.type
class WorkflowQueries:
    """Workflows from the root."""

    @loaded(
        Workflow | None,
        lambda loaders: loaders.workflows,
        directives=requires(Role.VIEWER),
        description="The workflow with this id; null if no job ran it.",
    )
    @staticmethod
    def workflow(
        _query: strawberry.Parent[None],
        workflow_id: Annotated[strawberry.ID, strawberry.argument(description="The workflow's id.")],
    ) -> str:
        return workflow_id

    @strawberry.field(
        directives=requires(Role.VIEWER),
        graphql_type=Connection[Workflow],
        description="All workflows in the order of their ids, a page at a time.",
    )
    @staticmethod
    async def workflows(
        info: Info,
        first: First = 50,
        after: After = None,
        search: Annotated[
            str | None,
            strawberry.argument(description="Only those with this text in the id or name, in any case."),
        ] = None,
    ) -> ConnectionOf:
        database, text = info.context.database, search_text(search)
        request = page_request("workflows", BY_ID, first, after)
        page = await workflows_page(database, request.limit, request.after, text)
        return ConnectionOf(
            page,
            "workflows",
            lambda workflow: Key(BY_ID.key_of(workflow), workflow.workflow_id),
            lambda: workflows_count(database, text),
        )
