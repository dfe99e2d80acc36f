"""What hub and gateway answer to, for the access matrix; nothing is opened and no setting is needed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence

from partnerhub.app.hub import create_hub
from partnerhub.gateway.table import list_routes
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.settings import Settings

# Routes do not depend on any of these, except that development adds its own.
_ANY_KEY = bytes(32)
ANY_SETTINGS = Settings(
    database_url="postgresql://nobody@127.0.0.1:1/none",
    secret_keys=base64.b64encode(_ANY_KEY).decode(),
    hub_url="http://127.0.0.1:8082",
    gateway_url="http://127.0.0.1:8081",
    development=True,
    meta_app_id="1",
    meta_app_secrets=("none",),
    meta_system_token="none",  # noqa: S106 - a placeholder
    meta_config_id="1",
    meta_verify_token="none",  # noqa: S106 - a placeholder
    smtp_host="127.0.0.1",
    mail_from="nobody@hub.example",
)


def list_operations() -> Mapping[str, Sequence[str]]:
    """Return the operations (`GET /path/{parameter}`) of each process, those of development included."""
    return {"hub": asyncio.run(hub_operations()), "gateway": gateway_operations()}


def gateway_operations() -> list[str]:
    """Return the gateway's operations."""
    return sorted({f"{route.method} {route.path}" for route in list_routes()})


async def hub_operations() -> Sequence[str]:
    """Return the hub's operations, those of development included."""
    hub = create_hub(
        ANY_SETTINGS,
        database=Database(ANY_SETTINGS.database_url, name="none"),
        keyring=Keyring([_ANY_KEY]),
        to_meta=HttpClient(policy=AddressPolicy.PUBLIC),
        outbound=HttpClient(policy=AddressPolicy.PUBLIC),
    )
    return hub.operations
