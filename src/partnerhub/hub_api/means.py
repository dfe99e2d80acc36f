"""What the handlers of this door stand on beside the tenant; made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.http import HttpClient


@dataclass(frozen=True, kw_only=True)
class HubApi:
    """`outbound` calls what strangers configured; `allow_loopback` is for development."""

    keyring: Keyring
    outbound: HttpClient
    allow_loopback: bool = False
