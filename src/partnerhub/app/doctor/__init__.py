"""`partnerhub doctor`: one look at everything that an installation stands on.

Each look yields findings; a look that breaks is a finding itself, so that one broken part hides no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from partnerhub.app import keyring_of, mail_server_of, meta_client, open_database
from partnerhub.app.doctor import inside, meta, outside
from partnerhub.app.doctor.findings import Finding, Level, failed, ok, warning
from partnerhub.kit.errors import HubError
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.settings import Settings, SettingsWrong, environment_name

__all__ = ["Finding", "Level", "examine", "look_at_settings"]

_LOOK_SECONDS = 60.0
_BOOKS_SECONDS = 900.0

Look = Callable[[], AsyncIterator[Finding]]


async def examine(
    settings: Settings, *, before: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Finding]:
    """Yield everything there is to say, look after look; `before` hears what is looked at next."""
    hide = _Hider(settings)
    async for finding in _examine(settings, before):
        yield hide.secrets_in(finding)


def look_at_settings(settings: Settings | SettingsWrong) -> list[Finding]:
    """Say what is wrong with the settings, or what is unwise about them."""
    if isinstance(settings, SettingsWrong):
        return [failed("settings", problem) for problem in settings.problems]
    found = [ok("settings", "Every setting can be read.")]
    if settings.development:
        found.append(
            warning(
                "settings_development",
                f"{environment_name('development')} is on: http webhooks on loopback, cookies without TLS.",
            )
        )
    if settings.hub_url.startswith("https://") and not settings.trusted_proxies:
        found.append(
            warning(
                "settings_proxies",
                f"{environment_name('trusted_proxies')} is empty: behind a proxy, all visitors seem to come"
                " from it, and sign-in limits hit everybody at once.",
            )
        )
    return found


async def _examine(settings: Settings, before: Callable[[str], None]) -> AsyncIterator[Finding]:
    for finding in look_at_settings(settings):
        yield finding
    async with AsyncExitStack() as stack:
        # The operator configured every address that is asked here.
        http = await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))
        graph = meta_client(settings, http)
        before("the database")
        server = await inside.look_at_server(settings.database_url)
        for finding in server.findings:
            yield finding
        looks: list[tuple[str, str, Look]] = []
        if server.is_usable:
            keyring = keyring_of(settings)
            database = await stack.enter_async_context(open_database(settings, name="doctor"))
            looks += [
                ("the days ahead", "database_days", lambda: inside.look_at_days(database)),
                ("the books", "ledger_books", lambda: inside.look_at_books(database)),
                ("the jobs", "jobs", lambda: inside.look_at_jobs(database)),
                ("the envelope keys", "keys", lambda: inside.look_at_keys(database, keyring)),
            ]
        looks += [
            ("the app at Meta", "meta_app", lambda: meta.look_at_app(graph, settings)),
            ("the system user's token", "meta_token", lambda: meta.look_at_token(graph, settings)),
            ("the credit line", "meta_credit_line", lambda: meta.look_at_credit_line(graph, settings)),
            ("the app's callback", "meta_callback", lambda: meta.look_at_callback(graph, settings)),
            ("the handshake", "callback_handshake", lambda: outside.look_at_handshake(http, settings)),
            ("the public addresses", "public", lambda: outside.look_at_addresses(http, settings)),
            ("terms and privacy", "legal_pages", lambda: outside.look_at_legal_pages(http, settings)),
            ("the mail server", "mail_server", lambda: outside.look_at_mail(mail_server_of(settings))),
        ]
        for what, code, look in looks:
            before(what)
            async for finding in _safely(code, look):
                yield finding


async def _safely(code: str, look: Look) -> AsyncIterator[Finding]:
    """Turn what breaks a look into a finding of its own."""
    seconds = _BOOKS_SECONDS if code == "ledger_books" else _LOOK_SECONDS
    found: list[Finding] = []
    try:
        async with asyncio.timeout(seconds):
            async for finding in look():
                found.append(finding)  # noqa: PERF401 - what was found stays when the rest breaks
    except TimeoutError:
        found.append(failed(code, f"No end within {seconds:.0f} seconds."))
    except (HubError, psycopg.Error, ValueError) as error:
        found.append(failed(code, f"The look broke off: {str(error).strip() or type(error).__name__}"))
    for finding in found:
        yield finding


class _Hider:
    """Takes secrets out of what servers said, should one of them repeat what it was given."""

    def __init__(self, settings: Settings) -> None:
        password = conninfo_to_dict(settings.database_url).get("password") or ""
        values = [str(password), *settings.secret_keys.split(",")]
        for item in fields(settings):
            if item.metadata["secret"]:
                value = getattr(settings, item.name)
                values += [value] if isinstance(value, str) else value
        spellings = {part.strip() for value in values for part in (value, quote(value, safe=""))}
        # A secret of a few letters would blank out ordinary words.
        self._secrets = sorted((one for one in spellings if len(one) >= 6), key=len, reverse=True)

    def secrets_in(self, finding: Finding) -> Finding:
        words = finding.words
        for secret in self._secrets:
            words = words.replace(secret, "[removed]")
        return replace(finding, words=words)
