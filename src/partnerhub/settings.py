"""Settings: read once at start from the environment and an optional TOML file.

Every setting is a field here, with its unit and meaning; `docs/reference/settings.md` is checked against
this module. A wrong start lists every problem at once. This module imports nothing of ours: `app.py` and
`cli` hand single values down.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

PREFIX = "PARTNERHUB_"
# Names that the whole industry uses keep their name.
_PLAIN_NAMES = {"database_url": "DATABASE_URL"}


class SettingsWrong(Exception):
    """The settings cannot be used; `problems` names each one."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _setting(
    default: Any = MISSING,  # Any: the default of a field of any type
    *,
    help: str,  # noqa: A002 - the word users know
    read: Callable[[str], object] = str,
    secret: bool = False,
) -> Any:  # Any: dataclasses.field is typed so
    metadata = {"help": help, "read": read, "secret": secret}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def _flag(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError("must be true or false")


def _port(text: str) -> int:
    if not 0 < (number := int(text)) < 65536:
        raise ValueError("must be a port between 1 and 65535")
    return number


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError("must be 1 or more")
    return number


def _calls(text: str) -> int:
    if (number := int(text)) < 0:
        raise ValueError("must be 0 or more")
    return number


def _seconds(text: str) -> int:
    if not 0 <= (number := int(text)) <= 86_400:
        raise ValueError("must be 0 to 86400 seconds")
    return number


def _database_url(text: str) -> str:
    # What the driver says of a wrong URL repeats it, password and all.
    problem = "must be a URL such as postgresql://login:password@host:5432/database"
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(problem)
    try:
        conninfo_to_dict(text)
    except ProgrammingError:
        raise ValueError(problem) from None
    return text


def _envelope_keys(text: str) -> str:
    problem = "each key must be base64 of 32 bytes; `partnerhub keys new` makes one"
    try:
        keys = [base64.b64decode(part.strip(), validate=True) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(problem) from None
    if not keys or any(len(key) != 32 for key in keys):
        raise ValueError(problem)
    return text


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http(s) address")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("must be an address without a path")
    return text.rstrip("/")


def _page_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http(s) address")
    return text


def _networks(text: str) -> tuple[str, ...]:
    return tuple(
        str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip()
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return read


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that an operator can set. Environment names are `PARTNERHUB_` and the field in capitals."""

    database_url: str = _setting(
        help="PostgreSQL 16 or newer, as a URL with the login role.", read=_database_url, secret=True
    )
    secret_keys: str = _setting(
        help="Envelope keys, base64 of 32 bytes each, newest first, separated by commas.",
        read=_envelope_keys,
        secret=True,
    )
    hub_url: str = _setting(help="Public address of the hub (pages and Partner API).", read=_base_url)
    gateway_url: str = _setting(help="Public address of the gateway (Messaging API).", read=_base_url)
    development: bool = _setting(
        False, help="Permits loopback http webhooks and cookies without TLS; never in production.", read=_flag
    )
    brand_name: str = _setting("Partner Hub", help="The name that pages and mails carry.")
    brand_logo_url: str = _setting("", help="Logo shown beside the name; empty for the built-in sign.")
    support_email: str = _setting("", help="Where pages send people who are stuck.")
    terms_url: str = _setting(
        "",
        help="Your terms of service; clients accept them in the popup. Needed outside development.",
        read=_page_url,
    )
    privacy_url: str = _setting(
        "", help="Your privacy notice, linked from every page. Needed outside development.", read=_page_url
    )
    imprint_url: str = _setting("", help="Your imprint, linked from sign-in pages.", read=_page_url)

    hub_host: str = _setting("127.0.0.1", help="Address the hub listens on.")
    hub_port: int = _setting(8082, help="Port the hub listens on.", read=_port)
    gateway_host: str = _setting("127.0.0.1", help="Address the gateway listens on.")
    gateway_port: int = _setting(8081, help="Port the gateway listens on.", read=_port)
    worker_host: str = _setting("127.0.0.1", help="Address of the worker's health and metrics page.")
    worker_port: int = _setting(8083, help="Port of the worker's health and metrics page.", read=_port)
    processes: int = _setting(1, help="Server processes per service; they share the port.", read=_count)
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        help="Networks whose X-Forwarded-For and -Proto are believed, separated by commas.",
        read=_networks,
    )
    metrics_token: str = _setting(
        "", help="Bearer token for /metrics; without one only loopback callers see it.", secret=True
    )
    api_calls_per_minute: int = _setting(
        6_000,
        help="Calls of the Partner API and the hub's own API that one key or user may make in a minute, in"
        " each process; 0 for any number.",
        read=_calls,
    )
    database_connections: int = _setting(12, help="Most connections of one process.", read=_count)

    meta_graph_url: str = _setting("https://graph.facebook.com", help="Meta's Graph API.", read=_base_url)
    meta_graph_version: str = _setting("v23.0", help="Version in the Graph API's paths.")
    meta_sdk_url: str = _setting(
        "https://connect.facebook.net/en_US/sdk.js", help="Script that opens Embedded Signup."
    )
    meta_dialog_origins: tuple[str, ...] = _setting(
        ("https://www.facebook.com", "https://web.facebook.com"),
        help="Origins whose Embedded Signup messages are believed, separated by commas.",
        read=_words,
    )
    meta_media_url: str = _setting(
        "https://lookaside.fbsbx.com", help="Where Meta serves media bytes.", read=_base_url
    )
    meta_app_id: str = _setting(help="Id of your app at Meta.")
    meta_app_secrets: tuple[str, ...] = _setting(
        help="App secrets, newest first; all verify callbacks.", read=_words, secret=True
    )
    meta_system_token: str = _setting(help="Access token of your system user at Meta.", secret=True)
    meta_config_id: str = _setting(help="Configuration id of Embedded Signup.")
    meta_credit_line_id: str = _setting(
        "",
        help="Id of your credit line at Meta, shared with every account that is connected; only Solution"
        " Partners have one. Empty: clients pay Meta themselves.",
    )
    meta_verify_token: str = _setting(
        help="Token that Meta repeats when it verifies the callback.", secret=True
    )

    smtp_host: str = _setting(help="Server that takes our mail.")
    smtp_port: int = _setting(587, help="Its port.", read=_port)
    smtp_user: str = _setting("", help="Login at the mail server; empty for none.")
    smtp_password: str = _setting("", help="Password at the mail server.", secret=True)
    smtp_tls: str = _setting(
        "starttls", help="starttls, tls or none.", read=_one_of("starttls", "tls", "none")
    )
    mail_from: str = _setting(help="Sender of every mail.")

    error_style: str = _setting(
        "union",
        help="Shape of errors that the gateway makes itself: union, simple or meta.",
        read=_one_of("union", "simple", "meta"),
    )
    rewrite_media_urls: bool = _setting(
        False, help="Put the gateway's address into media answers instead of Meta's.", read=_flag
    )
    block_free_at_zero: bool = _setting(
        False, help="Refuse free messages too when the balance is zero or less.", read=_flag
    )
    onboarding_without_payment_method: bool = _setting(
        False,
        help="Let Direct-Paid clients connect a number while no payment provider is set.",
        read=_flag,
    )
    partner_paid_withdrawal: bool = _setting(
        False,
        help="Let clients of Partner-Paid partners withdraw a permission by themselves in the popup.",
        read=_flag,
    )
    io_signature_age_seconds: int = _setting(
        300, help="How old a signed onboarding link may be (IO Signature).", read=_seconds
    )
    io_signature_ahead_seconds: int = _setting(
        60, help="How far ahead of our clock a partner's may be when it signs a link.", read=_seconds
    )
    mailbox_url: str = _setting("", help="Page of the development mailbox, linked from pages.")
    log_level: str = _setting(
        "info", help="debug, info, warning or error.", read=_one_of("debug", "info", "warning", "error")
    )
    readable_logs: bool = _setting(False, help="Logs for a terminal instead of JSON lines.", read=_flag)

    @property
    def is_secure(self) -> bool:
        """Cookies are Secure, unless the hub itself is a development address without TLS."""
        return not (self.development and self.hub_url.startswith("http://"))


def environment_name(name: str) -> str:
    """Return the environment variable of a setting."""
    return _PLAIN_NAMES.get(name, PREFIX + name.upper())


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; `PARTNERHUB_CONFIG` may name a TOML file, the environment wins over it.

    Raises: SettingsWrong, with every problem at once.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    from_file = _read_file(environ.get("PARTNERHUB_CONFIG", ""), problems)
    values: dict[str, object] = {}
    known = {item.name for item in fields(Settings)}
    problems += [f"{name}: the file has an unknown setting" for name in sorted(set(from_file) - known)]
    names = {environment_name(name) for name in known} | {"PARTNERHUB_CONFIG"}
    problems += [
        f"{name}: unknown setting"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in names
    ]
    for item in fields(Settings):
        text = environ.get(environment_name(item.name)) or from_file.get(item.name, "")
        if text == "":
            if item.default is MISSING:
                problems.append(f"{environment_name(item.name)}: missing. {item.metadata['help']}")
            continue
        try:
            values[item.name] = item.metadata["read"](text)
        except ValueError as error:
            # A secret's wrong value must not reach the terminal or a log.
            shown = "" if item.metadata["secret"] else f" (is “{text}”)"
            problems.append(f"{environment_name(item.name)}: {error}{shown}")
    if not problems:
        settings = Settings(**cast("Any", values))  # Any: checked field by field above
        problems += _contradictions(settings)
        if not problems:
            return settings
    raise SettingsWrong(problems)


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if not settings.development:
        problems += [
            f"{environment_name(name)}: must be https outside development"
            for name in ("hub_url", "gateway_url", "meta_graph_url")
            if not getattr(settings, name).startswith("https://")
        ]
        problems += [
            f"{environment_name(name)}: missing outside development. Clients must be able to read it"
            for name in ("terms_url", "privacy_url")
            if not getattr(settings, name)
        ]
        if settings.smtp_tls == "none":
            problems.append(f"{environment_name('smtp_tls')}: mail without TLS is for development only")
    if not settings.meta_app_secrets:
        problems.append(f"{environment_name('meta_app_secrets')}: at least one app secret is needed")
    return problems


def _read_file(path: str, problems: list[str]) -> dict[str, str]:
    if not path:
        return {}
    try:
        content = tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(f"PARTNERHUB_CONFIG: {error}")
        return {}
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in content.items()
    }
