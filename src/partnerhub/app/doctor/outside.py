"""The doctor's look from outside: mail server, public addresses, the callback's handshake."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlencode, urlsplit

from partnerhub.app.callback import callback_url
from partnerhub.app.doctor.findings import Finding, failed, ok, warning
from partnerhub.kit.http import Answer, ExchangeError, HttpClient
from partnerhub.kit.mail import MailNotTaken, MailServer, check_server
from partnerhub.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


async def look_at_mail(server: MailServer) -> AsyncIterator[Finding]:
    """Sign in at the mail server and leave again."""
    where = f"{server.host}:{server.port}"
    try:
        await check_server(server)
    except MailNotTaken as error:
        yield failed("mail_server", error.message)
    else:
        yield ok("mail_server", f"The mail server {where} takes us ({server.security.value}).")


async def look_at_addresses(http: HttpClient, settings: Settings) -> AsyncIterator[Finding]:
    """Ask hub and gateway by the addresses that others use."""
    for name, url in (("hub", settings.hub_url), ("gateway", settings.gateway_url)):
        try:
            answer = await http.request("GET", f"{url}/healthz")
        except ExchangeError as error:
            yield failed(f"public_{name}", f"{url} does not answer: {error.message}")
            continue
        if answer.status != 200 or answer.body.strip() != b"ok":
            words = f"{url}/healthz answers {answer.status}: does the proxy lead to the {name}?"
            yield failed(f"public_{name}", words)
            continue
        yield ok(f"public_{name}", f"The {name} answers at {url}.")
        yield await _metrics(http, name, url)


async def look_at_legal_pages(http: HttpClient, settings: Settings) -> AsyncIterator[Finding]:
    """Open the terms and the privacy notice as a client does."""
    for name, url in (("terms", settings.terms_url), ("privacy", settings.privacy_url)):
        code = f"{name}_page"
        if not url:
            # Only in development does anything start without.
            continue
        try:
            answer = await http.request("GET", url, max_body_bytes=1024 * 1024)
        except ExchangeError as error:
            yield warning(code, f"{url} does not answer: {error.message}")
            continue
        # Redirects lead browsers on.
        if answer.status < 400:
            yield ok(code, f"{url} answers.")
        else:
            yield failed(code, f"{url} answers {answer.status}: clients cannot read it.")


async def _metrics(http: HttpClient, name: str, url: str) -> Finding:
    code = f"public_{name}_metrics"
    if urlsplit(url).hostname in _LOOPBACK:
        return ok(code, f"The {name} is asked on this machine, which may see its metrics.")
    try:
        answer = await http.request("GET", f"{url}/metrics", max_body_bytes=1024)
    except ExchangeError as error:
        return warning(code, f"{url}/metrics could not be asked: {error.message}")
    if answer.status == 200:
        return failed(code, f"{url}/metrics is open to everybody: set PARTNERHUB_METRICS_TOKEN.")
    return ok(code, f"The {name} keeps its metrics to itself.")


async def look_at_handshake(http: HttpClient, settings: Settings) -> AsyncIterator[Finding]:
    """Ask the callback as Meta does when it is set, with the right token and with a wrong one."""
    challenge = secrets.token_hex(8)
    try:
        answer = await _ask(http, settings, settings.meta_verify_token, challenge)
        refused = await _ask(http, settings, secrets.token_hex(8), challenge)
    except ExchangeError as error:
        yield failed("callback_handshake", f"{callback_url(settings)} does not answer: {error.message}")
        return
    if answer.status != 200 or answer.body != challenge.encode():
        words = f"{callback_url(settings)} answers Meta's handshake with {answer.status}."
        yield failed("callback_handshake", words)
    elif refused.status != 403:
        words = f"{callback_url(settings)} takes any verify token: is it the gateway?"
        yield failed("callback_handshake", words)
    else:
        yield ok("callback_handshake", "The callback answers Meta's handshake, and refuses others.")


async def _ask(http: HttpClient, settings: Settings, token: str, challenge: str) -> Answer:
    asked = urlencode({"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": challenge})
    return await http.request("GET", f"{callback_url(settings)}?{asked}")
