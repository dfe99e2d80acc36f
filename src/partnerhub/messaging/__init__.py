"""Messages on their way: sends out, Meta's callbacks in, statuses to the ledger. It knows no door."""
