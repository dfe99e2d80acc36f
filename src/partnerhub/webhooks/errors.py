"""What callers of this package may be told."""

from __future__ import annotations

from partnerhub.kit.errors import Invalid, NotFound


class UrlRefused(Invalid):
    """A URL that no webhook may have; `code` says which rule it breaks."""

    code = "url_invalid"


class HeaderRefused(Invalid):
    """A custom header that must not be sent with a delivery; `code` says why."""

    code = "header_invalid"


class EndpointMissing(NotFound):
    """The owner has no endpoint."""

    code = "endpoint_not_found"


class DeliveryMissing(NotFound):
    """There is no such delivery for this partner; what is older than the retention is gone."""

    code = "delivery_not_found"


class CursorInvalid(Invalid):
    """The page cursor was not made by this list."""

    code = "cursor_invalid"


class ReplayTooLarge(Invalid):
    """More deliveries match than one replay takes; narrow the filter."""

    code = "replay_too_large"
