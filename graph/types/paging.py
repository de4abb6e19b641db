"""Relay connections over keyset pages.

A cursor names the list it belongs to, so that one from another list is refused rather than misread.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import orjson
import strawberry

from datasources.paging import Key, Ordering, Page, PageRequest
from graph.errors import BadUserInput

MOST = 100  # rows of one page
LONGEST_SEARCH = 200  # characters of a text to search for

Item = TypeVar("Item")
Count = Callable[[], Awaitable[int]]

First = Annotated[int, strawberry.argument(description="How many, 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="Only what comes after the place with this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="So many from the end instead, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="Only what comes before the place with this cursor.")]


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row of a page with the cursor of its place."""

    cursor: str
    node: Any


@dataclass(frozen=True, slots=True)
class ConnectionOf:
    """A page with what is needed to name its places and, if asked, to count the whole list."""

    page: Page[Any]
    list_name: str
    key_of: Callable[[Any], Key]
    count: Count

    def cursor(self, row: object) -> str:
        """The opaque name of the row's place in this list."""
        key = self.key_of(row)
        return base64.urlsafe_b64encode(orjson.dumps([self.list_name, key.value, key.id])).decode().rstrip("=")


def search_text(text: str | None) -> str | None:
    """What is searched for; raises BadUserInput where it is longer than anybody types."""
    if text is not None and len(text) > LONGEST_SEARCH:
        raise BadUserInput(f"search may have {LONGEST_SEARCH} characters, not {len(text)}.")
    return text


def page_request(
    list_name: str,
    ordering: Ordering,
    first: int,
    after: str | None,
    last: int | None = None,
    before: str | None = None,
) -> PageRequest:
    """The page that Relay's arguments ask for; `last` turns the reading direction."""
    for name, number in (("first", first), ("last", last)):
        if number is not None and not 1 <= number <= MOST:
            raise BadUserInput(f"{name} must lie between 1 and {MOST}, not {number}.")
    return PageRequest(
        limit=first if last is None else last,
        after=_key(list_name, ordering, "after", after),
        before=_key(list_name, ordering, "before", before),
        backward=last is not None,
    )


def _key(list_name: str, ordering: Ordering, argument: str, cursor: str | None) -> Key | None:
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        of_list, value, row_id = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, orjson.JSONDecodeError, ValueError, TypeError) as error:
        raise BadUserInput(f"{argument} is not a cursor of this API.", "BAD_CURSOR") from error
    if of_list != list_name:
        raise BadUserInput(f"{argument} is a cursor of another list or order.", "BAD_CURSOR")
    if not isinstance(value, str) or not isinstance(row_id, str) or not ordering.reads(value) or "\0" in row_id:
        raise BadUserInput(f"{argument} is not a cursor of this API.", "BAD_CURSOR")
    return Key(value, row_id)


@strawberry.type(description="Whether a list goes on beyond a page, and the cursors of the page's ends.")
class PageInfo:
    """Relay's page information."""

    has_next_page: bool = strawberry.field(description="Whether there are items after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are items before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item; null on an empty page.")


@strawberry.type(description="An item of a list and its place there.")
class Edge(Generic[Item]):
    """Relay's edge."""

    cursor: str = strawberry.field(description="Opaque name of this place, for `after` and `before`.")
    node: Item = strawberry.field(description="The item.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[Item]):
    """Relay's connection."""

    @strawberry.field(description="The items of this page, each with its cursor.")
    @staticmethod
    def edges(found: strawberry.Parent[ConnectionOf]) -> list[Edge[Item]]:
        return [PlacedRow(found.cursor(row), row) for row in found.page.rows]  # type: ignore[misc]  # rows are the roots

    @strawberry.field(description="The items of this page, without their cursors.")
    @staticmethod
    def nodes(found: strawberry.Parent[ConnectionOf]) -> list[Item]:
        return found.page.rows  # type: ignore[return-value]

    @strawberry.field(description="Whether the list goes on, and from where.")
    @staticmethod
    def page_info(found: strawberry.Parent[ConnectionOf]) -> PageInfo:
        rows = found.page.rows
        return PageInfo(
            has_next_page=found.page.has_next,
            has_previous_page=found.page.has_previous,
            start_cursor=found.cursor(rows[0]) if rows else None,
            end_cursor=found.cursor(rows[-1]) if rows else None,
        )

    @strawberry.field(description="How many items the whole list has. Counted only when asked for.")
    @staticmethod
    async def total_count(found: strawberry.Parent[ConnectionOf]) -> int:
        return await found.count()
