"""The settings of the Integration page, without script: saved, refused, confirmed by a code."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator

import pytest

from partnerhub.dashboard import words
from partnerhub.identity.schemas import SYSTEM
from partnerhub.onboarding.errors import IoSignatureRefused
from partnerhub.partners import queries as partners
from partnerhub.partners import redirects
from partnerhub.partners.schemas import PartnerSettings
from partnerhub.partners.services import generate_platform_secret, reveal_platform_secret
from partnerhub.ui.frame import CSRF_FIELD
from partnerhub.webhooks import pasted
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import OwnerKind
from tests.factories import MadeMember
from tests.hub_stage import INTEGRATION, HubStage
from tests.identity.people import last_code, mails_to
from tests.plain_browser import Browser, Visit
from tests.webhooks.receivers import answer

CONFIRM = f"{INTEGRATION}/confirm"


class Desk:
    """An owner in front of the page."""

    def __init__(self, stage: HubStage, browser: Browser, owner: MadeMember) -> None:
        self.stage = stage
        self.browser = browser
        self.owner = owner

    async def settings(self) -> PartnerSettings:
        """Read what is stored."""
        async with self.stage.database.tenant(self.owner.partner_id) as unit:
            return await partners.get_settings(
                unit, partner_id=self.owner.partner_id, keyring=self.stage.keyring
            )

    async def secret(self) -> str:
        """Read the platform secret."""
        async with self.stage.database.tenant(self.owner.partner_id) as unit:
            return await reveal_platform_secret(
                unit, partner_id=self.owner.partner_id, actor=SYSTEM, keyring=self.stage.keyring
            )

    async def generate(self) -> str:
        """Make a platform secret, past the page."""
        async with self.stage.database.tenant(self.owner.partner_id) as unit:
            return await generate_platform_secret(
                unit, partner_id=self.owner.partner_id, actor=SYSTEM, keyring=self.stage.keyring
            )

    async def send(self, path: str, **fields: str) -> Visit:
        """Send one of the page's forms."""
        return await self.browser.send(INTEGRATION, INTEGRATION + path, **fields)

    async def confirmed(self, action: str) -> Visit:
        """Ask for a code, read it from the mail and confirm with it."""
        asked = await self.browser.send(f"{CONFIRM}/{action}", f"{CONFIRM}/{action}/code")
        assert asked.status == 200
        code = await last_code(self.stage.database, self.owner.email)
        return await self.browser.post(
            f"{CONFIRM}/{action}", code=code, **{CSRF_FIELD: asked.field(CSRF_FIELD)}
        )

    async def log(self) -> list[str]:
        """Return the actions of the audit log, oldest first."""
        async with self.stage.database.tenant(self.owner.partner_id) as unit:
            rows = await unit.fetch_dicts("select action from audit_entry order by seq")
        return [row["action"] for row in rows]


@pytest.fixture
async def desk(stage: HubStage) -> AsyncIterator[Desk]:
    """Sit an owner down in front of the page."""
    owner = await stage.person()
    async with stage.browse(owner) as browser:
        yield Desk(stage, browser, owner)


async def test_the_solution_id_says_what_it_is_for_and_where_it_is_found(desk: Desk) -> None:
    words = (await desk.browser.get(INTEGRATION)).words
    for part in (
        "Account Sharing",
        "Embedded Signup on your own pages",
        "App Dashboard",
        "Partner Solutions",
    ):
        assert part in words


async def test_the_solution_id_is_14_to_18_digits(desk: Desk) -> None:
    for wrong in ("1234567890123", "1234567890123456789", "12345678901234a", "１２３４５６７８９０１２３４"):
        refused = await desk.send("/solution", solution_id=wrong)
        assert refused.status == 422
        assert "14 to 18 digits" in refused.words
        assert f'value="{wrong}"' in refused.text
    for right in ("12345678901234", "123456789012345678"):
        assert (await desk.send("/solution", solution_id=f" {right} ")).status == 200
        assert (await desk.settings()).partner.solution_id == right
    await desk.send("/solution", solution_id="")
    assert (await desk.settings()).partner.solution_id is None


async def test_defaults_hold_for_numbers_to_come(desk: Desk) -> None:
    page = await desk.browser.get(INTEGRATION)
    assert '<option value="US" selected>' in page.text
    assert "Cloud API, hosted by Meta" in page.words
    saved = await desk.send("/defaults", data_localization_region="DE")
    assert saved.status == 200
    partner = (await desk.settings()).partner
    assert (partner.data_localization_region, partner.mm_api_routing_enabled) == ("DE", False)
    await desk.send("/defaults", data_localization_region="DE", mm_api_routing_enabled="on")
    assert (await desk.settings()).partner.mm_api_routing_enabled is True
    assert (await desk.send("/defaults", data_localization_region="XX")).status == 422
    assert (await desk.settings()).partner.data_localization_region == "DE"


