"""The demo fleet: documents that are wrong, a portal that is out of order, robots that really die."""

import ast
import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import graphql
import httpx
import pytest

import clients.demo_fleet
from clients.demo_fleet import paperwork
from clients.demo_fleet.activity import Activity
from clients.demo_fleet.orders import Order, entrypoint, install, queries
from clients.demo_fleet.paperwork import strikes
from clients.demo_fleet.portal import Portal
from clients.demo_fleet.producer import pace
from clients.demo_fleet.workflows import WORKFLOWS, desk
from clients.demo_fleet.workflows.invoice_intake import (
    InvoiceFormatError,
    download_invoices,
    parse_invoices,
    read_invoice,
)
from clients.demo_fleet.workflows.onboarding import InvalidIban, check_iban, query_credit_bureau
from clients.demo_fleet.workflows.price_watch import scrape_officeworld
from clients.demo_fleet.workflows.reconciliation import (
    ReconciliationMismatch,
    StatementFormatError,
    differences,
    download_statement,
    export_ledger,
    match_bookings,
    read_bookings,
)
from graph.schema import sdl

NUMBERS = range(1, 400)
NOBODY = "http://127.0.0.1:9/graphql"


def struck(fault: str, pattern: str = "{}") -> int:
    """The first number whose document has the fault."""
    return next(n for n in NUMBERS if strikes(fault, pattern.format(n)))


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    with Portal(slowness=0.0, overload=0.0).open() as portal:
        monkeypatch.setenv(desk.PORTAL, portal.url)
        monkeypatch.setenv(desk.WORK_DIR, str(tmp_path))
        monkeypatch.setenv(desk.PACE, "0")
        yield portal


def test_the_fleet_imports_nothing_of_the_server() -> None:
    imported = set()
    for path in Path(clients.demo_fleet.__file__).parent.rglob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(statement, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom) and statement.module:
                imported.add(statement.module.split(".")[0])
    assert not imported & {"graph", "subscriptions", "datasources"}


def test_what_a_robot_says_is_what_the_graph_understands() -> None:
    document = Path(clients.demo_fleet.__file__).with_name("robot.graphql").read_text(encoding="utf-8")
    assert graphql.validate(graphql.build_schema(sdl()), graphql.parse(document)) == []


def test_an_invoice_is_refused_exactly_when_it_is_malformed() -> None:
    for number in NUMBERS:
        text = paperwork.invoice(number)
        if strikes("malformed_invoice", number):
            with pytest.raises(InvoiceFormatError, match=f"invoice {number}: "):
                read_invoice(text)
        else:
            assert read_invoice(text)["number"] == str(number)


def test_an_iban_is_refused_exactly_when_it_is_mistyped() -> None:
    for number in NUMBERS:
        iban = paperwork.application(number)["iban"]
        if strikes("mistyped_iban", number):
            with pytest.raises(InvalidIban):
                check_iban(iban)
        else:
            assert check_iban(iban) == iban


def test_a_bank_statement_differs_from_the_ledger_exactly_when_it_is_unbalanced() -> None:
    for day in NUMBERS:
        if strikes("malformed_statement", day):
            continue
        sides = (read_bookings(account, paperwork.bookings(account, day)) for account in ("ledger", "bank"))
        assert bool(differences(*sides)) == strikes("unbalanced_statement", day)


def test_a_statement_with_an_unreadable_amount_names_its_row() -> None:
    day = struck("malformed_statement")
    with pytest.raises(StatementFormatError, match="row 7: 'n/a' is no amount"):
        read_bookings("bank", paperwork.bookings("bank", day))


async def test_a_malformed_invoice_fails_the_node_that_parses_it(portal: Portal) -> None:
    number = struck("malformed_invoice")
    await download_invoices([number])
    with pytest.raises(InvoiceFormatError, match=f"invoice {number}"):
        await parse_invoices([number])


