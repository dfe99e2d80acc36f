"""Reading and writing JSON: bodies strictly into their shape, answers as the document says."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from litestar import Response
from msgspec import Struct

from partnerhub.hub_api.errors import BodyInvalid
from partnerhub.kit.errors import Problem

T = TypeVar("T", bound=Struct)

# msgspec says where it stumbled: “Expected `str`, got `int` - at `$.solution_id`”.
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(?P<member>[A-Za-z0-9_]*)[^`]*`$")


def read_body(body: bytes, shape: type[T], *, may_be_empty: bool = False) -> T:
    """Read a JSON object, whatever its content type says. Raises: BodyInvalid, naming the member."""
    if may_be_empty and not body.strip():
        body = b"{}"
    if b"\x00" in body or b"\\u0000" in body:
        raise BodyInvalid("The body has a null character in it, which cannot be stored.")
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        reason = str(error)
        place = _PLACE.search(reason)
        member = (place["member"] if place else "") or "body"
        raise BodyInvalid(
            f"{member}: {reason}", problems=[Problem(member, BodyInvalid.code, _PLACE.sub("", reason))]
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyInvalid("The body is not valid JSON.") from error


class HubJson(Response[bytes]):
    """An answer of this API."""

    def __init__(self, content: Struct, *, status_code: int = 200) -> None:
        super().__init__(msgspec.json.encode(content), status_code=status_code, media_type="application/json")
