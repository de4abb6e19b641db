"""A program that uses DBOS as its users do: `dbos_program.py DSN run WORKFLOW ID ...` and the like."""

from __future__ import annotations

import argparse
import asyncio
import sys

import workflows
from dbos import DBOS, DBOSClient, SetWorkflowID
from dbos import error as dbos_error


async def run(name: str, workflow_id: str) -> None:
    """Run the workflow to its end, whatever that is."""
    with SetWorkflowID(workflow_id):
        handle = await DBOS.start_workflow_async(workflows.WORKFLOWS[name])
    try:
        await handle.get_result()
    except (ValueError, dbos_error.DBOSAwaitedWorkflowCancelledError) as error:
        print(f"{workflow_id}: {type(error).__name__}", file=sys.stderr)


async def rewind(workflow_id: str) -> None:
    """Say `go`, then run again from the second step."""
    handle = await DBOS.rewind_workflow_async(workflow_id, start_step=2)
    await DBOS.send_async(workflow_id, "go", "go")
    await handle.get_result()


async def from_outside(dsn: str, schema: str, action: str, workflow_id: str) -> None:
    """Cancel or delete without launching DBOS, which would take up what another process has begun."""
    client = DBOSClient(system_database_url=dsn, dbos_system_schema=schema)
    if action == "cancel":
        await client.cancel_workflow_async(workflow_id)
    else:
        await client.delete_workflow_async(workflow_id)
    client.destroy()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("--schema", default="dbos")
    parser.add_argument("action", choices=("migrate", "run", "cancel", "rewind", "fork", "delete"))
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    if given.action in ("cancel", "delete"):
        await from_outside(given.dsn, given.schema, given.action, *given.arguments)
        return
    workflows.launch(given.dsn, schema=given.schema)
    try:
        match given.action, given.arguments:
            case "run", pairs:
                for name, workflow_id in zip(pairs[::2], pairs[1::2], strict=True):
                    await run(name, workflow_id)
            case "rewind", [workflow_id]:
                await rewind(workflow_id)
            case "fork", [workflow_id]:
                await (await DBOS.fork_workflow_async(workflow_id, 2)).get_result()
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)


if __name__ == "__main__":
    asyncio.run(main())
