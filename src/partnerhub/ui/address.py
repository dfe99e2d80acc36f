"""The address of a page with its view state: filters, sort and page live in the query, never elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode


@dataclass(frozen=True)
class Address:
    """A path with the parameters that are set; the same state always gives the same text."""

    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """Return one parameter, or None when it is unset."""
        return self.parameters.get(name) or None

    def with_(self, **changes: str | int | None) -> str:
        """Return the text of this address with some parameters changed; None or empty removes one."""
        merged = {
            **self.parameters,
            **{name: "" if value is None else str(value) for name, value in changes.items()},
        }
        return str(Address(self.path, merged))

    def __str__(self) -> str:
        """Return the canonical text, fit for `HX-Push-Url`: no empty parameters, sorted by name."""
        kept = sorted((name, value) for name, value in self.parameters.items() if value)
        return f"{self.path}?{urlencode(kept)}" if kept else self.path
