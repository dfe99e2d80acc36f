"""Makes sure that a Chromium is there before browser tests start.

Where it is missing and may be installed (root on a Debian system) it is installed; elsewhere this stops
with the one line that helps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of an installed Chromium."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Find or install Chromium; return the exit code."""
    if find_chromium():
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Chromium is missing; installing Debian's …")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=quiet)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "chromium"], check=False, env=quiet, stdout=sys.stderr
        )
        if find_chromium():
            return 0
    print("The browser tests need Chromium: sudo apt-get install chromium (or set CHROMIUM to its path).")
    return 1


if __name__ == "__main__":
    sys.exit(main())
