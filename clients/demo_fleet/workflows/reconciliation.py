"""Ledger reconciliation: compare a day's bookings in our ledger with the bank's statement."""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation

from dbos import DBOS

from clients.demo_fleet.workflows.desk import folder, get, node, post, render, side_by_side


class StatementFormatError(Exception):
    """A statement with a row that cannot be read."""


class ReconciliationMismatch(Exception):
    """The ledger and the bank disagree."""


def read_bookings(account: str, text: str) -> dict[str, Decimal]:
    """The amounts of a CSV of bookings, by reference."""
    amounts = {}
    for row, booking in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            amounts[booking["reference"]] = Decimal(booking["amount"])
        except InvalidOperation as error:
            raise StatementFormatError(f"{account} statement, row {row}: '{booking['amount']}' is no amount") from error
    return amounts


def differences(ledger: dict[str, Decimal], bank: dict[str, Decimal]) -> list[str]:
    """The references whose amounts are not the same on both sides."""
    return sorted(ref for ref in ledger.keys() | bank.keys() if ledger.get(ref) != bank.get(ref))


async def _export(account: str, day: int) -> int:
    text = (await get(f"/{account}/{day}")).text
    (folder() / f"{account}.csv").write_text(text, encoding="utf-8")
    return len(text.splitlines()) - 1


@node(attempts=3)
async def export_ledger(day: int) -> int:
    """Save our bookings of the day."""
    return await _export("ledger", day)


@node(attempts=3)
async def download_statement(day: int) -> int:
    """Save the bank's statement of the day."""
    return await _export("bank", day)


def _bookings(account: str) -> dict[str, Decimal]:
    return read_bookings(account, (folder() / f"{account}.csv").read_text(encoding="utf-8"))


@node()
async def read_statements() -> int:
    """Read both files once through, so that a broken one is found before any booking is compared."""
    return len(_bookings("ledger")) + len(_bookings("bank"))


@node()
async def match_bookings(day: int) -> str:
    """Find what differs; the day's balance."""
    ledger, bank = _bookings("ledger"), _bookings("bank")
    if open_items := differences(ledger, bank):
        first = open_items[0]
        raise ReconciliationMismatch(
            f"day {day}: {len(open_items)} of {len(ledger)} bookings differ, "
            f"first {first}: ledger {ledger.get(first)}, bank {bank.get(first)}"
        )
    return str(sum(ledger.values()))


@node()
async def render_statement(day: int, balance: str) -> int:
    """Write the reconciliation statement."""
    rows = [(reference, str(amount)) for reference, amount in sorted(_bookings("ledger").items())]
    text = render("report.html", title=f"Reconciliation of day {day}", rows=rows, total=balance)
    return (folder() / "statement.html").write_text(text, encoding="utf-8")


@node(attempts=5)
async def file_statement(day: int) -> str:
    """Hand the statement to the auditors."""
    return await post(f"/statements/{day}", (folder() / "statement.html").read_text(encoding="utf-8"))


@DBOS.workflow(name="ledger-reconciliation")
async def ledger_reconciliation(day: int) -> dict[str, object]:
    """Reconcile one day."""
    await side_by_side(export_ledger(day), download_statement(day))
    await read_statements()
    balance = await match_bookings(day)
    await render_statement(day, balance)
    return {"balance": balance, "receipt": await file_statement(day)}
