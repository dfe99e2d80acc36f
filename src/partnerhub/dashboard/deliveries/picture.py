"""The strip over the log: how many deliveries there were over time, by state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from partnerhub.dashboard import words
from partnerhub.dashboard.deliveries.asked import Asked
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.ui import formats
from partnerhub.web.pages import Page
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import DeliveryState

MOST_BARS = 48
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_STEPS = (
    *(_MINUTE * count for count in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * count for count in (1, 2, 4, 6, 12)),
    *(_DAY * count for count in (1, 2, 7, 14)),
)
# From the bottom of a bar up, with the colours of the chart; what failed is on top.
_SHADES: Mapping[DeliveryState, str] = {
    DeliveryState.DELIVERED: "1",
    DeliveryState.PENDING: "2",
    DeliveryState.PARKED: "3",
    DeliveryState.DISCARDED: "neutral",
    DeliveryState.FAILED: "bad",
}


@dataclass(frozen=True)
class Series:
    """The bars of one state."""

    label: str
    shade: str
    values: Sequence[int]

    @property
    def total(self) -> int:
        """Return how many there are in all."""
        return sum(self.values)


@dataclass(frozen=True)
class Picture:
    """What the strip shows; `counted_from` is set where older deliveries were not counted any more."""

    labels: Sequence[str]
    series: Sequence[Series]
    since: datetime
    until: datetime
    counted_from: datetime | None

    @property
    def chart(self) -> Sequence[Mapping[str, object]]:
        """Return the series as the chart takes them."""
        return [{**asdict(one), "total": one.total} for one in self.series]

    @property
    def total(self) -> int:
        """Return how many deliveries are in the picture."""
        return sum(one.total for one in self.series)


async def draw(unit: Unit, page: Page, *, partner_id: str, asked: Asked) -> Picture | None:
    """Count the deliveries that an address asks for over its time; None where there is nothing to show."""
    filters, now = asked.filters, clock.now()
    first, is_bounded = await webhooks.find_counted_start(unit, partner_id=partner_id, filters=filters)
    if first is None:
        return None
    since = first if is_bounded or filters.since is None else filters.since
    until = min(filters.until or now, now)
    if since >= until:
        return None
    counted = replace(filters, since=since)
    edges = edges_between(since, until, zone=page.frame.timezone)
    rows = await webhooks.count_over_time(unit, partner_id=partner_id, filters=counted, edges=edges)
    return Picture(
        labels=_labels(page, edges),
        series=[
            Series(page.say(words.DELIVERY_STATES[state][0]), shade, [row.get(state, 0) for row in rows])
            for state, shade in _SHADES.items()
            if any(state in row for row in rows)
        ],
        since=since,
        until=until,
        counted_from=first if is_bounded else None,
    )


def edges_between(since: datetime, until: datetime, *, zone: str) -> list[datetime]:
    """Return the edges of at most 48 bars and one begun before, on whole hours or days of the zone."""
    step = next((one for one in _STEPS if (until - since) / one <= MOST_BARS), _STEPS[-1])
    place = formats.zone_of(zone)
    local = since.astimezone(place)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + (local - midnight) // step * step if step < _DAY else midnight
    edges = [at]
    # By the clock on the wall for days, so that each bar is one, however long the zone makes it.
    while edges[-1] <= until:
        following = edges[-1] + step
        edges.append(following if step >= _DAY else (edges[-1].astimezone(UTC) + step).astimezone(place))
    return edges


def _labels(page: Page, edges: Sequence[datetime]) -> list[str]:
    language, zone = page.frame.language, page.frame.timezone
    starts = edges[:-1]
    days = [formats.short_day(at, language, zone) for at in starts]
    if edges[1] - edges[0] >= _DAY:
        return days
    times = [formats.time_of_day(at, language, zone) for at in starts]
    if len(set(days)) == 1:
        return times
    return [f"{day}, {time}" for day, time in zip(days, times, strict=True)]
