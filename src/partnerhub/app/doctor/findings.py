"""What the doctor finds: one line with a level, a stable code and words; never a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line."""

    level: Level
    code: str
    words: str


def ok(code: str, words: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(Level.OK, code, words)


def warning(code: str, words: str) -> Finding:
    """Say what works and should still be looked at."""
    return Finding(Level.WARNING, code, words)


def failed(code: str, words: str) -> Finding:
    """Say what does not work, and what helps."""
    return Finding(Level.FAILED, code, words)


def some(names: Sequence[str], *, most: int = 5) -> str:
    """Return the first of many, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
