"""Month-end report: collect the branches' sales, add them up, render the report, seal and archive it."""

from __future__ import annotations

import csv
import hashlib
from statistics import fmean, pstdev

from dbos import DBOS

from clients.demo_fleet.workflows.desk import folder, get, node, post, render


@node(attempts=3)
async def collect_figures(month: int) -> list[str]:
    """Save each branch's sales as CSV; the branches."""
    figures: dict[str, list[int]] = (await get(f"/figures/{month}")).json()
    for branch, cents in figures.items():
        with (folder() / f"{branch}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(enumerate(cents, start=1))
    return sorted(figures)


def _sales(branch: str) -> list[int]:
    with (folder() / f"{branch}.csv").open(newline="", encoding="utf-8") as file:
        return [int(cents) for _, cents in csv.reader(file)]


@node()
async def total_sales(branches: list[str]) -> dict[str, int]:
    """Each branch's sales in cents."""
    return {branch: sum(_sales(branch)) for branch in branches}


@node()
async def find_outliers(branches: list[str]) -> int:
    """On how many days a branch sold unusually much or little."""
    outliers = 0
    for branch in branches:
        sales = _sales(branch)
        mean, spread = fmean(sales), pstdev(sales)
        outliers += sum(abs(cents - mean) > 1.6 * spread for cents in sales)
    return outliers


@node()
async def render_report(month: int, totals: dict[str, int], outliers: int) -> int:
    """Write the report."""
    rows = [(branch, f"{cents / 100:.2f}") for branch, cents in totals.items()]
    title = f"Sales of month {month}, {outliers} unusual days"
    text = render("report.html", title=title, rows=rows, total=f"{sum(totals.values()) / 100:.2f}")
    return (folder() / "report.html").write_text(text, encoding="utf-8")


@node()
async def seal_report() -> str:
    """The report's digest, by which a later change shows."""
    return hashlib.sha256((folder() / "report.html").read_bytes()).hexdigest()


@node(attempts=3)
async def archive_report(month: int) -> str:
    """Hand the report to the archive."""
    return await post(f"/reports/{month}", (folder() / "report.html").read_text(encoding="utf-8"))


@DBOS.workflow(name="month-end-report")
async def month_end_report(month: int) -> dict[str, object]:
    """Report one month."""
    branches = await collect_figures(month)
    totals = await total_sales(branches)
    outliers = await find_outliers(branches)
    await render_report(month, totals, outliers)
    seal = await seal_report()
    return {"seal": seal, "receipt": await archive_report(month)}