@pytest.mark.parametrize(
    ("hours", "status"),
    [("0", 200), ("720", 200), ("721", 422), ("-1", 422), ("", 422), ("1.5", 422), ("９", 422)],
)
async def test_the_overlap_is_a_number_of_hours(desk: Desk, hours: str, status: int) -> None:
    assert (await desk.send("/overlap", secret_overlap_hours=hours)).status == status
    expected = int(hours) if status == 200 else 24
    assert (await desk.settings()).partner.secret_overlap_hours == expected


async def test_a_secret_is_generated_after_a_code_and_can_be_viewed_again(desk: Desk) -> None:
    assert "None yet: events go out unsigned." in (await desk.browser.get(INTEGRATION)).words
    shown = await desk.confirmed("generate-secret")
    secret = await desk.secret()
    assert shown.status == 200
    assert f'value="{secret}"' in shown.text
    assert "secret manager" in shown.words
    assert shown.headers["cache-control"] == "no-store"
    assert secret not in (await desk.browser.get(INTEGRATION)).text
    assert f'value="{secret}"' in (await desk.confirmed("view-secret")).text
    assert "platform_secret.viewed" in await desk.log()


async def test_a_code_confirms_one_thing_once(desk: Desk) -> None:
    await desk.generate()
    action = f"{CONFIRM}/view-secret"
    form = await desk.browser.send(action, f"{action}/code")
    token = form.field(CSRF_FIELD)
    code = await last_code(desk.stage.database, desk.owner.email)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for given in ("", wrong, "abc"):
        refused = await desk.browser.post(action, code=given, **{CSRF_FIELD: token})
        assert refused.status == 422
        assert 'aria-invalid="true"' in refused.text
    # A code for one purpose confirms no other.
    other = await desk.browser.post(f"{CONFIRM}/generate-secret", code=code, **{CSRF_FIELD: token})
    assert other.status == 422
    assert (await desk.browser.post(action, code=code, **{CSRF_FIELD: token})).status == 200
    again = await desk.browser.post(action, code=code, **{CSRF_FIELD: token})
    assert again.status == 422
    assert await desk.secret() not in again.text


async def test_many_codes_are_refused_and_the_last_one_still_works(desk: Desk) -> None:
    action = f"{CONFIRM}/generate-secret"
    token = (await desk.browser.get(action)).field(CSRF_FIELD)
    answers = [await desk.browser.post(f"{action}/code", **{CSRF_FIELD: token}) for _ in range(12)]
    assert answers[0].status == 200
    assert answers[-1].status == 429
    assert "No new code was sent" in answers[-1].words
    assert len(await mails_to(desk.stage.database, desk.owner.email)) < 12
    code = await last_code(desk.stage.database, desk.owner.email)
    assert (await desk.browser.post(action, code=code, **{CSRF_FIELD: token})).status == 200


async def test_a_replaced_secret_signs_on_until_its_overlap_ends(desk: Desk) -> None:
    await desk.generate()
    first = await desk.secret()
    await desk.confirmed("generate-secret")
    assert await desk.secret() != first
    words = (await desk.browser.get(INTEGRATION)).words
    assert "Earlier secret" in words
    assert "x-360dialog-signature-previous" in words


async def test_io_signature_needs_a_secret_and_keeps_it(desk: Desk) -> None:
    assert "Generate a platform secret first." in (await desk.browser.get(INTEGRATION)).words
    refused = await desk.send("/io-signature/on")
    assert "Generate a platform secret before" in refused.words
    await desk.generate()
    secret = await desk.secret()
    await desk.send("/io-signature/on")
    assert (await desk.settings()).partner.io_signature_enabled is True
    page = await desk.browser.get(INTEGRATION)
    assert "Regenerate platform secret" not in page.words
    # The plain link stands there for the server that signs it, and nobody takes it for one to send.
    assert "opened as it is, this link is refused" in page.words
    assert "Your clients sign up and connect their number here." not in page.words
    # Whoever has the page open cannot replace it either, and hears so before a code is mailed or spent.
    mails = len(await mails_to(desk.stage.database, desk.owner.email))
    action = f"{CONFIRM}/generate-secret"
    for refused in (
        await desk.browser.get(action),
        await desk.browser.send(INTEGRATION, f"{action}/code"),
        await desk.browser.send(INTEGRATION, action, code="123456"),
    ):
        assert (refused.status, "io_signature_on" in refused.text) == (409, True)
    assert len(await mails_to(desk.stage.database, desk.owner.email)) == mails
    assert await desk.secret() == secret
    await desk.confirmed("io-signature-off")
    assert (await desk.settings()).partner.io_signature_enabled is False
    assert "this link is refused" not in (await desk.browser.get(INTEGRATION)).words


