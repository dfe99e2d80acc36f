"""Money: accounts, charges per message, dated prices and the gate that reserves before a send.

The ledger is told reference, recipient, category, currency and time zone; it never looks up a message or a
channel. Rules live in SQL functions of the migrations, because a whole batch is one commit; prices are pure
functions here.
"""
