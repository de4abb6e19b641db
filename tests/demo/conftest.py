"""The portal that the demo fleet works with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.demo_fleet.portal import Portal
from clients.demo_fleet.workflows import desk


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """A portal that is neither slow nor overloaded, for work that takes no breaks."""
    with Portal(slowness=0.0, overload=0.0).open() as portal:
        monkeypatch.setenv(desk.PORTAL, portal.url)
        monkeypatch.setenv(desk.WORK_DIR, str(tmp_path))
        monkeypatch.setenv(desk.PACE, "0")
        yield portal
