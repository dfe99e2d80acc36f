"""What the gateway counts, in the process's default registry; `render` is for whoever may read it.

Labels name classes of outcome, never a tenant.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS: Final = Counter(
    "partnerhub_gateway_requests_total", "Requests by handler and class of status.", ["handler", "status"]
)
SECONDS: Final = Histogram(
    "partnerhub_gateway_request_seconds", "Time from request to answer.", ["handler"], buckets=_FAST
)
SENDS: Final = Counter("partnerhub_gateway_sends_total", "Sends by what came of them.", ["outcome", "edge"])
CALLBACK_PARTS: Final = Counter(
    "partnerhub_gateway_callback_parts_total", "What Meta's callbacks held, committed.", ["kind"]
)
CALLBACKS_REFUSED: Final = Counter(
    "partnerhub_gateway_callbacks_refused_total", "Callbacks not taken, by reason.", ["reason"]
)
KEY_CHECKS: Final = Gauge(
    "partnerhub_gateway_key_checks", "Key checks since the start, by where the answer came from.", ["source"]
)
UNDER_WAY: Final = Gauge("partnerhub_gateway_requests_under_way", "Requests that are being answered.")
CALLBACKS_WAITING: Final = Gauge(
    "partnerhub_gateway_callbacks_waiting", "Callbacks that wait for their commit."
)
WATCH_LIVE: Final = Gauge(
    "partnerhub_gateway_watch_live",
    "1 while revocations are heard of, 0 while every key goes to the database.",
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST.encode()


@cache
def _requests(handler: str, status_class: int) -> Counter:
    return REQUESTS.labels(handler, f"{status_class}xx")


@cache
def _seconds(handler: str) -> Histogram:
    return SECONDS.labels(handler)


def observe(handler: str, status: int, seconds: float) -> None:
    """Count one request; looking a label up each time would cost as much as counting."""
    _requests(handler, status // 100).inc()
    _seconds(handler).observe(seconds)


def render() -> bytes:
    """Return every metric of this process in the text format of Prometheus."""
    return generate_latest()
