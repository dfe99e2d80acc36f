"""The line between database transactions and the network.

No call leaves the process while a transaction is open: it would hold locks and a pooled connection for as
long as a stranger likes. The unit of work sets `in_transaction`; what talks to the network asks
`refuse_network()` first.
"""

from __future__ import annotations

from contextvars import ContextVar

in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


class NetworkInsideTransaction(RuntimeError):
    """A flow called the network from inside a step; a bug of the caller, not of the request."""


def refuse_network() -> None:
    """Refuse when a database transaction is open in this task.

    Raises: NetworkInsideTransaction.
    """
    if in_transaction.get():
        raise NetworkInsideTransaction("a network call was made while a database transaction is open")
