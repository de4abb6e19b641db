"""The demo fleet: documents that are wrong, and a portal that is out of order."""

import ast
from pathlib import Path

import graphql
import httpx
import pytest
from faulty import NUMBERS, struck

import clients.demo_fleet
from clients.demo_fleet import paperwork
from clients.demo_fleet.activity import Activity
from clients.demo_fleet.paperwork import strikes
from clients.demo_fleet.portal import Portal
from clients.demo_fleet.producer import pace
from clients.demo_fleet.workflows import desk
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
