"""What the handlers of this door stand on beside the tenant; made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from partnerhub.channels.services import MetaAccess
from partnerhub.identity.passwords import STANDARD, Passwords
from partnerhub.kit.crypto import Keyring
from partnerhub.partners.services import TokenKeys


@dataclass(frozen=True, kw_only=True)
class PartnerApi:
    """`messaging_url` is what keys are told to be used at; `allow_loopback` is for development."""

    keyring: Keyring
    token_keys: TokenKeys
    access: MetaAccess
    messaging_url: str
    allow_loopback: bool = False
    passwords: Passwords = STANDARD
