"""The page that writes link and button: what it writes is what the hub reads, with script and without."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

from playwright.async_api import Browser, expect

from partnerhub.hosted.button import newest_button
from partnerhub.onboarding.entry import read_entry
from tests.factories import make_partner
from tests.hub_stage import CONNECT, HubStage

_LINK = r'id="whole-link" value="([^"]*)"'
_CODE = r'(?s)<code id="button-code">(.*?)</code>'
ODD = "Müller & Söhne <\"'+?#%/ 100 €"


class Tags(HTMLParser):
    """Collects the attributes of each element, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.setdefault(tag, dict(attrs))


async def test_link_and_codes_carry_what_was_written_and_the_hub_reads_it_back(stage: HubStage) -> None:
    member = await stage.person(role="member")
    wishes = {
        "name": ODD,
        "email": "a+b@client.example",
        "number": "+49 30 901820",
        "state": ODD,
        "redirect_url": stage.receiver.url("/other") + "?a=b&c=d",
        "next": "login",
        "plan_selection": "premium",
        "lang": "pt",
        "partner": ODD,
        "preverified_phone_number_id": "106540352242922",
    }
    async with stage.browse(member) as browser:
        page = await browser.get(f"{CONNECT}?{urlencode(wishes)}")
        (link,) = page.values(_LINK)
        assert link.startswith(f"{stage.url}/onboarding/{member.partner_id}?")
        entry = read_entry(urlsplit(link).query)
        assert (entry.name, entry.state, entry.partner_payload) == (ODD, ODD, ODD)
        assert (entry.email, entry.number) == ("a+b@client.example", "4930901820")
        assert (entry.shows_login, entry.plan_selection, entry.locale) == (True, "premium", "pt-BR")
        assert entry.redirect_url == wishes["redirect_url"]
        assert entry.preverified_phone_number_id == wishes["preverified_phone_number_id"]
        # The link works: a run begins, at the sign-in that was wished for.
        assert "Anmelden" not in (begun := await browser.get(link.removeprefix(stage.url))).words
        assert (begun.status, "Entrar" in begun.words) == (200, True)

        (code,) = page.values(_CODE)
        tags = Tags(code).found
        button = newest_button()
        assert (tags["script"]["src"], tags["script"]["integrity"]) == (
            stage.url + button.path,
            button.integrity,
        )
        expected = {name.replace("_", "-"): value for name, value in wishes.items()}
        expected |= {"number": "4930901820", "partner-id": member.partner_id}
        assert tags["partnerhub-connect"] == expected

        public = (await browser.get(f"{CONNECT}?{urlencode({**wishes, 'code': 'public'})}")).values(_CODE)
        tags = Tags(public[0]).found
        dropped = {"lang", "partner", "number"}
        assert tags["dialog-connect-button"] == {
            **{name: value for name, value in expected.items() if name not in dropped},
            "requested-number": "4930901820",
            "label": "Connect WhatsApp",
        }
        for kind in ("react", "public-react"):
            (code,) = (await browser.get(f"{CONNECT}?{urlencode({**wishes, 'code': kind})}")).values(_CODE)
            assert '"4930901820"' in code


async def test_what_a_link_would_not_survive_is_left_out_and_told(stage: HubStage) -> None:
    member = await stage.person()
    wrong = {
        "number": "12",
        "email": "ops",
        "redirect_url": "https://elsewhere.example/back",
        "preverified_phone_number_id": "12a",
        "name": "x" * 2001,
        "plan_selection": "none",
        "lang": "tlh",
        "next": "elsewhere",
        "code": "nonsense",
    }
    async with stage.browse(member) as browser:
        page = await browser.get(f"{CONNECT}?{urlencode(wrong)}")
        assert page.status == 200
        assert page.values(_LINK) == [f"{stage.url}/onboarding/{member.partner_id}"]
        for words in (
            "7 to 15 digits",
            "This is no e-mail address.",
            "the same scheme, host and port",
            "digits only",
            "too long for a link",
        ):
            assert words in page.words


async def test_where_links_must_be_signed_there_is_code_and_no_link(stage: HubStage) -> None:
    partner = await make_partner(stage.database, io_signature_enabled=True, redirect_url=None)
    async with stage.browse(await stage.person(partner=partner, role="member")) as browser:
        for kind in ("", "react", "public-react", "public"):
            page = await browser.get(f"{CONNECT}?code={kind}")
            assert page.values(_LINK) == []
            assert "A direct link cannot carry a signature" in page.words
            assert "There is no redirect URL yet" in page.words
            told = {"": 'sign-url="/signed-link"', "react": 'sign-url={"/signed-link"}'}
            assert told.get(kind, "{{ io_signature }}") in page.values(_CODE)[0]
            is_public = kind.startswith("public")
            assert ("cannot ask at the click" in page.words) is is_public
            assert ("signs at that moment" in page.words) is not is_public


async def test_everything_is_written_anew_while_somebody_types(stage: HubStage, browser: Browser) -> None:
    async with stage.visit(browser, CONNECT, member=await stage.person()) as seen:
        page = seen.page
        field, link = page.get_by_label("Company name"), page.locator("#whole-link")
        await field.fill("Fjord Travel")
        await expect(link).to_have_value(f"{await link.input_value()}?name=Fjord%20Travel")
        await expect(page).to_have_url(f"{stage.url}{CONNECT}?name=Fjord+Travel")
        await expect(field).to_be_focused()
        made: str = await page.evaluate("document.querySelector('partnerhub-connect').url")
        assert made == await link.input_value()
        await page.get_by_label("E-mail").fill("ops")
        await expect(page.get_by_role("alert")).to_contain_text("This is no e-mail address.")
        await expect(page.get_by_label("E-mail")).to_be_focused()
        await page.get_by_role("link", name="React", exact=True).click()
        await expect(page.locator("#button-code")).to_contain_text("useRef")
        await page.get_by_label("E-mail").fill("ops@fjord.example")
        await expect(page.locator("#button-code")).to_contain_text('email={"ops@fjord.example"}')
        # The preview is the button itself.
        async with page.expect_popup() as opening:
            await page.get_by_role("button", name="Connect WhatsApp").click()
        popup = await opening.value
        await expect(popup.get_by_label("E-mail")).to_have_value("ops@fjord.example")
