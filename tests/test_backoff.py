"""Whatever is tried again is tried for ever: after a thousand failures as after the first."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.backoff import backoff
from datasources.postgres import Database
from datasources.settings import Settings
from datasources.snapshots import Snapshots
from subscriptions.doorbell import Doorbell
from subscriptions.folder import Folder
from subscriptions.sweeper import Sweeper

_AWAY = "postgresql://nobody@127.0.0.1:1/nothing"
_ATTEMPTS = 1100
_LONGEST = 75.0  # seconds, of any of them


class _Enough(Exception):
    """Ends what would go on for ever."""


@given(attempt=st.integers(1, 10**12), first=st.floats(0.01, 10), more=st.floats(0, 100))
def test_a_pause_is_no_longer_than_the_longest(attempt: int, first: float, more: float) -> None:
    assert 0 <= backoff(attempt, first, first + more) <= first + more


@given(attempt=st.integers(1, 30), first=st.floats(0.01, 10))
def test_each_pause_may_be_twice_as_long_as_the_one_before(attempt: int, first: float) -> None:
    assert 0 <= backoff(attempt, first, 1e12) <= first * 2 ** (attempt - 1)


def test_the_first_attempt_waits_for_nothing() -> None:
    assert backoff(0, 1, 1) == 0


@pytest.mark.parametrize(
    "work",
    [
        lambda: Doorbell(_AWAY, lambda _: None),
        lambda: Snapshots(_AWAY, 1.0),
        lambda: Sweeper(Database(_AWAY, Settings()), Settings()),
        lambda: Folder(Database(_AWAY, Settings())),
    ],
    ids=["doorbell", "snapshots", "sweeper", "folder"],
)
async def test_a_database_that_stays_away_for_long_is_asked_again_all_the_same(
    work: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def noted(attempt: int, first: float, longest: float) -> float:
        pauses.append(backoff(attempt, first, longest))
        if attempt == _ATTEMPTS:
            raise _Enough
        return 0.0

    at_work = work()
    module = type(at_work).__module__
    monkeypatch.setattr(f"{module}.backoff", noted)
    monkeypatch.setattr(f"{module}._EVERY", 0.0, raising=False)
    with pytest.raises(_Enough):
        await asyncio.wait_for(at_work.run(), 60)
    assert max(pauses) <= _LONGEST
