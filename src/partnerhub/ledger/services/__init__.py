"""What the ledger does, one file per use case; every package above calls it through here."""

from partnerhub.ledger.services.prices import add_price_rule, import_markets, import_rates
from partnerhub.ledger.services.settlements import release_stale, settle
from partnerhub.ledger.services.wallets import open_wallet, set_threshold, top_up

__all__ = [
    "add_price_rule",
    "import_markets",
    "import_rates",
    "open_wallet",
    "release_stale",
    "set_threshold",
    "settle",
    "top_up",
]
