"""The code that partners copy: the docs show what the package has, and what it makes gets in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from partnerhub.onboarding.entry import Entry, read_entry
from partnerhub.onboarding.errors import IoSignatureRefused
from partnerhub.onboarding.io_signature import Window, read_signature
from partnerhub.onboarding.samples import SAMPLES, Sample

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "sign-onboarding-links.md"
HUB, PARTNER, SECRET = "https://hub.example", "aAbBcCPA", "test-platform-secret-ü"
PARAMETERS = {"state": '{"id": 7, "a+b": "Ä & ö"}', "email": "a+b@acme.example"}


def by_language(language: str) -> Sample:
    return next(sample for sample in SAMPLES if sample.language == language)


def run_python(code: str) -> str:
    call = f"signed_link({HUB!r}, {PARTNER!r}, {SECRET!r}, **{PARAMETERS!r})"
    return _run(sys.executable, "-c", f"{code}\nimport sys\nsys.stdout.buffer.write({call}.encode())")


def run_node(code: str) -> str:
    values = ", ".join(json.dumps(value) for value in (HUB, PARTNER, SECRET, PARAMETERS))
    node = str(Path(sys.executable).parent / "node")
    return _run(node, "-e", f"{code}\nprocess.stdout.write(signedLink({values}))")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.language)
def test_the_docs_show_the_code_of_the_package(sample: Sample) -> None:
    blocks = re.findall(rf"^```{sample.language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks == [sample.code]


@pytest.mark.parametrize(("language", "run"), [("python", run_python), ("javascript", run_node)])
def test_a_link_of_the_code_gets_in_with_everything_it_carries(
    language: str, run: Callable[[str], str]
) -> None:
    before = int(time.time())
    link = urlsplit(run(by_language(language).code))
    assert (link.scheme, link.netloc, link.path) == ("https", "hub.example", f"/onboarding/{PARTNER}")
    entry = read_entry(link.query)
    assert (entry.state, entry.email) == (PARAMETERS["state"], PARAMETERS["email"])
    found = read_signature(partner_id=PARTNER, entry=entry, secret=SECRET, window=Window())
    assert before <= found.signed_at.timestamp() <= time.time()
    for changed in (Entry(), Entry(io_signature=entry.io_signature, io_timestamp="1")):
        with pytest.raises(IoSignatureRefused):
            read_signature(partner_id=PARTNER, entry=changed, secret=SECRET, window=Window())
    message = f"{PARTNER}|{parse_qs(link.query)['io_timestamp'][0]}"
    assert entry.io_signature == hmac.new(SECRET.encode(), message.encode(), hashlib.sha512).hexdigest()


def test_the_php_code_signs_the_same_message_the_same_way() -> None:
    code = by_language("php").code
    for part in (
        "hash_hmac('sha512', $partnerId . '|' . $timestamp, $platformSecret)",
        "(string) time()",
        "'io_signature' => $signature",
        "'io_timestamp' => $timestamp",
        "PHP_QUERY_RFC3986",
    ):
        assert part in code


def test_the_example_of_the_docs_is_right() -> None:
    text = PAGE.read_text()
    example = text.partition("## Try it")[2].partition("\n## ")[0]
    message, signature = re.findall(r"^```\n(.*?)\n```", example, re.DOTALL | re.MULTILINE)
    secret = re.findall(r"With the secret `([^`]+)`", text)[0]
    assert hmac.new(secret.encode(), message.encode(), hashlib.sha512).hexdigest() == signature
    partner_id, _, timestamp = message.partition("|")
    for written in (signature, base64.b64encode(bytes.fromhex(signature)).decode()):
        entry = Entry(io_signature=written, io_timestamp=timestamp)
        found = read_signature(partner_id=partner_id, entry=entry, secret=secret, window=Window())
        assert int(found.signed_at.timestamp()) == int(timestamp)


def test_every_reason_is_on_the_page() -> None:
    codes = {refused.code for refused in IoSignatureRefused.__subclasses__()} | {"cookies_needed"}
    listed = re.findall(r"^\| `(io_signature_\w+|cookies_needed)`", PAGE.read_text(), re.MULTILINE)
    assert set(listed) == codes
