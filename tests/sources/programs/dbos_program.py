"""A program that uses DBOS as its users do: `dbos_program.py DSN run WORKFLOW ID ...` and the like."""

from __future__ import annotations

import argparse
import asyncio
import sys

import workflows
from dbos import DBOS, DBOSClient, EnqueueOptions, SetWorkflowID, WorkflowSerializationFormat
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


async def from_outside(client: DBOSClient, action: str, arguments: list[str]) -> None:
    """What is done without launching DBOS, which would take up what another process has begun."""
    match action, arguments:
        case "enqueue", [name, workflow_id, *delay]:
            options: EnqueueOptions = {
                "queue_name": "robots",
                "workflow_name": name,
                "workflow_id": workflow_id,
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
                "attributes": {"environment": "prod"},
            }
            if delay:
                options["delay_seconds"] = float(delay[0])
            await client.enqueue_async(options)
        case "cancel", [workflow_id]:
            await client.cancel_workflow_async(workflow_id)
        case "delete", [workflow_id]:
            await client.delete_workflow_async(workflow_id)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("--schema", default="dbos")
    parser.add_argument("--portable", action="store_true", help="keep every value and error as JSON")
    parser.add_argument("action", choices=("migrate", "run", "enqueue", "cancel", "rewind", "fork", "delete"))
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    if given.action in ("enqueue", "cancel", "delete"):
        client = DBOSClient(system_database_url=given.dsn, dbos_system_schema=given.schema)
        await from_outside(client, given.action, given.arguments)
        client.destroy()
        return
    workflows.launch(given.dsn, schema=given.schema, portable=given.portable)
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
