"""Reading what callers send: list parameters in every encoding seen, bodies with or without a content type.

Source: Partner API reference 2 and 2.2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from partnerhub.channels.schemas import Listing
from partnerhub.kit.errors import Invalid

MOST_ROWS = 1000
_LARGEST_OFFSET = 2**31


class ParametersInvalid(Invalid):
    """A list parameter cannot be read."""

    code = "parameters_invalid"


class BodyInvalid(Invalid):
    """The body is not a JSON object, or a member has the wrong type."""

    code = "body_invalid"


@dataclass(frozen=True)
class ListParameters:
    """The list that is asked for, and the parameters as the envelope says them back."""

    listing: Listing

    def envelope(self, name: str, rows: list[dict[str, Any]], total: int) -> dict[str, Any]:  # Any: JSON
        """Return the list answer with its rows under `name`."""
        return {
            "count": len(rows),
            "filters": self.listing.filters,
            "limit": self.listing.limit,
            "offset": self.listing.offset,
            "sort": list(self.listing.sort),
            "total": total,
            name: rows,
        }


def read_list(query_string: bytes) -> ListParameters:
    """Read `limit`, `offset`, `sort` and `filters`; unknown parameters are passed over.

    Values may come raw, percent-encoded in either case, or with `+` for a blank. `sort` may be repeated,
    separated by commas, or a JSON list; what is read must be UTF-8. A limit above 1000 is served, and said
    back, as 1000.
    Raises: ParametersInvalid.
    """
    sent: dict[str, list[str]] = {}
    # Letters that are no UTF-8 come through marked: unknown parameters may have them, ours may not.
    text = query_string.decode("utf-8", "surrogateescape")
    for name, value in parse_qsl(text, keep_blank_values=True, errors="surrogateescape"):
        sent.setdefault(name, []).append(value)
    for name in ("limit", "offset", "sort", "filters"):
        if not all(map(_is_unicode, sent.get(name, []))):
            raise _refused(name, "is not valid UTF-8")
    return ListParameters(
        Listing(
            limit=min(_whole_number("limit", sent, MOST_ROWS), MOST_ROWS),
            offset=_whole_number("offset", sent, 0),
            sort=_sort(sent.get("sort", [])),
            filters=_filters(sent.get("filters", [""])[-1]),
        )
    )


def read_object(body: bytes) -> dict[str, Any]:  # Any: JSON that a caller wrote
    """Read a JSON object; an empty body is an empty object. Raises: BodyInvalid."""
    if not body.strip():
        return {}
    try:
        content = _read_json(body)
    except ValueError as error:
        raise BodyInvalid("The body is not valid JSON.") from error
    if not isinstance(content, dict):
        raise BodyInvalid("The body must be a JSON object.")
    return content


def read_text(body: Mapping[str, Any], name: str) -> str | None:  # Any: JSON that a caller wrote
    """Return a member that is text, or None where it is null or not sent. Raises: BodyInvalid."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong_type(name, "a string")
    return value


def read_number(body: Mapping[str, Any], name: str) -> int | None:  # Any: JSON that a caller wrote
    """Return a member that is a whole number, or None where it is null or not sent. Raises: BodyInvalid."""
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise _wrong_type(name, "a whole number")
    return value


def read_flag(body: Mapping[str, Any], name: str, *, default: bool) -> bool:  # Any: JSON that a caller wrote
    """Return a member that is true or false; the words are taken as strings too. Raises: BodyInvalid."""
    match body.get(name):
        case None:
            return default
        case bool(value):
            return value
        case str(word) if word.strip().lower() in {"true", "false"}:
            return word.strip().lower() == "true"
        case _:
            raise _wrong_type(name, "true or false")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_type(name: str, what: str) -> BodyInvalid:
    return BodyInvalid(f"{name} must be {what}.", fields={name: f"must be {what}"})


def _refused(name: str, reason: str) -> ParametersInvalid:
    return ParametersInvalid(f"{name} {reason}.", fields={name: reason})


def _whole_number(name: str, sent: Mapping[str, list[str]], default: int) -> int:
    text = sent.get(name, [""])[-1].strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise _refused(name, "must be a whole number, zero or more")
    return min(int(text), _LARGEST_OFFSET)


def _sort(sent: list[str]) -> tuple[str, ...]:
    names: list[str] = []
    for text in sent:
        if text.lstrip().startswith("["):
            names += _sort_list(text)
        else:
            names += text.split(",")
    wanted = tuple(name.strip() for name in names if name.strip())
    if len(wanted) > 10:
        raise _refused("sort", "takes at most ten fields")
    return wanted or ("id",)


def _sort_list(text: str) -> list[str]:
    try:
        listed = _read_json(text)
    except ValueError as error:
        raise _refused("sort", "is not valid JSON") from error
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise _refused("sort", "must be names of fields")
    return listed


def _filters(text: str) -> dict[str, object]:
    if not text.strip():
        return {}
    try:
        content = _read_json(text)
    except ValueError as error:
        raise _refused("filters", "is not valid JSON") from error
    if not isinstance(content, dict):
        raise _refused("filters", "must be a JSON object")
    return content


def _read_json(text: str | bytes) -> object:
    """Parse strictly: NaN, infinities and half characters can be neither stored nor said back."""
    try:
        content: object = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    pending = [content]
    while pending:
        match pending.pop():
            case dict() as members:
                pending += [*members.keys(), *members.values()]
            case list() as items:
                pending += items
            case str() as word:
                if "\x00" in word:
                    raise ValueError("null characters cannot be stored")
                word.encode()
            case float() as number if not math.isfinite(number):
                raise ValueError("numbers must be finite")
            case _:
                pass
    return content