async def test_an_unbalanced_day_fails_with_the_booking_that_differs(portal: Portal) -> None:
    day = struck("unbalanced_statement")
    await export_ledger(day)
    await download_statement(day)
    with pytest.raises(ReconciliationMismatch, match=f"1 of .* bookings differ, first B{day}-003"):
        await match_bookings(day)


async def test_a_counterpart_out_of_order_is_an_http_error_with_its_reason(portal: Portal) -> None:
    number = struck("bureau_down")
    with pytest.raises(httpx.HTTPStatusError, match="was answered 500: the scoring engine is unavailable"):
        await query_credit_bureau(number)


async def test_a_page_that_never_comes_is_a_timeout_that_names_it(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "PATIENCE_SECONDS", 0.2)
    page = struck("stuck_shop", "officeworld/{}")
    with pytest.raises(httpx.ReadTimeout, match=rf"GET /shops/officeworld\?page={page}: no answer within 0.2 s"):
        await scrape_officeworld(page)


async def test_an_overloaded_portal_asks_to_try_again(portal: Portal) -> None:
    portal.overload = 1.0
    with pytest.raises(httpx.HTTPStatusError, match="503: overloaded, try again"):
        await desk.post("/letters", "Dear customer")


async def test_prices_are_read_from_the_page_itself(portal: Portal) -> None:
    prices = await scrape_officeworld(1)
    assert "Copy paper A4" in prices
    assert all(100 < cents < 10_000 for cents in prices.values())


def test_progress_counts_the_nodes_that_are_behind() -> None:
    activity = Activity()
    seen: list[tuple[str | None, float | None]] = []

    def look() -> None:
        seen.append((activity.node, activity.progress_percent))

    look()
    with activity.job("a", 4):
        with activity.at("a", 1, "fetch"):
            look()
        with activity.at("a", 2, "left"), activity.at("a", 3, "right"):
            look()
        look()
        with activity.at("a", 4, "file"), activity.at("b", 9, "of a job we lost"):
            look()
    look()
    assert seen == [(None, None), ("fetch", 0.0), ("right", 25.0), (None, 75.0), ("file", 75.0), (None, None)]


def test_a_resumed_job_starts_where_it_was() -> None:
    activity = Activity()
    with activity.job("a", 4), activity.at("a", 3, "parse"):
        assert activity.progress_percent == 50.0


def test_the_work_ebbs_and_flows_around_its_mean() -> None:
    paces = [pace(second, robots=4, rate=1.0) for second in range(240)]
    assert min(paces) > 0
    assert max(paces) > 4 * min(paces)
    assert sum(paces) / len(paces) == pytest.approx(pace(0, robots=4, rate=1.0))


Spawn = Callable[[str], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def robot(empty_dsn: str, portal: Portal) -> AsyncIterator[Spawn]:
    """Starts robots on a database of their own, with a monitor that is away."""
    await install(empty_dsn)
    processes: list[asyncio.subprocess.Process] = []

    async def spawn(robot_id: str) -> asyncio.subprocess.Process:
        arguments = ("--url", NOBODY, "--robot-id", robot_id, "--environment", "production")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "clients.demo_fleet.robot", *arguments),
            env={**os.environ, "CASARE_DEMO_DSN": empty_dsn},
        )
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        if process.returncode is None:
            process.terminate()
    for process in processes:
        await asyncio.wait_for(process.wait(), timeout=10)


