"""The commands about who may come in: `casare-monitor token` and `casare-monitor keys`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from datasources.keys import Key, KeyNotCreated, all_keys, create_key, revoke_key
from datasources.postgres import Database
from graph.access.tokens import LONGEST_NAME, is_name, mint
from graph.commands.administration import tell, within
from graph.commands.console import err, explained, fail, load_settings, out
from graph.viewer import Role

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_LIFE = 3650 * 86_400  # seconds of a key

Granted = StrEnum("Granted", {role.name: role.value for role in Role if role is not Role.ANONYMOUS})  # type: ignore[misc]


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise typer.BadParameter("write it as 90s, 30m, 12h or 7d.")
    return int(match[1]) * _SECONDS[match[2]]


def _named(name: str) -> str:
    if not is_name(name):
        raise typer.BadParameter(f"a name has up to {LONGEST_NAME} printable characters.")
    return name


def _environments(names: list[str] | None) -> list[str] | None:
    if names and not all(name.isprintable() and name for name in names):
        raise typer.BadParameter("an environment is called by printable characters.")
    return names


Environments = Annotated[
    list[str] | None,
    typer.Option("--env", help="An environment to see; repeat it for several.  [default: all]", callback=_environments),
]


def token(
    role: Annotated[list[Granted], typer.Option("--role", help="What its bearer may do; repeat it for several.")],
    env: Environments = None,
    ttl: Annotated[
        int, typer.Option(parser=_duration, metavar="DURATION", help="How long it lives, 24h at most.")
    ] = "1h",  # type: ignore[assignment]  # is parsed as what is typed would be
    name: Annotated[str, typer.Option(help="Whose it is (sub).", callback=_named)] = "developer",
) -> None:
    """Mint a token with CASARE_JWT_SECRET, for development: nothing but the token is printed."""
    with explained():
        typer.echo(mint(load_settings(), name, [Role(word) for word in role], env or None, ttl))


keys = typer.Typer(help="API keys of machines: make, list and revoke them.", no_args_is_help=True)


@keys.command(epilog="Example: `casare-monitor keys create --name robot-7 --role robot --env production --ttl 90d`")
def create(
    name: Annotated[str, typer.Option(help="Whose it is; no two active keys have one name.", callback=_named)],
    role: Annotated[Granted, typer.Option(help="What it may do.")],
    env: Environments = None,
    ttl: Annotated[
        int | None, typer.Option(parser=_duration, metavar="DURATION", help="How long it opens, as 12h or 90d.")
    ] = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="It opens until it is revoked.")] = False,
) -> None:
    """Make a key and show it, once: only a digest of it is kept."""
    if (ttl is None) != never_expires:
        raise typer.BadParameter("say either --ttl or --never-expires.")
    if ttl is not None and ttl > _LONGEST_LIFE:
        raise typer.BadParameter("ten years are enough; or say --never-expires.", param_hint="--ttl")

    async def made(at: Database) -> str:
        key = await create_key(at, name, role.value, env or None, ttl)
        await tell(at, "KEY_CREATED", f"{key.split('_')[1]} {name}, {role.value}, {', '.join(env or ['everything'])}")
        return key

    try:
        key = within(made)
    except KeyNotCreated as error:
        raise fail(str(error)) from error
    err.print("This key is shown this once. Send it as `Authorization: Bearer ...` or as `X-API-Key`.", soft_wrap=True)
    if load_settings().open:
        err.print("[yellow]With these settings a server is open: CASARE_AUTH=required closes it.[/]", soft_wrap=True)
    typer.echo(key)


@keys.command("list", epilog="Example: `casare-monitor keys list`")
def list_keys() -> None:
    """List every key that there is or was; what opens with them is not told."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "name", "role", "environments", "state", "created", "last used"):
        table.add_column(column, overflow="fold")
    for key in within(all_keys):
        seen = "all" if key.environments is None else ", ".join(sorted(key.environments))
        row = (key.key_id, key.name, key.role, seen, _state(key), _at(key.created_at), _at(key.last_used_at))
        table.add_row(*row)
    out.print(table, markup=False)


@keys.command(epilog="Example: `casare-monitor keys revoke 0123456789ab`")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id of a key, as `keys list` shows it.")],
) -> None:
    """Let a key open nothing any more, everywhere within three seconds."""

    async def revoked(at: Database) -> Key | None:
        key = await revoke_key(at, key_id)
        if key is not None:
            await tell(at, "KEY_REVOKED", f"{key.key_id} {key.name}")
        return key

    key = within(revoked)
    if key is None:
        raise fail(f"there is no active key {key_id}")
    out.print(f"{key.key_id} ({key.name}) opens nothing any more", markup=False)


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {_at(key.revoked_at)}"
    if key.expires_at is None:
        return "active"
    return f"{'expired' if key.expires_at <= datetime.now(UTC) else 'active until'} {_at(key.expires_at)}"


def _at(moment: datetime | None) -> str:
    return "never" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
