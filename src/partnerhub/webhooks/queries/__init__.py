"""What others may read of the delivery engine: one partner's rows where the unit is a tenant's."""

from partnerhub.webhooks.queries.counts import (
    MOST_COUNTED,
    MOST_PICTURED,
    count_deliveries,
    count_open,
    count_over_time,
    find_counted_start,
)
from partnerhub.webhooks.queries.endpoints import (
    find_endpoint,
    get_endpoint,
    list_endpoints,
    list_health,
    list_signing_keys,
)
from partnerhub.webhooks.queries.events import (
    get_queue_health,
    list_events,
)
from partnerhub.webhooks.queries.log import (
    MAX_PAGE,
    describe_filter,
    get_delivery,
    list_deliveries,
    list_glimpses,
)

__all__ = [
    "MAX_PAGE",
    "MOST_COUNTED",
    "MOST_PICTURED",
    "count_deliveries",
    "count_open",
    "count_over_time",
    "describe_filter",
    "find_counted_start",
    "find_endpoint",
    "get_delivery",
    "get_endpoint",
    "get_queue_health",
    "list_deliveries",
    "list_endpoints",
    "list_events",
    "list_glimpses",
    "list_health",
    "list_signing_keys",
]
