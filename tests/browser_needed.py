"""Makes sure that a Chromium is there before browser tests start.

Most tests take its shell where there is one: the same engine without windows, which starts in half of the
time. Where Chromium is missing and may be installed (root on a Debian system) both are; elsewhere this stops
with the one line that helps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

SHELL = "chromium-headless-shell"
WHOLE = ("chromium", "chromium-browser", "google-chrome")


def find_chromium(*, whole: bool = False) -> str | None:
    """Return the path of an installed Chromium; only a `whole` one does what windows do."""
    names = WHOLE if whole else (SHELL, *WHOLE)
    return os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


def main() -> int:
    """Find or install Chromium; return the exit code."""
    if not find_chromium(whole=True) and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Chromium is missing; installing Debian's …")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=quiet)
        for package in (WHOLE[0], SHELL):
            # Releases that have no shell do without.
            install = ["apt-get", "install", "-y", "-qq", package]
            subprocess.run(install, check=False, env=quiet, stdout=sys.stderr)
    if find_chromium(whole=True):
        return 0
    print("The browser tests need Chromium: sudo apt-get install chromium (or set CHROMIUM to its path).")
    return 1


if __name__ == "__main__":
    sys.exit(main())
