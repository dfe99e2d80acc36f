"""The development mailbox takes real mail, shows it, and keeps it over a restart."""

from __future__ import annotations

import asyncio
import sys
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import aiosmtplib
from tests.serving import serving

from partnerhub.demo.installation import free_port
from partnerhub.demo.mailbox import Mailbox, create_pages, listen


async def send(port: int, to: str, subject: str, *, html: str | None = None) -> None:
    message = EmailMessage()
    message["From"] = "hub@hub.example"
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = "Fri, 20 Nov 2026 12:00:00 +0000"
    message.set_content("012345\n\nGröße\n")
    if html is not None:
        message.add_alternative(html, subtype="html")
    await aiosmtplib.send(message, hostname="127.0.0.1", port=port, start_tls=False)


async def test_mail_is_taken_listed_by_recipient_and_survives_a_restart(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    smtp = await listen(mailbox, host="127.0.0.1", port=0)
    port = smtp.sockets[0].getsockname()[1]
    await send(port, "ops@acme.example", "012345 ist Ihr Code für Größe")
    await send(port, "other@acme.example", "Hello", html="<script>alert(1)</script><b>Hi</b>")
    smtp.close()
    await smtp.wait_closed()
    for box in (mailbox, Mailbox(tmp_path)):
        async with serving(create_pages(box)) as url, aiohttp.ClientSession(url) as http:
            async with http.get("/api/messages", params={"to": "OPS@acme.example"}) as answer:
                found = await answer.json()
            assert [(mail["subject"], mail["recipients"]) for mail in found] == [
                ("012345 ist Ihr Code für Größe", ["ops@acme.example"])
            ]
            assert found[0]["text"] == "012345\n\nGröße\n"
            assert found[0]["at"] == "2026-11-20T12:00:00Z"
            async with http.get("/api/messages") as answer:
                newest = (await answer.json())[0]
            assert newest["subject"] == "Hello"
            async with http.get("/") as answer:
                page = await answer.text()
            assert page.index("Hello") < page.index("012345 ist Ihr Code")
            # There is no hub around it.
            assert not any(part in page for part in ('class="sidebar"', 'class="topbar"'))
            async with http.get(f"/messages/{newest['id']}") as answer:
                shown = await answer.text()
                assert "frame-src" in answer.headers["content-security-policy"]
            assert "<script>alert" not in shown
            assert f'src="/messages/{newest["id"]}/html"' in shown
            async with http.get(f"/messages/{newest['id']}/html") as answer:
                assert "sandbox" in answer.headers["content-security-policy"]
                assert "<b>Hi</b>" in await answer.text()
            async with http.get("/messages/none") as answer:
                assert answer.status == 404


async def test_a_cleared_mailbox_is_empty_also_after_a_restart(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    smtp = await listen(mailbox, host="127.0.0.1", port=0)
    await send(smtp.sockets[0].getsockname()[1], "ops@acme.example", "Hello")
    smtp.close()
    await smtp.wait_closed()
    async with serving(create_pages(mailbox)) as url, aiohttp.ClientSession(url) as http:
        async with http.delete("/api/messages") as answer:
            assert answer.status == 204
        async with http.get("/api/messages") as answer:
            assert await answer.json() == []
        async with http.get("/", params={"to": "ops@acme.example"}) as answer:
            assert "Nothing was sent to ops@acme.example yet." in await answer.text()
    assert Mailbox(tmp_path).list_messages() == []


async def test_the_mailbox_says_nothing_on_the_terminal(tmp_path: Path) -> None:
    smtp_port, http_port = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "partnerhub.demo.mailbox", "--folder", str(tmp_path)),
        *("--smtp-port", str(smtp_port), "--http-port", str(http_port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession(f"http://127.0.0.1:{http_port}") as http:
            while True:
                try:
                    async with http.get("/healthz"):
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
        await send(smtp_port, "ops@acme.example", "Hello")
    finally:
        process.terminate()
    said, _ = await process.communicate()
    assert len(Mailbox(tmp_path).list_messages()) == 1
    assert said == b""
