"""Public npm packages that tests run unmodified, at the versions and hashes of `node/package-lock.json`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "node"


def package_file(path: str) -> Path:
    """Return a file of an installed package; the packages are installed when the lock changed."""
    modules = FOLDER / "node_modules"
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    stamp = modules / ".installed"
    with (FOLDER / "package-lock.json").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != lock:
            _install()
            stamp.write_text(lock)
    return modules / path


def _install() -> None:
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [str(programs / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=FOLDER,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
