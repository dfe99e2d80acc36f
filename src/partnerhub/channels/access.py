"""The access token that Meta gave for a WABA account: sealed in its row, opened where Meta is called."""

from __future__ import annotations

from dataclasses import dataclass, field

from partnerhub.kit.crypto import Keyring
from partnerhub.meta import MetaClient


@dataclass(frozen=True)
class MetaAccess:
    """What a flow needs to call Meta for any WABA account.

    `system_token` is the installation's own; it serves accounts that have no token.
    """

    meta: MetaClient
    keyring: Keyring
    system_token: str = field(repr=False)

    def token_of(self, *, waba_id: str, access_sealed: bytes | None) -> str:
        """Return the token to call Meta with for this account."""
        own = open_access(self.keyring, waba_id=waba_id, access_sealed=access_sealed)
        return own or self.system_token


def seal_access(keyring: Keyring, *, waba_id: str, access_token: str) -> bytes:
    """Return the token as the WABA account's row keeps it."""
    return keyring.seal(access_token.encode(), place=_place(waba_id))


def open_access(keyring: Keyring, *, waba_id: str, access_sealed: bytes | None) -> str | None:
    """Return the token, or None where the account has none of its own."""
    if access_sealed is None:
        return None
    return keyring.open(bytes(access_sealed), place=_place(waba_id)).decode()


def _place(waba_id: str) -> str:
    return f"waba.access_sealed:{waba_id}"
