"""The command `casare-monitor documents`: which documents are trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from datasources.documents import DocumentRow, forget, register
from datasources.documents import documents as all_documents
from datasources.postgres import Database
from graph.commands.administration import tell, within
from graph.commands.console import fail, load_settings, out
from graph.commands.manifests import BadManifest, read
from graph.engine.plans import Plans
from graph.schema import build_schema, core

_LONGEST_LINE = 60  # characters of a document that are shown

documents = typer.Typer(help="Trusted documents: register, list and remove them.", no_args_is_help=True)


@documents.command(epilog="Example: `casare-monitor documents add persisted-query-manifest.json`")
def add(
    manifests: Annotated[
        list[Path],
        typer.Argument(
            metavar="MANIFEST...",
            help="Apollo's persisted-query manifest, a JSON map of ids to documents (Relay, GraphQL Code Generator), "
            "or .graphql files, or folders of them.",
            show_default=False,
        ),
    ],
) -> None:
    """Trust the documents of manifests, all of them or, if one does not fit the schema, none."""
    try:
        found = read(manifests, Plans(core(build_schema()), load_settings()))
    except BadManifest as error:
        raise fail(str(error)) from error

    async def added(at: Database) -> int:
        async with at.transaction() as connection:
            new = await register(connection, list(found.items()))
        if new:
            await tell(at, "DOCUMENTS_ADDED", f"{new} of {len(found)}")
        return new

    new = within(added)
    out.print(f"{len(found)} documents are trusted, {new} of them new or changed; workers know within seconds")


@documents.command("list", epilog="Example: `casare-monitor documents list`")
def list_documents() -> None:
    """List the documents that are trusted."""

    async def found(at: Database) -> list[DocumentRow]:
        async with at.connection() as connection:
            return await all_documents(connection)

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "registered", "document"):
        table.add_column(column, overflow="fold")
    for row in within(found):
        line = " ".join(row.text.split())
        shown = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
        table.add_row(row.id, f"{row.registered_at:%Y-%m-%d %H:%MZ}", shown)
    out.print(table, markup=False)


@documents.command(epilog="Example: `casare-monitor documents remove --all`")
def remove(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Their ids.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
) -> None:
    """Trust documents no more, everywhere within seconds."""
    if bool(ids) == everything:
        raise typer.BadParameter("say either which ids, or --all.")

    async def removed(at: Database) -> set[str]:
        async with at.transaction() as connection:
            known = await forget(connection, ids or None)
        if known:
            await tell(at, "DOCUMENTS_REMOVED", str(len(known)))
        return known

    known = within(removed)
    if missing := [id_ for id_ in ids or () if id_ not in known]:
        out.print(f"removed {len(known)}")
        raise fail(f"there is no document {missing[0]}")
    out.print(f"{len(known)} documents are trusted no more")
