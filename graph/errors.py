"""What clients are told when something is wrong: a sentence, and a code they can act on.

ClientError                 what the client can mend; shown as it is
└── BadUserInput            an argument's value makes no sense

Everything else is an incident: logged with its traceback under a correlation id, which is all that the client sees.
"""

from __future__ import annotations

import logging
from typing import Any

from graphql import GraphQLError

from datasources.postgres import UnstorableValue, UpstreamTimeout, UpstreamUnavailable

_log = logging.getLogger("graph")
_LONGEST_MESSAGE = 1000  # characters; GraphQL quotes what it was sent, however long


class ClientError(Exception):
    """A mistake of the client's, with the code that names it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class BadUserInput(ClientError):
    """An argument's value makes no sense."""

    def __init__(self, message: str, code: str = "BAD_USER_INPUT") -> None:
        super().__init__(message, code)


def present(error: GraphQLError, correlation_id: str) -> dict[str, Any]:
    """The error as it stands in the response; what is nobody's business is logged instead."""
    shown = error.formatted
    extensions: dict[str, Any] = {**shown.get("extensions", {})}
    message = _shortened(shown["message"])
    cause = root_cause(error)
    if isinstance(cause, ClientError):
        extensions["code"] = cause.code
    elif isinstance(cause, UnstorableValue) or _misread_value(error, cause):
        extensions["code"] = "BAD_USER_INPUT"
    elif isinstance(cause, UpstreamUnavailable):
        message = "The database cannot be reached right now. Try again in a moment."
        extensions["code"] = "UPSTREAM_UNAVAILABLE"
        _log.warning("%s: %s", correlation_id, cause)
    elif isinstance(cause, UpstreamTimeout | TimeoutError):
        message = "This took longer than it may. Ask for less at once, or try again."
        extensions["code"] = "UPSTREAM_TIMEOUT"
        _log.warning("%s: %s", correlation_id, str(cause) or "the operation took longer than it may")
    elif cause is not None:
        message = "Something went wrong here. It has been logged under the correlation id."
        extensions["code"] = "INTERNAL_SERVER_ERROR"
        _log.error("%s: %s at %s", correlation_id, type(cause).__name__, error.path, exc_info=cause)
    else:
        extensions.setdefault("code", "BAD_USER_INPUT")
    if message != _shortened(shown["message"]):
        extensions["correlationId"] = correlation_id
    return {**shown, "message": message, "extensions": extensions}


def _shortened(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."


def _misread_value(error: GraphQLError, cause: Exception | None) -> bool:
    """Whether a scalar could not read what the client wrote, which is before any resolver has run."""
    return error.path is None and isinstance(cause, ValueError | OverflowError)


def root_cause(error: GraphQLError) -> Exception | None:
    """The exception behind a GraphQL error, or None where GraphQL itself found the fault."""
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause
