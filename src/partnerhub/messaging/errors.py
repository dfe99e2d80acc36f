"""What can be wrong before Meta sees a send; what Meta or the way to it does wrong is a `MetaError`."""

from __future__ import annotations

from partnerhub.kit.errors import Invalid, Unavailable


class InvalidMessage(Invalid):
    """The body of a send is no JSON object, or names nobody to send to."""

    code = "invalid_message"


class QueueFull(Unavailable):
    """Too much waits for the database already; the caller may try again."""

    code = "queue_full"
