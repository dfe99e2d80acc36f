"""Where a page of a log begins: cursors as they stand in addresses, and as SQL."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from psycopg import sql

from partnerhub.webhooks import moments
from partnerhub.webhooks.errors import CursorInvalid


@dataclass(frozen=True)
class Place:
    """Where in the log a page begins, and which way it is read; a cursor that leads back begins with `~`."""

    is_backward: bool = False
    ident: UUID | None = None

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        if not cursor:
            return cls()
        return cls(cursor.startswith("~"), _read(cursor.removeprefix("~")))

    @property
    def condition(self) -> sql.SQL:
        if self.ident is None:
            return sql.SQL("")
        if self.is_backward:
            return sql.SQL("and (delivery.created_at, delivery.id) > (%(after_at)s, %(after_id)s)")
        return sql.SQL("and (delivery.created_at, delivery.id) < (%(after_at)s, %(after_id)s)")

    @property
    def order(self) -> sql.SQL:
        if self.is_backward:
            return sql.SQL("delivery.created_at, delivery.id")
        return sql.SQL("delivery.created_at desc, delivery.id desc")

    @property
    def values(self) -> dict[str, object]:
        return {} if self.ident is None else {"after_at": moments.of(self.ident), "after_id": self.ident}


def cursor_of(ident: UUID, *, back: bool = False) -> str:
    return ("~" if back else "") + base64.urlsafe_b64encode(ident.bytes).decode().rstrip("=")


def _read(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise CursorInvalid("The page cursor was not made by this list.") from error
