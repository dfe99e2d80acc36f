"""The addresses that the onboarding popup passes, by their prefix: an error may come where no route is.

Whatever goes wrong there keeps the window's opener, and leads back to the sign-up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from partnerhub.ui.preferences import local_path

_PREFIXES: Final = ("/onboarding", "/dashboard/app")
_RUN: Final = re.compile(r"/onboarding/run/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=/|$)")


def is_in_popup(path: str) -> bool:
    """Say whether a path is one of the popup's."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in _PREFIXES)


def way_back(scope: Mapping[str, Any], *, status: int) -> str:  # Any: ASGI's scope
    """Return where a sign-up goes on after an error: its run, else the same link once more, else nothing."""
    if run := _RUN.match(scope["path"]):
        return run[0]
    if status == 404:
        return ""
    query = scope.get("query_string", b"").decode("latin-1")
    link = scope["path"] + (f"?{query}" if query else "")
    return link if local_path(link) == link else ""
