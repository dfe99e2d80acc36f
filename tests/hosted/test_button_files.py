"""How the script of the connect button is served, and that a released version stays what it was."""

from __future__ import annotations

import base64
import gzip
import hashlib

import aiohttp

from partnerhub.hosted.button import PATH, button_files, newest_button
from tests.hub_stage import HubStage

NEWEST = f"{PATH}/partnerhub-connect.js"
# Partners pin these: a change needs a new version beside the old one.
RELEASED = {
    "1.0.0": "sha384-Xzil2a/3a1h63jZp3cFs5snCnDFPm37mxrujyCeaNZeKshbU2AfVjMDqRBjPcg0G",
    "1.1.0": "sha384-TgZ+85ePpqHJqwv5kNQL9dVAHZODrOCGNBtBqtyNY3+VDff/utQk8rtfX2rh65LM",
}
GZIPPED_BUDGET_BYTES = 7 * 1024


def test_a_released_version_never_changes_nor_goes() -> None:
    found = {version: file.integrity for version, file in button_files().items()}
    assert {version: found.get(version) for version in RELEASED} == RELEASED


def test_the_newest_is_the_highest_and_names_itself() -> None:
    newest = newest_button()
    assert newest.version == max(button_files(), key=lambda version: [int(one) for one in version.split(".")])
    assert newest.body.startswith(f"/* <partnerhub-connect> {newest.version}:".encode())
    assert len(newest.gzipped) <= GZIPPED_BUDGET_BYTES


async def test_any_site_may_fetch_it_and_a_version_is_kept_for_ever(stage: HubStage) -> None:
    newest = newest_button()
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        async with http.get(stage.url + newest.path, headers={"accept-encoding": "identity"}) as answer:
            assert answer.status == 200
            headers, body = answer.headers, await answer.read()
        assert headers["content-type"] == "text/javascript; charset=utf-8"
        assert headers["access-control-allow-origin"] == "*"
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers
        digest = base64.b64encode(hashlib.sha384(body).digest()).decode()
        assert newest.integrity == f"sha384-{digest}"
        async with http.get(stage.url + NEWEST, headers={"accept-encoding": "gzip, br"}) as answer:
            assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "accept-encoding")
            assert answer.headers["cache-control"] == "public, max-age=3600"
            assert gzip.decompress(await answer.read()) == body
            tag = answer.headers["etag"]
        async with http.get(stage.url + NEWEST, headers={"if-none-match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with http.head(stage.url + NEWEST) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        for path in (f"{PATH}/9.9.9/partnerhub-connect.js", f"{PATH}/1.0.0/other.js", f"{PATH}/"):
            async with http.get(stage.url + path) as answer:
                assert answer.status == 404
