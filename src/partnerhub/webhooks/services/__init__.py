"""What others may ask of the delivery engine, one file per subject."""

from partnerhub.webhooks.services.checking import check_pasted
from partnerhub.webhooks.services.endpoints import (
    add_signing_key,
    disable_endpoint,
    enable_endpoint,
    remove_endpoint,
    reveal_signing_key,
    set_endpoint,
)
from partnerhub.webhooks.services.publishing import Room, accept_bodies, publish
from partnerhub.webhooks.services.replaying import ReplayScope, replay
from partnerhub.webhooks.services.sent import list_request_headers
from partnerhub.webhooks.services.trials import test_endpoint

__all__ = [
    "ReplayScope",
    "Room",
    "accept_bodies",
    "add_signing_key",
    "check_pasted",
    "disable_endpoint",
    "enable_endpoint",
    "list_request_headers",
    "publish",
    "remove_endpoint",
    "replay",
    "reveal_signing_key",
    "set_endpoint",
    "test_endpoint",
]
