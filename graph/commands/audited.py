"""The command that shows the audit log: `casare-monitor audit`."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer
from rich.table import Table

from datasources.audit import AuditKind, newest
from graph.commands.administration import within
from graph.commands.console import out


def audit(
    last: Annotated[int, typer.Option(help="How many at most.", min=1, max=10_000)] = 50,
    kind: Annotated[AuditKind | None, typer.Option(help="Only this kind.", show_default=False)] = None,
) -> None:
    """Show what was refused, which keys were used and what admins did, the newest last."""
    rows = within(lambda at: newest(at, last, kind))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("at", "times", "kind", "code", "viewer", "address", "detail", "request id"):
        table.add_column(column, overflow="fold")
    for row in reversed(rows):
        at = row.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        texts = (row.code, row.viewer, row.address, row.detail, row.request_id)
        table.add_row(at, str(row.times), row.kind, *(text or "-" for text in texts))
    out.print(table, markup=False)
