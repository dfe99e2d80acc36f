"""What an onboarding link says.

The links come from several generations of buttons, demo tools and hand-written pages, so the reader
survives what they really send: a raw `+` or quotes around the number, values that were never encoded
(a `redirect_url` whose own parameters spill into ours), empty values, unknown parameters.
Source: `360dialog-connect-button` 0.7–1.0.2 and the public demo page, read 2026-11.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, unquote_plus, urlsplit, urlunsplit

_KNOWN = frozenset(
    {
        "number", "email", "name", "state", "redirect_url", "next", "plan_selection", "lang", "partner",
        "hosting_type", "connect_client_user", "client_id", "flow", "io_signature", "io_timestamp",
        "preverified_phone_number_id",
    }
)  # fmt: skip
_SIGNED = frozenset({"io_signature", "io_timestamp"})
_LANGUAGES = {"de": "de", "en": "en", "pt": "pt-BR", "pt-br": "pt-BR", "es": "es"}
_PLANS = frozenset({"basic", "regular", "premium"})
_LONGEST = 2000
LONGEST_STATE: Final = 4000
LONGEST_REDIRECT: Final = 2048
_QUOTED = re.compile(r'(?:"|%22)(.*?)(?:"|%22)?', re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """The parameters of one link; empty text means not given.

    `number` holds digits only. `repeated` names parameters that came more than once (the first counts), and
    those of a signature that came under a name with blanks.
    `state` and `redirect_url` are whole however long they are: they are taken as they are, or refused.
    """

    number: str = ""
    email: str = ""
    name: str = ""
    state: str = ""
    redirect_url: str = ""
    shows_login: bool = False
    plan_selection: str = ""
    locale: str = ""
    partner_payload: str = ""
    client_id: str = ""
    flow: str = ""
    io_signature: str = ""
    io_timestamp: str = ""
    preverified_phone_number_id: str = ""
    repeated: frozenset[str] = frozenset()
    at_permissions: bool = False
    """Said by the path and not by a parameter: the link leads to the permissions of an existing client."""


def read_entry(query: bytes | str) -> Entry:
    """Read the raw query string of an onboarding link; never fails."""
    text = query.decode("utf-8", "replace") if isinstance(query, bytes) else query
    values: dict[str, str] = {}
    repeated: set[str] = set()
    has_raw_redirect = False
    for part in text.split("&"):
        if not part:
            continue
        key, has_value, raw = part.partition("=")
        written = unquote_plus(key)
        key = written.strip()
        if key in _KNOWN:
            # Nothing of a signature is mended, its name as little as its value.
            if key in values or (key in _SIGNED and key != written):
                repeated.add(key)
                continue
            values[key] = raw
            has_raw_redirect |= key == "redirect_url" and "?" in raw
        elif has_raw_redirect:
            # The redirect was not encoded: what comes after its own “?” and is none of ours belongs to it,
            # also behind a parameter that could be either's and is ours.
            values["redirect_url"] += "&" + key + (has_value and "=" + raw)
    clean = {key: _decode(key, raw) for key, raw in values.items()}
    return Entry(
        number=re.sub(r"[^0-9]", "", clean.get("number", "")),
        email=clean.get("email", ""),
        name=clean.get("name", ""),
        state=clean.get("state", ""),
        redirect_url=clean.get("redirect_url", ""),
        shows_login=clean.get("next", "") == "login",
        plan_selection=plan if (plan := clean.get("plan_selection", "").lower()) in _PLANS else "",
        locale=_LANGUAGES.get(clean.get("lang", "").lower().replace("_", "-"), ""),
        partner_payload=clean.get("partner", ""),
        client_id=clean.get("client_id", ""),
        flow=clean.get("flow", ""),
        io_signature=clean.get("io_signature", ""),
        io_timestamp=clean.get("io_timestamp", ""),
        preverified_phone_number_id=re.sub(r"[^0-9]", "", clean.get("preverified_phone_number_id", "")),
        repeated=frozenset(repeated),
    )


def _decode(key: str, raw: str) -> str:
    # In an e-mail address or a number a plus is a plus; elsewhere forms write blanks as plus. A redirect
    # keeps its own encoding where it was sent raw.
    if key in {"email", "number"}:
        value = unquote(raw)
    elif key == "redirect_url":
        # One demo tool wraps values in literal double quotes, and browsers escape those.
        bare = quoted[1] if (quoted := _QUOTED.fullmatch(raw)) else raw
        value = unquote(bare) if "://" not in bare else bare
    elif key == "state":
        return unquote_plus(raw, errors="surrogateescape")
    elif key in _SIGNED:
        # Base64 has pluses, and what is signed is taken as it is: nothing is mended before it is checked.
        return unquote(raw)[:_LONGEST]
    else:
        value = unquote_plus(raw)
    value = value.replace("\x00", "")
    if key != "redirect_url":
        value = value[:_LONGEST]
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return value.strip()


def can_come_back(state: str) -> bool:
    """Say whether a state can be kept and sent back as it came: not too long, UTF-8, no zero character."""
    return len(state) <= LONGEST_STATE and not re.search("[\x00\ud800-\udfff]", state)


def redirect_with(
    redirect_url: str, *, client_id: str, channel_ids: list[str], revoked_ids: list[str], state: str
) -> str:
    """Return the address that a finished run goes to.

    `client`, `channels=[a,b]` (brackets and commas stay literal: readers cut them by position), `revoked`
    only when something was withdrawn, `state` as it came. An existing query is kept and extended.
    """
    parts = urlsplit(redirect_url)
    added = [f"client={client_id}", f"channels=[{','.join(channel_ids)}]"]
    if revoked_ids:
        added.append(f"revoked=[{','.join(revoked_ids)}]")
    if state:
        added.append(f"state={quote(state, safe='')}")
    query = "&".join(([parts.query] if parts.query else []) + added)
    target = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, parts.fragment))
    # A header holds ASCII; what was sent unescaped beyond that is escaped as a browser would, and no more.
    return quote(target, safe=string.punctuation)


def is_allowed_redirect(redirect_url: str, *, configured: str | None, extra_origins: Iterable[str]) -> bool:
    """Say whether a link may send the client to `redirect_url`.

    The link is attacker-controllable, so only the origin of the partner's own redirect URL and origins that
    the partner listed are taken.
    """
    origin = _origin(redirect_url)
    allowed = {_origin(url) for url in (configured, *extra_origins) if url}
    return origin is not None and origin in allowed


def _origin(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        return None
    if any(character in url for character in "\\\t\r\n "):
        return None
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{parts.hostname.lower()}:{port or default}"
