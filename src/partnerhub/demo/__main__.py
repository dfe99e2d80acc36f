"""`partnerhub run` in an interpreter of its own: `python -m partnerhub.demo OPTIONS`, options as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from partnerhub.app.telling import told
from partnerhub.demo.run import Options, run
from partnerhub.demo.supervisor import ChildFailed

if __name__ == "__main__":
    with told(ChildFailed, TimeoutError):
        given = json.loads(sys.argv[1])
        run(Options(**{**given, "folder": Path(given["folder"])}))
