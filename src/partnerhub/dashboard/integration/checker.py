"""Checking a signature by hand: a body and what came with it are pasted, and the page says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from partnerhub.dashboard import words
from partnerhub.dashboard.forms import Form
from partnerhub.dashboard.integration.page import PATH, Desk
from partnerhub.webhooks.pasted import Finding, Report
from partnerhub.webhooks.services import check_pasted

CHECKER = PATH + "/signature"


@dataclass(frozen=True)
class PastedForm:
    """What was pasted; `headers` are lines as a log shows them."""

    body: str = ""
    signature: str = ""
    headers: str = ""


@get(CHECKER)
async def show_checker(desk: NamedDependency[Desk]) -> Response[Any]:
    """Show the empty form."""
    return _answer(desk, PastedForm(), None)


@post(CHECKER, status_code=200)
async def check_signature(desk: NamedDependency[Desk], data: Form[PastedForm]) -> Response[Any]:
    """Check the pair with the partner's own secrets; nothing is changed and no secret is shown."""
    lines = (line.partition(":") for line in data.headers.splitlines())
    async with desk.tenant.unit() as unit:
        report = await check_pasted(
            unit,
            partner_id=desk.tenant.partner_id,
            # Browsers send every line end of a text field as two characters.
            body=data.body.replace("\r\n", "\n").encode(),
            signature=data.signature.replace("\r\n", "\n"),
            headers={name.strip(): value.strip() for name, colon, value in lines if colon},
            keyring=desk.keyring,
        )
    return _answer(desk, data, report)


def _answer(desk: Desk, form: PastedForm, report: Report | None) -> Response[Any]:
    return desk.page.show(
        "dashboard/signature.html",
        part="dashboard/signature_part.html",
        form=form,
        report=report,
        findings=[_said(desk, finding) for finding in report.findings] if report else [],
        back=PATH,
        here=CHECKER,
    )


def _said(desk: Desk, finding: Finding) -> tuple[str, str, str]:
    verdict, advice = words.FINDINGS[finding.code]
    return finding.code, desk.page.say(verdict).format(**finding.values), desk.page.say(advice)
