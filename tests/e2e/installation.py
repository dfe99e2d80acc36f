"""Starts `partnerhub run --demo` in a folder of its own, and stops it again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_WITHIN_SECONDS = 150.0


@dataclass(frozen=True)
class Installation:
    """A running installation; `facts` is its `demo.json`."""

    folder: Path
    facts: dict[str, Any]  # Any: JSON
    process: asyncio.subprocess.Process

    def __getitem__(self, name: str) -> str:
        return str(self.facts[name])

    def pids(self, service: str) -> list[int]:
        """Return the service's processes as they are now."""
        return [int(pid) for pid in json.loads((self.folder / "run.json").read_text())["pids"][service]]

    def kill(self, service: str) -> int:
        """Kill every process of the service with -9; return how many."""
        pids = self.pids(service)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return len(pids)

    @property
    def database_url(self) -> str:
        """The embedded database, as its superuser: for checks from outside."""
        cluster = self.folder / "postgres"
        moved = cluster / "postgres-data-is-in"
        cluster = moved.resolve() if moved.exists() else cluster
        password = (cluster / "password").read_text().strip()
        port = (cluster / "port").read_text().strip()
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/partnerhub"


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Installation]:
    """Run the demo on free ports until the end of the block."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PARTNERHUB_") and name not in {"DATABASE_URL", "HUB_TEST_SERVER"}
    }
    with (folder / "output.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "partnerhub.cli", "run", "--demo", "--data-dir", str(folder)),
            *("--hub-port", "0", "--gateway-port", "0", "--simulator-port", "0"),
            stdout=log,
            stderr=log,
            env=environment,
        )
        try:
            yield Installation(folder, await _facts(folder, process), process)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), 60)
                except TimeoutError:
                    process.kill()
                    await process.wait()


async def _facts(folder: Path, process: asyncio.subprocess.Process) -> dict[str, Any]:  # Any: JSON
    path = folder / "demo.json"
    deadline = asyncio.get_running_loop().time() + READY_WITHIN_SECONDS
    while not path.exists():
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise RuntimeError(f"The demo did not start:\n{(folder / 'output.log').read_text()[-4000:]}")
        await asyncio.sleep(0.1)
    return dict(json.loads(path.read_text()))
