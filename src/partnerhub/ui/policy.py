"""The security headers of pages, the content policy first.

The default needs no nonce: no template carries a script, an `on…` attribute or a style, and htmx works
through one Trusted Types policy. Onboarding pages name Meta's script origins; pages inside a popup must not
cut `window.opener`, so they send `unsafe-none`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from partnerhub.kit.errors import HubError
from partnerhub.kit.http import parse_url

_REFERRER = "strict-origin-when-cross-origin"
_PERMISSIONS = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()"


def content_security_policy(
    *,
    script_origins: Sequence[str] = (),
    connect_origins: Sequence[str] = (),
    frame_origins: Sequence[str] = (),
    image_origins: Sequence[str] = (),
    form_action: Sequence[str] = (),
    trusted_types: Sequence[str] = ("htmx",),
) -> str:
    """Return the value of `Content-Security-Policy`; origins are added to `'self'`.

    `form_action` must name the target when a form post answers with a redirect to another origin: browsers
    block it otherwise. Where foreign scripts run (`script_origins`), Trusted Types are not required, because
    those scripts know nothing of our policy.
    Raises: ValueError on anything that is not an origin, so that no value can add a directive.
    """
    sources = {
        "script-src": script_origins,
        "style-src": (),
        "img-src": image_origins,
        "font-src": (),
        "connect-src": connect_origins,
        "form-action": form_action,
    }
    parts = ["default-src 'none'"]
    parts += [" ".join((name, "'self'", *map(_origin, extra))) for name, extra in sources.items()]
    if frame_origins:
        parts.append(" ".join(("frame-src", *map(_origin, frame_origins))))
    parts += ["base-uri 'none'", "frame-ancestors 'none'"]
    if not script_origins:
        parts += ["require-trusted-types-for 'script'", f"trusted-types {' '.join(trusted_types)}"]
    return "; ".join(parts)


def origins_of(urls: Iterable[str | None]) -> tuple[str, ...]:
    """Return the origins of absolute http(s) addresses, each once.

    Others are left out: paths are ours already, and what is no address can be no source either.
    """
    return tuple(dict.fromkeys(origin for url in urls if url and (origin := _origin_of(url))))


def security_headers(*, policy: str | None = None, keeps_opener: bool = False) -> dict[str, str]:
    """Return the headers every page sends, with `policy` (default: the strict one).

    `keeps_opener` is for pages a popup passes: they send `unsafe-none`, so that the page that opened them
    still hears of the result.
    """
    return {
        "content-security-policy": content_security_policy() if policy is None else policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": _REFERRER,
        "permissions-policy": _PERMISSIONS,
        "cross-origin-opener-policy": "unsafe-none" if keeps_opener else "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
        "vary": "HX-Request",
    }


def _origin_of(url: str) -> str | None:
    try:
        target = parse_url(url)
    except HubError:
        return None
    return f"{'https' if target.is_tls else 'http'}://{target.authority}"


def _origin(text: str) -> str:
    scheme, separator, host = text.partition("://")
    if (
        not separator
        or scheme not in {"http", "https", "ws", "wss"}
        or not host
        or set(host) & set(" ;,'\"/\t\r\n")
    ):
        raise ValueError(f"“{text}” is not an origin.")
    return text
