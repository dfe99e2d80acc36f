"""What the ledger does, one file per use case; every package above calls it through here."""

from partnerhub.ledger.services.settlements import release_stale, settle
from partnerhub.ledger.services.wallets import open_wallet, set_threshold, top_up

__all__ = [
    "open_wallet",
    "release_stale",
    "set_threshold",
    "settle",
    "top_up",
]
