"""The recipes of the docs against a real delivery: they take it as it came, and no small change of it.

The changes are generated and handed to each recipe's own program at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

import pytest
from tests.webhooks.receivers import Got
from tests.webhooks.steps import PARTNER, MakeReceiver, MakeSender, add_key, set_url

from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import services
from partnerhub.webhooks.schemas import OwnerKind

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "verify-webhook-signatures.md"
OLD, NEW = "the-first-platform-secret", "the-second-platform-secret"
PLAIN, PREVIOUS = "x-360dialog-signature", "x-360dialog-signature-previous"
Scheme = Literal["plain", "standard"]


@dataclass(frozen=True)
class Case:
    """What a receiver has in hand, and which of the two checks it makes."""

    body: bytes
    headers: dict[str, str]
    secret: str
    scheme: Scheme

    def with_header(self, name: str, value: str) -> Case:
        return replace(self, headers={**self.headers, name: value})

    @cached_property
    def written(self) -> dict[str, object]:
        """The case as JSON."""
        return {
            "body": base64.b64encode(self.body).decode(),
            "headers": self.headers,
            "secret": self.secret,
            "scheme": self.scheme,
        }


RECIPES = {
    "python": """
import json, sys
checks = {"plain": is_from_partner_hub, "standard": is_standard_webhook}
print(json.dumps([
    checks[c["scheme"]](base64.b64decode(c["body"]), c["headers"], c["secret"]) for c in json.load(sys.stdin)
]))
""",
    "javascript": """
