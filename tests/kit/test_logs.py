"""Logs: what they say, and what they never say."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from partnerhub.kit import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("readable", [True, False])
def test_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str], *, readable: bool) -> None:
    logs.configure(process="test", readable=readable)
    log = logs.get("here")
    secret = "green-harbour-42"

    def check(password: str) -> None:
        raise ValueError(f"{len(password)} letters")

    try:
        check(secret)
    except ValueError:
        log.exception("bug")
    said = capsys.readouterr().err
    assert "ValueError: 16 letters" in said
    assert "test_logs.py" in said
    assert "green-harbour-42" not in said
