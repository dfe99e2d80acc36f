"""The gallery, served as an application would serve it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from litestar import Litestar

from partnerhub.ui.build import build
from partnerhub.ui.gallery import GALLERY_PATH, gallery
from partnerhub.ui.preferences import choose
from partnerhub.ui.static_files import static_files
from tests.browser import browser

__all__ = ["browser", "gallery_url", "origin"]


@pytest.fixture(scope="session")
def origin() -> Iterator[str]:
    """Serve the gallery on a free port of this machine, with assets as the sources say."""
    build()
    app = Litestar([gallery(), choose, static_files()])
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(5)


@pytest.fixture(scope="session")
def gallery_url(origin: str) -> str:
    """Give the address of the page with all components."""
    return origin + GALLERY_PATH
