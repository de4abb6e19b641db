"""Relay's global object identification: an id that tells its type, so that any object can be asked for again."""

from __future__ import annotations

import base64
import binascii

import strawberry

from graph.errors import BadUserInput


@strawberry.interface(description="An object with an id that is unique in the whole graph.")
class Node:
    """Relay's node."""

    id: strawberry.ID = strawberry.field(description="Opaque id, for `node(id:)`; the plain ids stand beside it.")


def global_id(type_name: str, key: str) -> strawberry.ID:
    """The global id of an object."""
    return strawberry.ID(base64.urlsafe_b64encode(f"{type_name}:{key}".encode()).decode().rstrip("="))


def read_global_id(value: str) -> tuple[str, str]:
    """The type and key that a global id names; raises BadUserInput where it is none."""
    try:
        text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadUserInput(f"{value!r:.60} is not an id of this API.", "BAD_ID") from error
    type_name, colon, key = text.partition(":")
    if not colon:
        raise BadUserInput(f"{value!r:.60} is not an id of this API.", "BAD_ID")
    return type_name, key
