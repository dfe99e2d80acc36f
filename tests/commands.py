"""`partnerhub …` as a process of its own, forked off one that has loaded it: that takes most of the time."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from partnerhub.cli import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([main.__module__])
_TIMEOUT_SECONDS = 120
_STREAMS = ("in", "out", "err")


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str


def run(*arguments: str, environ: Mapping[str, str], given: str = "") -> Done:
    """Run a command with nothing but this environment and `given` at its standard input."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stream in _STREAMS:
            (folder / stream).write_text(given if stream == "in" else "")
        process = _CONTEXT.Process(target=_enter, args=(arguments, dict(environ), folder))
        process.start()
        process.join(_TIMEOUT_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"partnerhub {' '.join(arguments)}")
        out, err = ((folder / stream).read_text() for stream in _STREAMS[1:])
        return Done(process.exitcode, out.strip(), err.strip())


def _enter(arguments: tuple[str, ...], environ: dict[str, str], folder: Path) -> None:
    os.environ.clear()
    os.environ.update(environ)
    for number, stream in enumerate(_STREAMS):
        os.dup2(os.open(folder / stream, os.O_RDONLY if number == 0 else os.O_WRONLY), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it ends with the process
    sys.argv = ["partnerhub", *arguments]
    main()
