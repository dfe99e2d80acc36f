"""Keeping secrets: hashes for what is only compared, sealed envelopes for what is shown or sent again.

An envelope is AES-256-GCM under a named key; the place of the row (table, column, row id) is bound to it
as associated data, so a sealed value copied to another row does not open. Keys rotate: new envelopes use
the first key of the ring, old ones open with theirs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK_BYTES = 8
"""How much of an envelope's beginning names its key; see `Keyring.marks`."""
_NONCE_BYTES = 12


class SealBroken(RuntimeError):
    """A sealed value does not open with the keys and the place given."""


@dataclass(frozen=True)
class _Key:
    ident: bytes
    cipher: AESGCM


class Keyring:
    """The installation's envelope keys, newest first."""

    def __init__(self, keys: list[bytes]) -> None:
        """`keys` are 32-byte secrets; the first seals, all open."""
        if not keys or any(len(key) != 32 for key in keys):
            raise ValueError("A key ring needs at least one key, and keys have 32 bytes.")
        self._keys = [
            _Key(hashlib.sha256(b"keyring:" + key).digest()[:MARK_BYTES], AESGCM(key)) for key in keys
        ]

    @classmethod
    def from_text(cls, text: str) -> Keyring:
        """Read keys as base64, separated by commas (the form of the setting)."""
        return cls(
            [base64.b64decode(part.strip(), validate=True) for part in text.split(",") if part.strip()]
        )

    def seal(self, secret: bytes, *, place: str) -> bytes:
        """Encrypt `secret` for `place`, for example `signing_key.secret:<row id>`."""
        key = self._keys[0]
        nonce = os.urandom(_NONCE_BYTES)
        return key.ident + nonce + key.cipher.encrypt(nonce, secret, place.encode())

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """Decrypt what `seal` made for the same place.

        Raises: SealBroken.
        """
        ident, nonce = sealed[:MARK_BYTES], sealed[MARK_BYTES : MARK_BYTES + _NONCE_BYTES]
        for key in self._keys:
            if hmac.compare_digest(key.ident, ident):
                try:
                    return key.cipher.decrypt(nonce, sealed[MARK_BYTES + _NONCE_BYTES :], place.encode())
                except InvalidTag as error:
                    raise SealBroken(f"The sealed value at {place} was changed or moved.") from error
        raise SealBroken(f"No key of the ring opens the sealed value at {place}.")

    @property
    def marks(self) -> list[bytes]:
        """What the envelopes of each key begin with, newest first; no secret."""
        return [key.ident for key in self._keys]


def new_key() -> str:
    """Make a key for the ring, in the form of the setting."""
    return base64.b64encode(os.urandom(32)).decode()


def fingerprint(token: str) -> bytes:
    """Hash a high-entropy secret (key, session, code) for storage and look-up.

    A plain SHA-256 is enough because these secrets are random; passwords go through argon2 in `identity`.
    """
    return hashlib.sha256(token.encode()).digest()


def sign_sha256(key: bytes, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 of `body`."""
    return hmac.new(key, body, hashlib.sha256).hexdigest()
