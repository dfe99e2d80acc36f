"""Run the benchmarks one after another: `make bench`, or some: `make bench ARGS="gateway reserves"`.

Each runs in a process of its own and ends by itself; the whole takes about three minutes on two cores.
Absolute figures move with the machine: read the ratios, and run nothing beside.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

BENCHES = ("http_client", "deliveries", "reserves", "gateway")


def main() -> int:
    """Run the named benchmarks; the exit code is that of the first that failed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"Any of: {', '.join(BENCHES)}.")
    names = parser.parse_args().names or BENCHES
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    for name in names:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False, timeout=600)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
