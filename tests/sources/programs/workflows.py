"""The DBOS workflows that the programs run: steps that succeed, fail, run side by side; a child; a sleep."""

from __future__ import annotations

import asyncio

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, WorkflowSerializationFormat


def launch(dsn: str, *, schema: str = "dbos", portable: bool = False) -> None:
    """DBOS over this database, its tables migrated, its workflows ready to run."""
    config = DBOSConfig(name="sources", system_database_url=dsn, dbos_system_schema=schema)
    if portable:
        config["serializer"] = DBOSPortableJSONSerializer()
    DBOS(config=config)
    DBOS.launch()


@DBOS.step()
async def parse(number: int) -> int:
    await asyncio.sleep(0.02)
    return number * 2


@DBOS.step()
async def refuse(reason: str) -> None:
    raise ValueError(reason)


@DBOS.workflow(name="child", serialization_type=WorkflowSerializationFormat.PORTABLE)
async def child(number: int) -> int:
    return await parse(number)


@DBOS.workflow(name="failing_child", serialization_type=WorkflowSerializationFormat.PORTABLE)
async def failing_child() -> None:
    await refuse("the child gave up")


@DBOS.workflow(name="invoices", serialization_type=WorkflowSerializationFormat.PORTABLE)
async def invoices(number: int = 1) -> int:
    first = await parse(number)
    left, right = await asyncio.gather(parse(first), parse(first + 1))
    below = await child(left + right)
    await DBOS.sleep_async(0.05)
    return below


@DBOS.workflow(name="fails", serialization_type=WorkflowSerializationFormat.PORTABLE)
async def fails() -> None:
    await parse(1)
    await refuse("no such invoice")


@DBOS.workflow(name="fails_in_pickle")
async def fails_in_pickle() -> None:
    await refuse("only a pickle knows")


@DBOS.workflow(name="child_fails", serialization_type=WorkflowSerializationFormat.PORTABLE)
async def child_fails() -> str:
    try:
        await failing_child()
    except ValueError as error:
        return str(error)
    return "the child did not fail"


@DBOS.workflow(name="sleeps", serialization_type=WorkflowSerializationFormat.PORTABLE)
async def sleeps(seconds: float = 2) -> None:
    await parse(1)
    await DBOS.sleep_async(seconds)
    await parse(2)


@DBOS.workflow(name="fails_once", serialization_type=WorkflowSerializationFormat.PORTABLE)
async def fails_once() -> None:
    """Fails where nobody has sent it a message yet."""
    await parse(1)
    if await DBOS.recv_async("go", timeout_seconds=0) is None:
        await refuse("nobody said go")
    await parse(2)


WORKFLOWS = {
    "invoices": invoices,
    "fails": fails,
    "fails_in_pickle": fails_in_pickle,
    "child_fails": child_fails,
    "sleeps": sleeps,
    "fails_once": fails_once,
}
