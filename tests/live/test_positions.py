"""Positions are sets of numbers, and cursors are positions as text: for all of them."""

import base64
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.events import Position, Range
from subscriptions.cursor import BadCursor, read_cursor, write_cursor

HIGHEST = 24
numbers = st.integers(1, HIGHEST)
sets = st.frozensets(numbers)
identities = st.text("0123456789abcdef", min_size=12, max_size=12)


def position(covered: Iterable[int]) -> Position:
    """The position that covers just these numbers."""
    return Position(0).with_events(sorted(covered))


def covered(position: Position) -> set[int]:
    return {number for number in range(1, HIGHEST + 2) if position.covers(number)}


def numbers_in(ranges: Iterable[Range]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(st.lists(sets))
def test_a_position_covers_the_events_it_was_given_in_any_order(batches: list[frozenset[int]]) -> None:
    result = Position(0)
    for batch in batches:
        result = result.with_events(sorted(batch))
    assert covered(result) == set().union(*batches)
    assert result == position(set().union(*batches))


@given(sets)
def test_gaps_are_what_a_position_does_not_cover_below_its_highest(known: frozenset[int]) -> None:
    result = position(known)
    assert numbers_in(result.gaps) == set(range(1, result.high + 1)) - known
    assert all(known >= {first - 1, last + 1} - {0} for first, last in result.gaps)


@given(sets, numbers)
def test_a_number_lies_in_a_gap_unless_it_is_covered_or_beyond(known: frozenset[int], number: int) -> None:
    result = position(known)
    gap = result.gap(number)
    assert (gap is not None) == (number < result.high and number not in known)
    assert gap is None or gap[0] <= number <= gap[1]


@given(sets, sets)
def test_a_union_covers_what_either_covers(one: frozenset[int], other: frozenset[int]) -> None:
    assert position(one).union(position(other)) == position(one | other)


@given(sets, sets)
def test_a_position_dominates_those_it_is_a_superset_of(one: frozenset[int], other: frozenset[int]) -> None:
    assert position(one).dominates(position(other)) == (one >= other)
    assert position(one | other).dominates(position(other))


@given(sets, sets)
def test_what_is_missing_is_the_difference(one: frozenset[int], other: frozenset[int]) -> None:
    missing = position(one).missing(position(other))
    assert numbers_in(missing) == other - one
    assert list(missing) == sorted(missing)


@given(sets, st.integers(0, HIGHEST))
def test_a_position_up_to_a_number_covers_nothing_beyond_it(known: frozenset[int], number: int) -> None:
    assert position(known).up_to(number) == position(each for each in known if each <= number)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    """Positions of any size, up to the largest that Postgres counts to in a lifetime."""
    gaps, last = [], -1
    for distance, more in draw(st.lists(st.tuples(st.integers(2, 10**12), st.integers(0, 10**12)))):
        first = last + distance
        last = first + more
        gaps.append((first, last))
    return Position(draw(st.integers(last + 1, 10**18 - 1)), tuple(gaps))


@given(identities, positions())
def test_a_cursor_tells_the_position_it_was_written_for(identity: str, position: Position) -> None:
    assert read_cursor(write_cursor(identity, position)) == (identity, position)


@given(st.text())
def test_text_is_a_cursor_or_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(text)


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@given(st.from_regex(r"\A[0-9a-f]{12}:\d{1,20}:(\d{0,20}(\+\d{0,3})?,?)*\.\Z"))
def test_what_looks_like_a_cursor_is_one_or_refused(text: str) -> None:
    try:
        identity, position = read_cursor(encoded(text))
    except BadCursor:
        return
    assert write_cursor(identity, position) == encoded(text)


@pytest.mark.parametrize(
    "text",
    [
        "0123456789ab:5:5.",  # the highest number is in a gap
        "0123456789ab:5:9.",  # a gap beyond the highest number
        "0123456789ab:9:2,1.",  # two gaps that are one
        "0123456789ab:9:0.",
        "0123456789ab:9:2,.",
        "0123456789ab:09:.",
        "0123456789ab:9:2.\n",
        "0123456789AB:9:2.",
        "0123456789ab:9",
        "0123456789ab:9999999999999999999:.",
    ],
)
def test_a_cursor_that_no_feed_can_have_written_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(encoded(text))


def test_a_cursor_that_is_cut_off_or_too_long_is_refused() -> None:
    cursor = write_cursor("0123456789ab", Position(10**6, tuple((n, n) for n in range(100, 10**6, 2))))
    with pytest.raises(BadCursor):
        read_cursor(cursor)
    for length in range(49_000, 49_153):
        with pytest.raises(BadCursor):
            read_cursor(cursor[:length])


def test_a_cursor_with_ten_thousand_gaps_fits_into_a_frame() -> None:
    position = Position(10**9, tuple((10**8 + n * 30, 10**8 + n * 30) for n in range(10_000)))
    cursor = write_cursor("0123456789ab", position)
    assert len(cursor) < 49_152
    assert read_cursor(cursor)[1] == position
