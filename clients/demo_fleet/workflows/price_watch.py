"""Supplier price watch: read three shops' catalogues from their pages and tell each item's lowest price."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from dbos import DBOS

from clients.demo_fleet.workflows.desk import folder, get, node, post, render, side_by_side


class CatalogueError(Exception):
    """A page on which no prices could be found."""


class PriceTable(HTMLParser):
    """Collects items and prices from a catalogue page."""

    def __init__(self) -> None:
        super().__init__()
        self.prices: dict[str, int] = {}
        self._cell: str | None = None
        self._item = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember which kind of cell begins."""
        self._cell = dict(attrs).get("class") if tag == "td" else None

    def handle_data(self, data: str) -> None:
        """Take a cell's text: an item first, then its price."""
        if self._cell == "item":
            self._item = data
        elif self._cell == "price":
            self.prices[self._item] = round(float(data) * 100)


async def _scrape(shop: str, page: int) -> dict[str, int]:
    """The prices on one shop's page, in cents."""
    table = PriceTable()
    table.feed((await get(f"/shops/{shop}?page={page}")).text)
    if not table.prices:
        raise CatalogueError(f"{shop}, page {page}: no prices found")
    (folder() / f"{shop}.json").write_text(json.dumps(table.prices), encoding="utf-8")
    return table.prices


@node()
async def scrape_officeworld(page: int) -> dict[str, int]:
    """Prices at Officeworld."""
    return await _scrape("officeworld", page)


@node()
async def scrape_paperhouse(page: int) -> dict[str, int]:
    """Prices at Paperhouse."""
    return await _scrape("paperhouse", page)


@node()
async def scrape_toolbarn(page: int) -> dict[str, int]:
    """Prices at Toolbarn."""
    return await _scrape("toolbarn", page)


@node()
async def compare_prices(catalogues: list[dict[str, int]]) -> dict[str, int]:
    """The lowest price for each item."""
    items = sorted(set().union(*catalogues))
    return {item: min(prices[item] for prices in catalogues if item in prices) for item in items}


@node()
async def render_digest(lowest: dict[str, int]) -> int:
    """Write the digest."""
    rows = [(item, f"{cents / 100:.2f}") for item, cents in lowest.items()]
    text = render("report.html", title="Where to buy today", rows=rows, total=f"{sum(lowest.values()) / 100:.2f}")
    return (folder() / "digest.html").write_text(text, encoding="utf-8")


@node(attempts=5)
async def send_digest() -> str:
    """Hand the digest to the buyers."""
    return await post("/digests", (folder() / "digest.html").read_text(encoding="utf-8"))


@DBOS.workflow(name="price-watch")
async def price_watch(page: int) -> dict[str, object]:
    """Compare one page of every shop."""
    catalogues = await side_by_side(scrape_officeworld(page), scrape_paperhouse(page), scrape_toolbarn(page))
    lowest = await compare_prices(catalogues)
    await render_digest(lowest)
    return {"items": len(lowest), "receipt": await send_digest()}
