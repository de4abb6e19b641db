"""The command as the tests run it: in an environment of its own, its output piped."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("casare-monitor"))


def environment(**variables: str) -> dict[str, str]:
    """What a shell would give: nothing of ours but what the test sets."""
    foreign = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CASARE_", "DB_", "DATABASE_", "FORCE_COLOR", "COLUMNS"))
    }
    return {**foreign, **variables}


def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The command's end; what is piped has no colours, and nothing ends in a traceback."""
    done = subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(**variables),
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done
