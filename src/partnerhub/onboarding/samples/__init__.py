"""Code that signs an onboarding link, for partners to copy: the one source of the page and of the docs.

The files are complete programs' parts in three languages; tests run those that a language is there for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final


@dataclass(frozen=True)
class Sample:
    """A piece of code; `language` is the word that fences in Markdown and highlighters know."""

    name: str
    language: str
    file: str

    @property
    def code(self) -> str:
        """The code, with a newline at its end."""
        return files(__package__).joinpath(self.file).read_text("utf-8")


SAMPLES: Final = (
    Sample("Python", "python", "signed_link.py.txt"),
    Sample("Node.js", "javascript", "signed_link.cjs.txt"),
    Sample("PHP", "php", "signed_link.php.txt"),
)