const checks = { plain: isFromPartnerHub, standard: isStandardWebhook };
const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(
  cases.map((c) => checks[c.scheme](Buffer.from(c.body, "base64"), c.headers, c.secret))
));
""",
}


def run(language: str, folder: Path, cases: list[Case]) -> list[bool]:
    """Let the printed recipe check every case."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program = folder / {"python": "recipe.py", "javascript": "recipe.cjs"}[language]
    program.write_text(code + RECIPES[language])
    command = sys.executable if language == "python" else str(Path(sys.executable).parent / "node")
    done = subprocess.run(
        [command, program],
        input=json.dumps([case.written for case in cases]).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    answers: list[bool] = json.loads(done.stdout)
    assert len(answers) == len(cases)
    return answers


def bits(data: bytes) -> Iterator[bytes]:
    """Yield every change of one bit."""
    for position in range(8 * len(data)):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        yield bytes(changed)


def texts(value: str, extra: str) -> Iterator[str]:
    """Yield changes of a header's value: bits, lengths, case, order, and `extra` put in everywhere."""
    yield from (changed.decode("latin-1") for changed in bits(value.encode()))
    for position in range(len(value) + 1):
        head, tail = value[:position], value[position:]
        yield from (head, tail, head + tail[1:], tail + head, head + tail[:1].swapcase() + tail[1:])
        yield head + tail[1:2] + tail[:1] + tail[2:]
        yield from (head + one + tail for one in extra)
    yield from (value.upper(), value.swapcase(), value[::-1], value * 2, f"{value},{value}")
    yield from (f"sha256={value}", f"{value}=", f'"{value}"', "0" * len(value), "é" * len(value))


def bodies(body: bytes) -> Iterator[bytes]:
    """Yield changes of a body: bits, lengths, blanks, case, order, and the same JSON written otherwise."""
    yield from bits(body)
    for position in range(len(body) + 1):
        yield from (body[:position], body[position:], body[:position] + body[position + 1 :])
        yield from (body[:position] + blank + body[position:] for blank in (b" ", b"\n", b"\x00"))
    yield from (
        body.upper(),
        body.lower(),
        body.swapcase(),
        body + body,
        b"\xef\xbb\xbf" + body,
        body + b"\r\n",
    )
    value = json.loads(body)
    turned = dict(reversed(value.items()))
    for one in (value, turned):
        for indent in (None, 0, 1, 2, "\t"):
            for is_ascii in (True, False):
                for separators in ((",", ":"), (", ", ": "), None):
                    yield json.dumps(
                        one,
                        indent=indent,
                        ensure_ascii=is_ascii,
                        separators=separators,
                        sort_keys=one is turned,
                    ).encode()
                    yield json.dumps(
                        one, indent=indent, ensure_ascii=is_ascii, separators=separators
                    ).encode()


def secrets(secret: str) -> Iterator[str]:
    """Yield secrets that are not the one."""
    yield from (changed.decode("latin-1") for changed in bits(secret.encode()))
    yield from (secret.upper(), secret[:-1], secret[1:], secret + "\n", " " + secret, secret[::-1], "", "x")
    yield from (secret.encode().hex(), "whsec_" + base64.b64encode(secret.encode()).decode())


def changes(case: Case) -> Iterator[Case]:
    """Yield everything that must be refused."""
    for body in bodies(case.body):
        if body != case.body:
            yield replace(case, body=body)
    yield from (replace(case, secret=secret) for secret in secrets(case.secret))
    if case.scheme == "plain":
        name = PLAIN if case.secret == NEW else PREVIOUS
        values = texts(case.headers[name], "0aA \t\n=")
    else:
        name, first = "webhook-signature", case.headers["webhook-signature"].split(" ")
        own = first[0] if case.secret == NEW else first[1]
        case = case.with_header(name, own)
        # Blanks around it separate signatures and are none of it.
        values = (text for text in texts(own, "0aA\t\n=") if text.strip(" ") != own)
        for part in ("webhook-id", "webhook-timestamp"):
            whole = case.headers[part]
            yield from (case.with_header(part, text) for text in texts(whole, "0a \t\n-+.") if text != whole)
    original = case.headers[name]
    double = f"{original},{original}"
    yield from (case.with_header(name, text) for text in values if text != original)
    yield case.with_header(name, double)
    yield replace(case, headers={key: value for key, value in case.headers.items() if key != name})


@pytest.fixture
async def got(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> Got:
    """Let the running engine bring an event while two secrets overlap."""
    here = await make_receiver()
    await make_sender()
    await set_url(database, keyring, here.url(), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    await add_key(database, keyring, OLD)
    await add_key(database, keyring, NEW, overlap_hours=24)
    async with database.tenant(PARTNER) as unit:
        await services.publish(
            unit,
            partner_id=PARTNER,
            owner_kind=OwnerKind.PARTNER,
            owner_id=PARTNER,
            name="channel_live",
            data={"id": "tlbN64CH", "setup_info": {"phone_name": "Ä/ö"}},
        )
    (brought,) = await here.wait_for(1)
    return brought


@pytest.mark.parametrize("language", RECIPES)
async def test_a_recipe_takes_a_real_delivery_and_no_change_of_it(
    got: Got, tmp_path: Path, language: str
) -> None:
    right = [
        Case(got.body, got.headers, secret, scheme)
        for secret in (NEW, OLD)
        for scheme in ("plain", "standard")
    ]
    assert run(language, tmp_path, right) == [True] * 4
    for case in right:
        wrong = list(changes(case))
        assert len(wrong) > 3000
        answers = run(language, tmp_path, wrong)
        assert [one for one, answer in zip(wrong, answers, strict=True) if answer] == []


async def test_after_the_overlap_the_old_secret_signs_nothing_by_itself(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver, tmp_path: Path
) -> None:
    here = await make_receiver()
    endpoint = await set_url(database, keyring, here.url(), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    await add_key(database, keyring, OLD)
    await add_key(database, keyring, NEW, overlap_hours=1)

    async def publish() -> None:
        async with database.tenant(PARTNER) as unit:
            await services.publish(
                unit,
                partner_id=PARTNER,
                owner_kind=endpoint.owner_kind,
                owner_id=endpoint.owner_id,
                name="channel_live",
                data={"id": "tlbN64CH"},
            )

    await make_sender()
    await publish()
    (during,) = await here.wait_for(1)
    assert during.headers[PREVIOUS] == hmac.new(OLD.encode(), during.body, hashlib.sha256).hexdigest()
    # The sender knows both keys by now; the overlap ends all the same, for every header.
    with clock.moved_by(timedelta(minutes=61)):
        await publish()
        after = (await here.wait_for(2))[1]
        assert PREVIOUS not in after.headers
        assert " " not in after.headers["webhook-signature"]
        cases = [Case(after.body, after.headers, secret, "plain") for secret in (NEW, OLD)]
        assert run("python", tmp_path, cases) == [True, False]
