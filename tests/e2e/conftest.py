"""One running demo for all tests of this folder that only speak to it; it stops at the end of the run.

Under xdist these tests share a group (`--dist loadgroup`), so one worker runs them and starts it once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import browser
from tests.e2e.installation import Installation, data_folder, running

__all__ = ["browser"]


@pytest.fixture(scope="session")
def demo() -> Iterator[Installation]:
    """Give the demo as `make run` starts it, on free ports."""
    with data_folder() as folder, running(folder / "data") as started:
        yield started
