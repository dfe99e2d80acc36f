"""How commands speak: to the terminal, and of what went wrong in a line with its code, never a secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from rich.console import Console

from partnerhub.kit.errors import HubError
from partnerhub.settings import SettingsWrong


class _Terminal(Console):
    """Ends quietly where the reader has left, as in `partnerhub doctor | head`: the work itself goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # What is buffered still has to go somewhere when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


console = _Terminal(highlight=False, soft_wrap=True)
errors = _Terminal(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def told(*more: type[Exception]) -> Iterator[None]:
    """Tell an expected error, and those named, and leave: 2 for wrong settings, 1 for everything else."""
    try:
        yield
    except SettingsWrong as error:
        errors.print("[bold]The settings cannot be used:[/bold]")
        for problem in error.problems:
            errors.print(f"  {problem}", markup=False)
        sys.exit(2)
    except HubError as error:
        errors.print(f"{error.message} ({error.code})", markup=False)
        for field, problem in error.fields.items():
            errors.print(f"  {field}: {problem}", markup=False)
        sys.exit(1)
    except psycopg.OperationalError as error:
        errors.print(f"The database did not do it: {str(error).strip()} (database_refused)", markup=False)
        sys.exit(1)
    except more as error:
        errors.print(str(error), markup=False)
        sys.exit(1)
