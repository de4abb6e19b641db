"""Invoice intake: fetch a batch of suppliers' invoices, read them, check them and post them to the ledger."""

from __future__ import annotations

import csv
import re
from datetime import date
from decimal import Decimal

from dbos import DBOS

from clients.demo_fleet.workflows.desk import folder, get, node, post, side_by_side

_HEADING = re.compile(r"^(INVOICE|Supplier:|Order:|Date:|Total:) (.+)$", re.MULTILINE)
_LINE = re.compile(r"^(.+); (\d+); (\d+\.\d\d)$", re.MULTILINE)


class InvoiceFormatError(Exception):
    """An invoice that cannot be read as one."""


def read_invoice(text: str) -> dict[str, str]:
    """An invoice's number, supplier, order, date and total in cents, checked against its lines."""
    headings = {key.rstrip(":").lower(): value for key, value in _HEADING.findall(text)}
    number = headings.get("invoice", "without number")
    try:
        day = date.fromisoformat(headings["date"])
    except ValueError as error:
        raise InvoiceFormatError(f"invoice {number}: '{headings['date']}' is no date") from error
    stated = re.fullmatch(r"(\d+\.\d\d) EUR", headings["total"])
    if stated is None:
        raise InvoiceFormatError(f"invoice {number}: '{headings['total']}' is no total")
    total = sum(int(quantity) * Decimal(price) for _, quantity, price in _LINE.findall(text))
    if total != Decimal(stated[1]):
        raise InvoiceFormatError(f"invoice {number}: its lines add up to {total} EUR, not to {stated[1]} EUR")
    return {
        "number": number,
        "supplier": headings["supplier"],
        "order": headings["order"],
        "date": day.isoformat(),
        "cents": str(int(total * 100)),
    }


@node(attempts=3)
async def open_inbox(batch: int) -> list[int]:
    """The numbers of the invoices that came in."""
    numbers: list[int] = (await get(f"/inbox/{batch}")).json()
    return numbers


@node(attempts=3)
async def download_invoices(numbers: list[int]) -> int:
    """Put the invoices into the job's folder."""
    for number in numbers:
        (folder() / f"{number}.txt").write_text((await get(f"/invoices/{number}")).text, encoding="utf-8")
    return len(numbers)


@node()
async def parse_invoices(numbers: list[int]) -> list[dict[str, str]]:
    """Read every invoice in the folder."""
    return [read_invoice((folder() / f"{number}.txt").read_text(encoding="utf-8")) for number in numbers]


@node()
async def match_orders(invoices: list[dict[str, str]]) -> int:
    """Which invoices belong to one of our orders."""
    return sum(re.fullmatch(r"PO-\d{4}", invoice["order"]) is not None for invoice in invoices)


@node()
async def find_duplicates(invoices: list[dict[str, str]]) -> int:
    """How often a supplier bills the same amount on the same day."""
    return len(invoices) - len({(i["supplier"], i["date"], i["cents"]) for i in invoices})


@node(attempts=5)
async def post_to_ledger(invoices: list[dict[str, str]]) -> str:
    """Write the batch as CSV and hand it to the ledger."""
    path = folder() / "postings.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(invoices[0]))
        writer.writeheader()
        writer.writerows(invoices)
    return await post("/postings", path.read_text(encoding="utf-8"))


@DBOS.workflow(name="invoice-intake")
async def invoice_intake(batch: int) -> dict[str, object]:
    """Take one batch of invoices in."""
    numbers = await open_inbox(batch)
    await download_invoices(numbers)
    invoices = await parse_invoices(numbers)
    matched, duplicates = await side_by_side(match_orders(invoices), find_duplicates(invoices))
    receipt = await post_to_ledger(invoices)
    return {"invoices": len(numbers), "matched": matched, "duplicates": duplicates, "receipt": receipt}
