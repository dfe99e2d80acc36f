"""The doctor's look at Meta: the app, the system user's token, the callback, and Meta's clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from partnerhub.app.callback import NEEDED_FIELDS, PASSED_ON_FIELDS, callback_url
from partnerhub.app.doctor.findings import Finding, failed, ok, some, warning
from partnerhub.app.doctor.inside import skew
from partnerhub.kit import clock
from partnerhub.meta import MetaClient, MetaError, TokenInfo
from partnerhub.settings import Settings

# Source: Meta's permissions for solution providers: numbers and templates, and messages.
NEEDED_SCOPES = ("whatsapp_business_management", "whatsapp_business_messaging")
_OBJECT = "whatsapp_business_account"
_ENDS_SOON = timedelta(days=14)


async def look_at_app(meta: MetaClient, settings: Settings) -> AsyncIterator[Finding]:
    """Ask for the app's own token, and read Meta's clock on the way."""
    try:
        await meta.app.fetch_app_token()
    except MetaError as error:
        yield failed("meta_app", f"App id and secret do not get a token: {_words(error)}")
    else:
        yield ok("meta_app", f"App {settings.meta_app_id} and its secret belong together.")
    try:
        answer = await meta.call("GET", f"/{settings.meta_app_id}", token=meta.app.app_token)
    except MetaError as error:
        yield failed("clock_meta", f"Meta's clock could not be read: {_words(error)}")
        return
    try:
        told = parsedate_to_datetime(answer.headers.get("date") or "")
    except ValueError:
        yield warning("clock_meta", "Meta's answer does not tell the time.")
        return
    # The header names whole seconds, cut off, and the answer took a while.
    blur = 1.0 + answer.timings.total_us / 1e6
    yield skew("clock_meta", "Meta", (told - clock.now()).total_seconds() + 0.5, blur_seconds=blur)


async def look_at_token(meta: MetaClient, settings: Settings) -> AsyncIterator[Finding]:
    """Ask Meta what the system user's token may."""
    try:
        info = await meta.app.debug_token(inspected=settings.meta_system_token)
    except MetaError as error:
        yield failed("meta_token", f"The system user's token could not be looked at: {_words(error)}")
        return
    if not info.is_valid:
        words = "The system user's token is not valid: make a new one in Meta's business settings."
        yield failed("meta_token", words)
        return
    if info.app_id != settings.meta_app_id:
        yield failed("meta_token", f"The system user's token is of another app ({info.app_id}).")
        return
    yield _life(info)
    missing = [scope for scope in NEEDED_SCOPES if scope not in info.scopes]
    if missing:
        yield failed("meta_scopes", f"The system user's token lacks {some(missing)}.")
    else:
        yield ok("meta_scopes", f"The system user's token has {some(NEEDED_SCOPES)}.")


def _life(info: TokenInfo) -> Finding:
    if not info.expires_at:
        return ok("meta_token", "The system user's token is valid and does not expire.")
    ends = datetime.fromtimestamp(info.expires_at, UTC)
    if ends - clock.now() < _ENDS_SOON:
        words = f"The system user's token ends on {ends:%Y-%m-%d}: make one that does not expire."
        return warning("meta_token", words)
    return ok("meta_token", f"The system user's token is valid until {ends:%Y-%m-%d}.")


async def look_at_credit_line(meta: MetaClient, settings: Settings) -> AsyncIterator[Finding]:
    """Ask Meta for the shares of the credit line, which only those may see who may share it."""
    if not settings.meta_credit_line_id:
        yield ok("meta_credit_line", "No credit line is set: clients pay Meta themselves.")
        return
    try:
        await meta.credit.list_allocations(settings.meta_credit_line_id, token=settings.meta_system_token)
    except MetaError as error:
        yield failed("meta_credit_line", f"The credit line cannot be shared with clients: {_words(error)}")
    else:
        words = f"The credit line {settings.meta_credit_line_id} is shared with every account."
        yield ok("meta_credit_line", words)


async def look_at_callback(meta: MetaClient, settings: Settings) -> AsyncIterator[Finding]:
    """Look where Meta sends callbacks, and what is in them."""
    ours = callback_url(settings)
    try:
        subscriptions = await meta.app.list_subscriptions()
    except MetaError as error:
        yield failed("meta_callback", f"The app's callback could not be read: {_words(error)}")
        return
    found = next((one for one in subscriptions if one.object == _OBJECT), None)
    if found is None or not found.callback_url:
        yield failed("meta_callback", "The app has no callback: run `partnerhub subscribe`.")
        return
    if found.callback_url != ours or found.active is False:
        leads = f"leads to {found.callback_url}, not to {ours}"
        what = "is switched off" if found.callback_url == ours else leads
        yield failed("meta_callback", f"The app's callback {what}: run `partnerhub subscribe`.")
        return
    yield ok("meta_callback", f"Meta calls {ours}.")
    carried = {field.name for field in found.fields}
    if missing := [name for name in NEEDED_FIELDS if name not in carried]:
        yield failed("meta_fields", f"Meta does not tell of {some(missing)}: run `partnerhub subscribe`.")
    elif missing := [name for name in PASSED_ON_FIELDS if name not in carried]:
        yield warning("meta_fields", f"Meta does not tell of {some(missing)}, so nobody gets these events.")
    else:
        yield ok("meta_fields", "Meta tells of everything that is needed here.")


def _words(error: MetaError) -> str:
    """Say what Meta said, with its own number and trace id."""
    parts = [str(error.upstream_code or ""), error.trace_id or ""]
    told = " ".join(part for part in parts if part)
    return f"{error.message} ({error.code}{' ' + told if told else ''})"
