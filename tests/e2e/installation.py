"""Starts `partnerhub run --demo` in a folder of its own, and stops it again.

An installation is real processes under their supervisor. Checks speak to it over HTTP, look into its database
as its superuser would, and may start further processes of it, because every service runs in any number.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

READY_WITHIN_SECONDS = 150.0
STOPPED_WITHIN_SECONDS = 60.0
SERVICES = ("postgres", "gateway", "hub", "worker", "simulator", "mailbox", "site")
_ROOM_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Installation:
    """A running installation; `facts` is its `demo.json`."""

    folder: Path
    facts: dict[str, Any]  # Any: JSON
    process: subprocess.Popen[bytes]

    def __getitem__(self, name: str) -> str:
        return str(self.facts[name])

    def pids(self, service: str) -> list[int]:
        """Return the service's processes as they are now."""
        return [int(pid) for pid in read_pids(self.folder).get(service, [])]

    def kill(self, service: str) -> int:
        """Kill every process of the service with -9; return how many."""
        pids = self.pids(service)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return len(pids)

    @property
    def environment(self) -> dict[str, str]:
        """The environment its hub was started with, settings and secrets included."""
        content = Path(f"/proc/{self.pids('hub')[0]}/environ").read_bytes()
        return dict(part.split("=", 1) for part in content.decode().split("\0") if part)

    @property
    def database_url(self) -> str:
        """The embedded database, as its superuser: for checks from outside."""
        cluster = self.folder / "postgres"
        moved = cluster / "postgres-data-is-in"
        cluster = moved.resolve() if moved.exists() else cluster
        password = (cluster / "password").read_text().strip()
        port = (cluster / "port").read_text().strip()
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/partnerhub"

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:  # Any: whatever was selected
        """Return the rows of a query on its database."""
        with psycopg.connect(self.database_url, connect_timeout=5) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def command(self, *arguments: str) -> str:
        """Run `partnerhub …` with its settings and return what was printed."""
        done = subprocess.run(
            [sys.executable, "-m", "partnerhub.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    @contextmanager
    def further_hub(self, public_url: str) -> Iterator[str]:
        """Run one more hub of it, which takes itself to be at `public_url`; give where it listens."""
        port = free_port()
        environment = {
            **self.environment,
            "PARTNERHUB_HUB_URL": public_url,
            "PARTNERHUB_HUB_PORT": str(port),
            "PARTNERHUB_TRUSTED_PROXIES": "127.0.0.1/32",
        }
        with (self.folder / "further-hub.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "partnerhub.app.hub"], env=environment, stdout=log, stderr=log
            )
            try:
                wait_for(f"http://127.0.0.1:{port}/readyz", process)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(30)


@contextmanager
def data_folder() -> Iterator[Path]:
    """Give an empty folder in memory where there is room; the database's user may enter it."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made below it
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix="partnerhub-e2e-", dir=memory if has_room else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the demo on free ports; what it prints is added to `output.log`."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PARTNERHUB_") and name not in {"DATABASE_URL", "HUB_TEST_SERVER"}
    }
    ports = ("--hub-port", "0", "--gateway-port", "0", "--simulator-port", "0")
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "partnerhub.cli", "run", "--demo", "--data-dir", str(folder)),
                *ports,
            ],
            stdout=log,
            stderr=log,
            env=environment,
        )


def stop(process: subprocess.Popen[bytes]) -> int:
    """Stop it by SIGTERM and return its exit code; one that does not stop is killed, and that is an error."""
    process.terminate()
    try:
        return process.wait(STOPPED_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def running(folder: Path) -> Iterator[Installation]:
    """Run the demo on free ports until the end of the block."""
    process = start(folder)
    try:
        yield Installation(folder, wait_until_ready(folder, process), process)
    finally:
        if process.poll() is None:
            stop(process)


def wait_until_ready(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:  # Any: JSON
    """Wait for `demo.json` and return it."""
    path = folder / "demo.json"
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The demo did not start:\n{(folder / 'output.log').read_text()[-4000:]}")
        time.sleep(0.05)
    return dict(json.loads(path.read_text()))


def read_pids(folder: Path) -> dict[str, list[int]]:
    """Return the processes by service as `run.json` has them."""
    return dict(json.loads((folder / "run.json").read_text())["pids"])


def is_alive(pid: int) -> bool:
    """Say whether the process is there and not merely unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Say whether the address answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own http address
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def wait_for(url: str, process: subprocess.Popen[bytes], *, within_seconds: float = 60.0) -> None:
    """Wait until the address answers 200."""
    deadline = time.monotonic() + within_seconds
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{url} does not answer; the process: {process.poll()}")
        time.sleep(0.05)