async def test_legacy_tokens_are_off_at_once_and_on_after_a_code(desk: Desk) -> None:
    assert (await desk.settings()).partner.legacy_token_auth_enabled is False
    await desk.confirmed("legacy-tokens-on")
    assert (await desk.settings()).partner.legacy_token_auth_enabled is True
    await desk.send("/legacy-tokens/off")
    assert (await desk.settings()).partner.legacy_token_auth_enabled is False


async def test_headers_are_kept_masked_and_dropped(desk: Desk) -> None:
    await desk.browser.send(INTEGRATION, INTEGRATION, webhook_url=desk.stage.receiver.url("/hook"))
    page = await desk.browser.get(f"{INTEGRATION}/headers")
    token = page.field(CSRF_FIELD)

    async def post(*pairs: tuple[str, str]) -> Visit:
        fields = [
            (CSRF_FIELD, token),
            *((key, text) for pair in pairs for key, text in zip(("name", "value"), pair, strict=True)),
        ]
        async with desk.browser.http.post(f"{desk.stage.url}{INTEGRATION}/headers", data=fields) as answer:
            return Visit(answer.status, answer.url.path, await answer.text(), answer.headers)

    async def stored() -> dict[str, str]:
        async with desk.stage.database.tenant(desk.owner.partner_id) as unit:
            endpoint = await webhooks.find_endpoint(
                unit,
                owner_kind=OwnerKind.PARTNER,
                owner_id=desk.owner.partner_id,
                keyring=desk.stage.keyring,
                reveal=True,
            )
        assert endpoint
        return dict(endpoint.headers)

    await post(("Authorization", "Bearer very-secret-1234"), ("X-Gate", "open"), ("", ""))
    assert await stored() == {"Authorization": "Bearer very-secret-1234", "X-Gate": "open"}
    shown = await desk.browser.get(f"{INTEGRATION}/headers")
    assert "very-secret" not in shown.text
    assert "1234" in shown.text
    await post(("Authorization", ""), ("", "open"), ("X-New", "yes"))
    assert await stored() == {"Authorization": "Bearer very-secret-1234", "X-New": "yes"}
    twice = await post(("X-New", "a"), ("x-new", "b"))
    assert (twice.status, "twice" in twice.words) == (422, True)
    bad = await post(
        ("Content-Length", "3"),
    )
    assert bad.status == 422
    many = await post(*((f"X-{number}", "a") for number in range(5_000)))
    assert (many.status, "At most 20" in many.words) == (422, True)
    assert ("X-20" in many.text, "X-21" in many.text) == (True, False)
    assert await stored() == {"Authorization": "Bearer very-secret-1234", "X-New": "yes"}


async def test_headers_that_somebody_else_changed_meanwhile_are_not_overwritten_unseen(desk: Desk) -> None:
    await desk.browser.send(INTEGRATION, INTEGRATION, webhook_url=desk.stage.receiver.url("/hook"))
    headers = f"{INTEGRATION}/headers"
    opened = (await desk.browser.get(headers)).field("seen_headers")
    await desk.browser.send(headers, headers, name="X-Theirs", value="their-secret", seen_headers=opened)

    late = await desk.browser.send(headers, headers, name="X-Mine", value="mine", seen_headers=opened)
    assert (late.status, "Somebody changed the headers" in late.words) == (409, True)
    assert ("X-Mine" in late.text, "their-secret" in late.text) == (True, False)
    assert list((await desk.settings()).webhook_headers) == ["X-Theirs"]

    again = late.field("seen_headers")
    assert again != opened
    await desk.browser.send(headers, headers, name="X-Mine", value="mine", seen_headers=again)
    assert list((await desk.settings()).webhook_headers) == ["X-Mine"]
    forged = await desk.browser.send(headers, headers, name="X-Mine", value="other", seen_headers="{broken")
    assert forged.status == 409


async def test_a_member_reads_and_changes_nothing(stage: HubStage) -> None:
    member = await stage.person(role="member")
    async with stage.browse(member) as browser:
        page = await browser.get(INTEGRATION)
        assert "Only owners change them" in page.words
        assert "/confirm/" not in page.text
        assert 'action="/dashboard/partner/integration/io-signature/on"' not in page.text
        token = re.search(rf'name="{CSRF_FIELD}" value="([^"]+)"', page.text)
        assert token
        for path in (
            "/solution",
            "/defaults",
            "/overlap",
            "/headers",
            "/legacy-tokens/off",
            "/io-signature/on",
            "/confirm/view-secret/code",
        ):
            assert (await browser.post(INTEGRATION + path, **{CSRF_FIELD: token[1]})).status == 403


