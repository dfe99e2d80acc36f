"""`fields=` and cursor paging, which most read edges share."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import Json

T = TypeVar("T")

_NAME = re.compile(r"\w+", re.ASCII)

Getter = Callable[[T], Any]  # Any: a JSON value; None leaves the field out


def split_fields(text: str) -> list[tuple[str, str]]:
    """Split `a,b{c,d},e.limit(1)` into names and their sub-fields. Raises: GraphError 2500."""
    found: list[tuple[str, str]] = []
    depth = 0
    current = ""
    for character in text + ",":
        if character == "," and depth == 0:
            if current.strip():
                name, _, rest = current.strip().partition("{")
                found.append((name.partition(".")[0].partition("(")[0].strip(), rest.removesuffix("}")))
            current = ""
            continue
        depth += (character in "{([") - (character in "})]")
        current += character
    if depth != 0 or any(not _NAME.fullmatch(name) for name, _ in found):
        raise GraphError(2500, message="(#2500) Syntax error in the fields parameter", http=400)
    return found


def select(
    item: T, getters: Mapping[str, Getter[T]], fields: str | None, *, default: Sequence[str], node_type: str
) -> Json:
    """Return the asked fields of one item, always with its id. Raises: GraphError 100 for unknown fields."""
    wanted = split_fields(fields) if fields else [(name, "") for name in default]
    found: Json = {}
    for name, inner in [*wanted, ("id", "")]:
        getter = getters.get(name)
        if getter is None:
            raise GraphError(
                100, message=f"(#100) Tried accessing nonexisting field ({name}) on node type ({node_type})"
            )
        value = getter(item)
        if value is None:
            continue
        if inner and isinstance(value, dict):
            keep = {name for name, _ in split_fields(inner)} | {"id"}
            value = {key: part for key, part in value.items() if key in keep}
        found[name] = value
    return found


def page(
    call: Call, items: Sequence[Json], *, base_url: str, keys: Sequence[str], default_limit: int = 25
) -> Json:
    """Cut one page out of `items`, named in cursors by `keys`. Raises: GraphError 131059, cursor stale."""
    try:
        limit = max(1, min(int(call.query.get("limit", default_limit)), 1_000))
    except ValueError as problem:
        raise GraphError(100, message="(#100) Param limit must be an integer") from problem
    start = 0
    end: int | None = None
    if after := call.query.get("after"):
        start = _position(keys, after) + 1
    elif before := call.query.get("before"):
        end = _position(keys, before)
        start = max(0, end - limit)
    stop = min(start + limit, len(items)) if end is None else end
    answer: Json = {"data": list(items[start:stop])}
    if stop > start:
        cursors = {"before": _cursor(keys[start]), "after": _cursor(keys[stop - 1])}
        answer["paging"] = {"cursors": cursors}
        address = f"{base_url}/{call.version or 'v25.0'}{call.path}"
        kept = {
            name: value
            for name, value in call.query.items()
            if name not in {"access_token", "after", "before"}
        }
        if stop < len(items):
            answer["paging"]["next"] = (
                f"{address}?{urlencode({**kept, 'limit': limit, 'after': cursors['after']})}"
            )
        if start > 0:
            answer["paging"]["previous"] = (
                f"{address}?{urlencode({**kept, 'limit': limit, 'before': cursors['before']})}"
            )
    return answer


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(f"c:{key}".encode()).decode().rstrip("=")


def _position(keys: Sequence[str], cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        return list(keys).index(text.removeprefix("c:"))
    except (binascii.Error, ValueError) as problem:
        raise GraphError(131059, "The cursor is not valid or has gone stale.") from problem


def graph_time(moment: float) -> str:
    """Format a moment as Graph does, `2026-11-20T10:00:00+0000`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
