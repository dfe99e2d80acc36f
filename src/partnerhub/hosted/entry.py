"""The way in: a link becomes a run with an address of its own, so that nothing of it stays in the history."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from partnerhub.hosted.view import (
    COOKIE,
    COOKIE_SECONDS,
    PUBLIC,
    WITHOUT_FORMS,
    Visit,
    open_run,
    stopped,
    to_run,
)
from partnerhub.kit.errors import HubError
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import read_entry
from partnerhub.onboarding.errors import StepWrong
from partnerhub.onboarding.schemas import UnknownBrowser
from partnerhub.onboarding.services import Visitor
from partnerhub.onboarding.services.start import is_browser_token
from partnerhub.onboarding.services.upkeep import limit_starts

# Says that a browser without our cookie was just given one.
_ASKED = b"io_browser=asked"


@get(
    [
        "/dashboard/app/{link_partner:str}",
        "/dashboard/app/{link_partner:str}/permissions",
        "/onboarding/{link_partner:str}",
    ],
    opt=WITHOUT_FORMS,
)
async def enter(
    link_partner: FromPath[str],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Start a run and lead to its clean address."""
    if visit.request.scope.get("is_head"):
        # Who looks whether a link works begins nothing.
        return Response(b"", headers={"cache-control": "no-store"})
    query = visit.request.scope["query_string"]
    # The classic path leads a client who has been here before to what it shares.
    at_permissions = visit.request.scope["path"].rstrip("/").endswith("/permissions")
    entry = replace(read_entry(query), at_permissions=at_permissions)
    try:
        # In a commit of its own: links that are refused count too.
        async with visit.db.system() as unit:
            await limit_starts(unit, partner_id=link_partner, ip=visit.ip)
        opened = await onboarding.open_link(
            visit.db,
            partner_id=link_partner,
            entry=entry,
            visitor=Visitor(
                browser_token=visit.browser_token or None,
                run_tokens=visit.run_tokens,
                was_asked=query.startswith(_ASKED),
                ip=visit.ip,
            ),
            keyring=visit.hosted.connector.keyring,
            window=visit.hosted.window,
        )
    except HubError as error:
        return await stopped(visit, error, partner_id=link_partner, wished=entry.locale)
    browser = visit.browser_token if is_browser_token(visit.browser_token) else opened.browser_token
    cookies = [visit.hosted.jar.make(COOKIE, browser, seconds=COOKIE_SECONDS)]
    match opened:
        case UnknownBrowser():
            # The marker goes before the link's own query: what is appended may end up in its last value.
            path, rest = visit.request.scope["path"], quote(query, safe=string.punctuation)
            target = f"{path}?{_ASKED.decode()}&{rest}"
        case _:
            target = f"/onboarding/run/{opened.run_id}"
            cookies += visit.cookies_of_run(opened.run_id, opened.browser_token)
    return Response(
        b"",
        status_code=303,
        cookies=cookies,
        headers={"location": target, "cache-control": "no-store", "referrer-policy": "no-referrer"},
    )


@post("/onboarding/run/{run_id:uuid}/leave", opt=PUBLIC, status_code=303)
async def leave(run_id: FromPath[UUID], visit: NamedDependency[Visit]) -> Response[Any]:
    """Let somebody else begin by the same link; nothing of whoever was here before is shown to them."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    try:
        async with visit.db.system() as unit:
            await limit_starts(unit, partner_id=view.partner.id, ip=visit.ip)
        async with visit.db.system() as unit:
            begun = await onboarding.begin_anew(unit, run_id=run_id, browser_token=visit.browser_token)
    except StepWrong:
        return to_run(run_id)
    except HubError as error:
        return await stopped(visit, error, partner_id=view.partner.id)
    answer = to_run(begun.run_id)
    for cookie in visit.cookies_of_run(begun.run_id, begun.browser_token):
        answer.set_cookie(cookie)
    return answer
