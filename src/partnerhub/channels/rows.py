"""How rows of this package's tables become values: column lists and the builders for joined rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, LiteralString

from psycopg import sql

from partnerhub.channels.schemas import Channel, Client, Template, Waba

_CLIENT_NAMES = tuple(field.name for field in fields(Client))
_WABA_NAMES = tuple(field.name for field in fields(Waba))
_CHANNEL_NAMES = tuple(field.name for field in fields(Channel) if field.name not in {"client", "waba"})
_TEMPLATE_NAMES = tuple(field.name for field in fields(Template) if field.name != "namespace")


def _columns(table: LiteralString, names: tuple[str, ...], prefix: str = "") -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}.{} as {}").format(
            sql.Identifier(table), sql.Identifier(name), sql.Identifier(prefix + name)
        )
        for name in names
    )


CLIENT_COLUMNS = _columns("client", _CLIENT_NAMES)
WABA_COLUMNS = _columns("waba", _WABA_NAMES)
CHANNEL_COLUMNS = sql.SQL(", ").join(
    [
        _columns("channel", _CHANNEL_NAMES),
        _columns("client", _CLIENT_NAMES, "client__"),
        _columns("waba", _WABA_NAMES, "waba__"),
    ]
)
CHANNEL_JOIN = sql.SQL(
    "channel join client on client.id = channel.client_id join waba on waba.id = channel.waba_id"
)
TEMPLATE_COLUMNS = sql.SQL(", ").join(
    [_columns("template", _TEMPLATE_NAMES), sql.SQL("waba.namespace as namespace")]
)
TEMPLATE_JOIN = sql.SQL("template join waba on waba.id = template.waba_id")


def channel_of(row: Mapping[str, Any]) -> Channel:  # Any: one row of CHANNEL_COLUMNS
    """Build a channel with its client and WABA from one joined row."""
    return Channel(
        **{name: row[name] for name in _CHANNEL_NAMES},
        client=Client(**{name: row["client__" + name] for name in _CLIENT_NAMES}),
        waba=Waba(**{name: row["waba__" + name] for name in _WABA_NAMES}),
    )
