"""Refuses routes without a row in the access matrix: `python -m partnerhub.web.access_check MODULE:NAME`.

The function, named by the caller because it lies above this package, returns the operations of each process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from partnerhub.web.access import HUB_ROWS, Row, problems
from partnerhub.web.access_gateway import GATEWAY_ROWS

ROWS: Mapping[str, Mapping[str, Row]] = {"hub": HUB_ROWS, "gateway": GATEWAY_ROWS}


def check(source: str) -> list[str]:
    """Return the problems of the operations that `module:function` returns, one line each."""
    module, _, name = source.partition(":")
    operations: Mapping[str, Sequence[str]] = getattr(import_module(module), name)()
    return [
        f"{process}: {problem}"
        for process, found in operations.items()
        for problem in problems(found, ROWS[process])
    ]


def main() -> None:
    """Print every problem; any makes the exit code 1."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m partnerhub.web.access_check MODULE:NAME")
    found = check(sys.argv[1])
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
