"""How the command line speaks: rich where a terminal has it, plain where it has not, errors in one sentence."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg
import typer
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.table import Table

from datasources.embedded import EmbeddedPostgresError
from datasources.migrate import MigrationError
from datasources.settings import Settings
from datasources.sources import SourceError

FAILED, USAGE, UNAVAILABLE = 1, 2, 3

_UNWRAPPED = 1000  # columns where nobody looks at a screen: what is piped is cut into fields, not into lines

_PLACES = {"database_url", "bus"}  # secrets of which all but the password may be shown

out = Console(highlight=False)
if not out.is_terminal:
    out.width = _UNWRAPPED
err = Console(stderr=True, highlight=False)


def fail(message: str, code: int = FAILED) -> typer.Exit:
    """Say what went wrong; raise what comes back."""
    err.print("[bold red]error:[/] ", end="")
    err.print(message, markup=False, soft_wrap=True)
    return typer.Exit(code)


@contextmanager
def explained() -> Iterator[None]:
    """What is known to go wrong ends the command with a sentence and an exit code, not with a traceback."""
    try:
        yield
    except ValueError as error:
        raise fail(str(error), USAGE) from error
    except (MigrationError, SourceError, EmbeddedPostgresError) as error:
        raise fail(str(error)) from error
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, TimeoutError) as error:
        raise fail(f"the database cannot be reached: {str(error) or type(error).__name__}", UNAVAILABLE) from error
    except asyncpg.PostgresError as error:
        raise fail(f"the database refused: {error}") from error


def load_settings() -> Settings:
    """The settings; ends the command where a variable makes no sense."""
    known = {variable(name) for name in Settings.model_fields}
    for name in sorted(set(os.environ) - known):
        if name.startswith("CASARE_") and name not in {"CASARE_DEMO_DSN", "CASARE_TOKEN"}:
            close = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {close[0]}?" if close else ""
            err.print(f"[yellow]warning:[/] {name} is not a setting{hint}", soft_wrap=True)
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{variable(str(problem['loc'][0])) if problem['loc'] else 'settings'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise fail("; ".join(lines), USAGE) from error


def variable(field: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[field].validation_alias if field in Settings.model_fields else None
    if alias is not None:
        return str(getattr(alias, "choices", [alias])[0])
    return field if field.isupper() else f"CASARE_{field.upper()}"


def settings_table(settings: BaseSettings) -> Table:
    """Every setting with its value, where it came from and what it is; secrets hidden."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("variable", "value", "from", "what it is"):
        table.add_column(column, overflow="fold", no_wrap=column == "variable")
    for name, field in type(settings).model_fields.items():
        origin = "environment" if name in settings.model_fields_set else "default"
        table.add_row(variable(name), _shown(name, getattr(settings, name)), origin, field.description or "")
    return table


def _shown(name: str, value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, SecretStr):
        return str(value)
    return place(value.get_secret_value()) if name in _PLACES else "********"


def place(dsn: str) -> str:
    """Where a database is, without anything secret."""
    url = urlsplit(dsn)
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{user}{url.hostname or ''}{port}{url.path}"
