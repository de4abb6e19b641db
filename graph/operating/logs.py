"""What is logged, and how: JSON for machines, text for whoever looks at a terminal; one line for each thing.

A line carries the id of the exchange it belongs to. What clients send never stands in it: no variables, no documents,
no tokens, no query strings.
"""

from __future__ import annotations

import logging
import sys
import warnings
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import orjson

from datasources.settings import Settings
from graph.operating.exchanges import current

_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def configure(settings: Settings) -> None:
    """Make all of this process log alike, uvicorn included."""
    # An operation that is cancelled leaves what graphql-core has not begun: nothing is lost with it.
    warnings.filterwarnings("ignore", r"coroutine '(Executor|GraphQLCoreConverter)\.", RuntimeWarning)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line of ours tells them
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    handler = Lines(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class Lines(logging.StreamHandler[TextIO]):
    """Writes a record as soon as it is there, and asks no more of the stream than that."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write its line; logging holds the lock."""
        try:
            self.stream.write(self.format(record) + "\n")
            self.stream.flush()
        except Exception:  # noqa: BLE001  # as logging has it: who logs must not fail
            self.handleError(record)


class JsonLines(logging.Formatter):
    """A record as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.created * 1000) % 1000:03}+00:00",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


@lru_cache(maxsize=1)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class TextLines(logging.Formatter):
    """A record as people like to read it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback where there is one."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extras = _extras(record)
        details = " ".join(f"{name}={value}" for name, value in extras.items() if name in _SHOWN and value)
        line = f"{at} {record.levelname.lower():7} {record.name}: {record.getMessage()}  {details}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


_SHOWN = ("operation", "outcome", "codes", "reason", "duration_ms", "sql_statements", "bytes", "client", "request_id")


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    about = vars(record)
    extras = about["told"] if "told" in about else {name: about[name] for name in about if name not in _KNOWN}
    if "request_id" not in extras and (exchange := current.get()) is not None:
        extras["request_id"] = exchange.id
    return extras
