"""What a partner puts on its own pages: the link with its parameters, and the code of each button.

Pure text: values are checked by whoever asks. `Wishes` holds them under the names that the link gives them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

PARAMETERS = (
    "number",
    "email",
    "name",
    "state",
    "redirect_url",
    "next",
    "plan_selection",
    "lang",
    "partner",
    "preverified_phone_number_id",
)
"""What a link may carry, in the order in which buttons write it."""

# The public button 1.0.2 knows the number by another name, and passes these two on no more.
_DROPPED_BY_PUBLIC = frozenset({"lang", "partner"})
_SIGNATURE = {"io-signature": "{{ io_signature }}", "io-timestamp": "{{ io_timestamp }}"}
# Ours asks at the press; the public one only knows what the page was written with.
_SIGN_URL = {"sign-url": "/signed-link"}


@dataclass(frozen=True)
class ButtonScript:
    """The hub's own button: where its newest version is served for ever, and the hash to pin it by."""

    path: str
    integrity: str


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """For whom code is written; `link` is the partner's bare link, `values` what it carries."""

    hub_url: str
    partner_id: str
    link: str
    script: ButtonScript
    values: Mapping[str, str]
    is_signed: bool

    @property
    def whole_link(self) -> str:
        """The link with its parameters, percent-encoded."""
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in _given(self.values))
        return f"{self.link}?{query}" if query else self.link

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of our button, by name."""
        given = {_attribute(name): value for name, value in _given(self.values)}
        return {"partner-id": self.partner_id, **given}

    def html(self) -> str:
        """Write our button for any page."""
        lines = (
            f'<script src="{self.hub_url}{self.script.path}"',
            f'  integrity="{self.script.integrity}"',
            '  crossorigin="anonymous" defer></script>',
            "",
            _tag("partnerhub-connect", {**self.attributes, **(_SIGN_URL if self.is_signed else {})}),
            "",
            "<script>",
            '  document.addEventListener("connect-callback", (event) => {',
            "    const { client, channels, revokedChannels, state } = event.detail;",
            "    // Tell your server: it makes a key for each channel.",
            "  });",
            "</script>",
        )
        return "\n".join(lines)

    def react(self) -> str:
        """Write our button for React; the page loads the script as in `html`."""
        attributes = {**self.attributes, **(_SIGN_URL if self.is_signed else {})}
        lines = (
            "// The page loads the script, see HTML.",
            'import { useEffect, useRef } from "react";',
            "",
            "export function Connect({ onConnected }) {",
            "  const button = useRef(null);",
            "  useEffect(() => {",
            "    button.current.callback = onConnected;",
            "  }, [onConnected]);",
            "  return (",
            "    <partnerhub-connect",
            "      ref={button}",
            *(f"      {name}={{{_js(value)}}}" for name, value in attributes.items()),
            "    />",
            "  );",
            "}",
        )
        return "\n".join(lines)

    def public_react(self) -> str:
        """Write the public button for React."""
        given = {name: value for name, value in _given(self.values) if name not in _DROPPED_BY_PUBLIC}
        number = given.pop("number", "")
        if self.is_signed:
            given |= {name.replace("-", "_"): value for name, value in _SIGNATURE.items()}
        lines = [
            'import { ConnectButton } from "360dialog-connect-button";',
            "",
            "export const Connect = ({ onConnected }) => (",
            "  <ConnectButton",
            f"    partnerId={_js(self.partner_id)}",
            *([f"    requestedNumber={_js(number)}"] if number else []),
        ]
        if given:
            lines += [
                "    queryParameters={{",
                *(f"      {key}: {_js(one)}," for key, one in given.items()),
                "    }}",
            ]
        lines += ["    callback={onConnected}", "  />", ");"]
        return "\n".join(lines)

    def public_html(self) -> str:
        """Write the public button for any page."""
        kept = {name: value for name, value in self.attributes.items() if name not in _DROPPED_BY_PUBLIC}
        if number := kept.pop("number", ""):
            kept["requested-number"] = number
        signature = _SIGNATURE if self.is_signed else {}
        lines = (
            '<script src="/vendor/dialog-connect-button.umd.js"></script>',
            "",
            _tag("dialog-connect-button", {**kept, **signature, "label": "Connect WhatsApp"}),
            "",
            "<script>",
            '  window.addEventListener("dialog-connect-callback", (event) => {',
            "    const { client, channels, revokedChannels } = event.detail;",
            "    // Comes twice, and again on reload: let your server take it once.",
            "  });",
            "</script>",
        )
        return "\n".join(lines)


def _given(values: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return [(name, values[name]) for name in PARAMETERS if values.get(name)]


def _attribute(parameter: str) -> str:
    return parameter.replace("_", "-")


def _js(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tag(name: str, attributes: Mapping[str, str]) -> str:
    given = [f'{key}="{escape(value)}"' for key, value in attributes.items()]
    inside = "".join(f"\n  {one}" for one in given) if len(given) > 1 else f" {given[0]}"
    return f"<{name}{inside}></{name}>"
