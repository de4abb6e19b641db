"""A server that nobody protects does not start where strangers can reach it."""

import pytest
from command_line import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_an_open_server_does_not_start_where_others_can_reach_it(command: str, host: str, tmp_path) -> None:
    done = run(command, "--host", host, "--port", "0", CASARE_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "CASARE_JWT_SECRET" in done.stderr
    assert "secrets.token_urlsafe(32)" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_weak_secret_is_none(tmp_path) -> None:
    done = run("serve", "--host", "0.0.0.0", CASARE_DATA_DIR=str(tmp_path), CASARE_JWT_SECRET="short")
    assert done.returncode == 2
    assert "32 bytes" in done.stderr
    assert "short" not in done.stderr