async def test_what_is_not_there_cannot_be_confirmed(desk: Desk) -> None:
    missing = await desk.browser.get(f"{CONFIRM}/anything")
    assert (missing.status, missing.headers["x-error-code"]) == (404, "action_not_found")


async def test_the_redirect_url_is_opened_and_explained(desk: Desk) -> None:
    right = await desk.send("/test-redirect", redirect_url=desk.stage.receiver.url("/connected"))
    assert (right.status, "The page answers." in right.words) == (200, True)
    desk.stage.receiver.script = answer(500)
    failing = await desk.send("/test-redirect", redirect_url=desk.stage.receiver.url("/connected"))
    assert "The server failed with 500." in failing.words
    refused = await desk.send("/test-redirect", redirect_url="https://my_host.example:8443/back")
    assert refused.status == 422
    assert "underscore" in refused.words
    assert "port" in refused.words
    assert (await desk.log()).count("redirect_url.tested") == 2


async def test_a_pasted_signature_is_checked_in_words(desk: Desk) -> None:
    checker = f"{INTEGRATION}/signature"
    body = '{"id":"evt_1","event":"channel_live","data":{"id":"tlbN64CH"}}'
    none = await desk.browser.send(checker, checker, body=body, signature="0" * 64)
    assert "There is no platform secret yet" in none.words
    secret = await desk.generate()
    right = hmac.digest(secret.encode(), body.encode(), hashlib.sha256).hex()
    for signature, verdict in (
        (right, "The signature fits the body."),
        (right.upper(), "upper case"),
        (f"sha256={right}", "prefix"),
        ("0" * 64, "No secret of yours makes this signature"),
        ("abc", "3 characters instead of 64"),
        ("", "There is no signature to check."),
    ):
        told = await desk.browser.send(checker, checker, body=body, signature=signature)
        assert told.status == 200
        assert verdict in told.words, signature
        assert secret not in told.text
    spaced = await desk.browser.send(checker, checker, body=body.replace(",", ", "), signature=right)
    assert "another writing" in spaced.words


def test_every_outcome_has_words() -> None:
    assert set(words.REDIRECTS) == set(redirects.MEANINGS)
    assert set(words.FINDINGS) == set(pasted.CODES)
    refusals = {error.code for error in IoSignatureRefused.__subclasses__()}
    assert set(words.REFUSALS) == refusals


async def test_further_sites_are_one_a_line(desk: Desk) -> None:
    saved = await desk.send("", redirect_origins="https://shop.example.com\r\n\r\n https://app.example.com ")
    assert saved.status == 200
    origins = ["https://shop.example.com", "https://app.example.com"]
    assert (await desk.settings()).partner.redirect_origins == origins
    refused = await desk.send("", redirect_origins="https://shop.example.com/path")
    assert (refused.status, "without a path" in refused.words) == (422, True)
    # A form that does not have the field leaves them alone.
    await desk.send("", redirect_url="https://app.example.com/back")
    assert (await desk.settings()).partner.redirect_origins == origins


async def test_single_settings_of_an_old_page_are_left_as_they_are_by_now(desk: Desk) -> None:
    await desk.send("/defaults", data_localization_region="DE", mm_api_routing_enabled="on")
    seen = {"seen_data_localization_region": "US", "seen_mm_api_routing_enabled": "on"}
    # The region was changed elsewhere; this page only turns the routing off.
    saved = await desk.send("/defaults", data_localization_region="US", **seen)
    partner = (await desk.settings()).partner
    assert (saved.status, partner.data_localization_region, partner.mm_api_routing_enabled) == (
        200,
        "DE",
        False,
    )
    told = await desk.send("/defaults", data_localization_region="CH", **seen)
    assert (told.status, "“DE”" in told.words) == (409, True)

    await desk.send("/solution", solution_id="12345678901234")
    await desk.send("/solution", solution_id="", seen_solution_id="")
    assert (await desk.settings()).partner.solution_id == "12345678901234"
    told = await desk.send("/solution", solution_id="1" * 15, seen_solution_id="")
    assert (told.status, "12345678901234" in told.words) == (409, True)

    await desk.send("/overlap", secret_overlap_hours="48")
    await desk.send("/overlap", secret_overlap_hours="24", seen_secret_overlap_hours="24")
    assert (await desk.settings()).partner.secret_overlap_hours == 48
    told = await desk.send("/overlap", secret_overlap_hours="12", seen_secret_overlap_hours="24")
    assert (told.status, "“48”" in told.words) == (409, True)
