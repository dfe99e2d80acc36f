"""Dated values that follow each other without gap or overlap: what a new value does to those before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Generic, TypeVar

V = TypeVar("V", int, str)


@dataclass(frozen=True)
class Span(Generic[V]):
    """A value from `since` until (not including) `until`; `ident` is its row, `line` where it comes from.

    Values of different, not overlapping tiers stand beside each other.
    """

    value: V
    since: date
    until: date | None = None
    tier_from: int = 0
    tier_to: int | None = None
    ident: int | None = None
    line: int = 0

    def meets(self, other: Span[V]) -> bool:
        """Say whether both speak of some of the same messages."""
        return (self.tier_to is None or other.tier_from < self.tier_to) and (
            other.tier_to is None or self.tier_from < other.tier_to
        )


@dataclass(frozen=True)
class Plan(Generic[V]):
    """What to store: rows to cut short, rows to add; and what to tell."""

    cut: tuple[Span[V], ...]
    added: tuple[tuple[Span[V], V | None], ...]
    unchanged: int
    faults: tuple[tuple[int, str], ...]


def plan(existing: Iterable[Span[V]], new: Sequence[Span[V]]) -> Plan[V]:
    """Put new values into a timeline.

    A value holds until the next one that is stored or in the file. One that was stored for the same day
    with another value is a fault: what was in force is not rewritten.
    """
    spans = list(existing)
    added: list[tuple[Span[V], V | None]] = []
    cut: dict[int, Span[V]] = {}
    faults: list[tuple[int, str]] = []
    unchanged = 0
    for span in sorted(new, key=lambda row: row.since):
        met = [other for other in spans if other.meets(span)]
        same_day = [other for other in met if other.since == span.since]
        if any((row.value, row.tier_from, row.tier_to) == _content(span) for row in same_day):
            unchanged += 1
            continue
        if same_day:
            other = same_day[0]
            where = f"line {other.line}" if other.line else "what is stored"
            faults.append((span.line, f"overlaps {where} for {span.since}"))
            continue
        before = [other for other in met if other.since < span.since and _reaches(other, span.since)]
        if [_content(other) for other in before] == [_content(span)]:
            unchanged += 1  # the value just goes on
            continue
        for other in before:
            shorter = replace(other, until=span.since)
            spans[spans.index(other)] = shorter
            if other.ident is None:
                added = [(shorter if row is other else row, value) for row, value in added]
            else:
                cut[other.ident] = shorter
        later = [other.since for other in met if other.since > span.since]
        placed = replace(span, until=min(later, default=None))
        spans.append(placed)
        added.append((placed, before[0].value if before else None))
    return Plan(tuple(cut.values()), tuple(added), unchanged, tuple(faults))


def _content(span: Span[V]) -> tuple[V, int, int | None]:
    return span.value, span.tier_from, span.tier_to


def _reaches(span: Span[V], day: date) -> bool:
    return span.until is None or span.until > day