@asynccontextmanager
async def database(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def order(dsn: str, workflow_id: str, number: int) -> str:
    """Enqueue an order; its job id."""
    job_id = str(uuid.uuid4())
    payload = Order(job_id, workflow_id, WORKFLOWS[workflow_id].name, "production", number).to_payload()
    async with queries(dsn) as queue:
        await queue.enqueue(entrypoint("production", workflow_id), payload)
    return job_id


async def until(connection: asyncpg.Connection, condition: str, *arguments: object) -> None:
    """Wait until a query says true, for at most 40 seconds."""
    async with asyncio.timeout(40):
        while not await connection.fetchval(condition, *arguments):  # noqa: ASYNC110  # the event is in Postgres
            await asyncio.sleep(0.1)


DRAINED = "SELECT NOT EXISTS (SELECT FROM pgqueuer)"


@pytest.mark.slow
async def test_every_workflow_runs_through_the_nodes_it_declares_while_the_monitor_is_away(
    robot: Spawn, empty_dsn: str
) -> None:
    jobs = {await order(empty_dsn, workflow_id, 4): workflow for workflow_id, workflow in WORKFLOWS.items()}
    await robot("r1")
    async with database(empty_dsn) as connection:
        await until(connection, DRAINED)
        rows = await connection.fetch(
            """SELECT workflow_uuid, w.status, count(*) AS nodes FROM dbos.workflow_status w
               JOIN dbos.operation_outputs USING (workflow_uuid) GROUP BY 1, 2"""
        )
    assert {row["workflow_uuid"]: (row["status"], row["nodes"]) for row in rows} == {
        job_id: ("SUCCESS", workflow.nodes) for job_id, workflow in jobs.items()
    }


@pytest.mark.slow
async def test_a_failed_job_leaves_its_reason_in_the_queue_and_in_the_workflow(robot: Spawn, empty_dsn: str) -> None:
    day = struck("unbalanced_statement")
    job_id = await order(empty_dsn, "ledger-reconciliation", day)
    await robot("r1")
    async with database(empty_dsn) as connection:
        await until(connection, DRAINED)
        queued = await connection.fetchval(
            "SELECT traceback->>'exception_type' FROM pgqueuer_log WHERE status = 'exception'"
        )
        durable = await connection.fetchval(
            "SELECT error::json->>'name' FROM dbos.workflow_output WHERE workflow_uuid = $1", job_id
        )
    assert (queued, durable) == ("ReconciliationMismatch", "ReconciliationMismatch")


@pytest.mark.slow
async def test_the_job_of_a_robot_that_died_goes_on_elsewhere_after_its_last_finished_node(
    robot: Spawn, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(desk.PACE, "1")
    job_id = await order(empty_dsn, "month-end-report", 4)
    nodes = "SELECT function_id, completed_at_epoch_ms FROM dbos.operation_outputs WHERE workflow_uuid = $1"
    async with database(empty_dsn) as connection:
        mortal = await robot("mortal")
        await until(connection, f"SELECT count(*) >= 2 FROM ({nodes}) AS finished", job_id)
        mortal.send_signal(signal.SIGKILL)
        await mortal.wait()
        before = {step: at for step, at in await connection.fetch(nodes, job_id)}
        await connection.execute("UPDATE pgqueuer SET heartbeat = now() - interval '1 minute'")
        await robot("heir")
        await until(connection, DRAINED)
        after = {step: at for step, at in await connection.fetch(nodes, job_id)}
        end = await connection.fetchval(
            "SELECT status || ' on ' || split_part(executor_id, '/', 1) FROM dbos.workflow_status"
        )
    assert end == "SUCCESS on heir"
    assert sorted(after) == [1, 2, 3, 4, 5, 6]
    assert before.items() <= after.items()


@pytest.mark.slow
async def test_a_robot_that_is_stopped_cancels_its_job_and_ends_well(
    robot: Spawn, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(desk.PACE, "1")
    job_id = await order(empty_dsn, "month-end-report", 4)
    async with database(empty_dsn) as connection:
        process = await robot("r1")
        await until(connection, "SELECT EXISTS (SELECT FROM dbos.operation_outputs)")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), timeout=10) == 0
        queued = await connection.fetchval("SELECT status::text FROM pgqueuer_log ORDER BY id DESC LIMIT 1")
        durable = await connection.fetchval("SELECT status FROM dbos.workflow_status WHERE workflow_uuid = $1", job_id)
    assert (queued, durable) == ("canceled", "CANCELLED")
