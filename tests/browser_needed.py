"""Makes sure that a Chromium is there before browser tests start.

The shell without windows is the same engine, starts in half of the time and is taken first. Where none is
there and may be installed (root on a Debian system) it is installed; elsewhere this stops with the one line
that helps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = ("chromium-headless-shell", "chromium")
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


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
        for package in PACKAGES:
            install = ["apt-get", "install", "-y", "-qq", package]
            subprocess.run(install, check=False, env=quiet, stdout=sys.stderr)
            if find_chromium():
                return 0
    package = PACKAGES[0]
    print(f"The browser tests need Chromium: sudo apt-get install {package} (or set CHROMIUM to its path).")
    return 1


if __name__ == "__main__":
    sys.exit(main())
