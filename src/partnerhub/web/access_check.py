"""Refuses routes without a row in the access matrix: `python -m partnerhub.web.access_check MODULE:NAME`.

The function, named by the caller because it lies above this package, returns the operations of every
application of the installation.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from partnerhub.web.access import ROWS, problems


def check(source: str) -> list[str]:
    """Return the problems of the operations that `module:function` returns."""
    module, _, name = source.partition(":")
    operations: Sequence[str] = getattr(import_module(module), name)()
    return problems(operations, ROWS)


def main() -> None:
    """Print every problem; any makes the exit code 1."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m partnerhub.web.access_check MODULE:NAME")
    found = check(sys.argv[1])
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
