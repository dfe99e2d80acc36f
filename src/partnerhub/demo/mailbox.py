"""The development mailbox: a real SMTP server that delivers nowhere, and pages that show what it took.

Every mail is one file in a folder, so a restart loses none. It takes mail for everybody from everybody and
belongs on a developer's machine only.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment
from litestar import Litestar, Request, Response, delete, get
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter

from partnerhub.kit.cookies import read_cookies
from partnerhub.kit.ids import uuid7
from partnerhub.ui import policy
from partnerhub.ui.frame import THEME_COOKIE, Brand, Frame
from partnerhub.ui.languages import LANGUAGE_COOKIE, negotiate
from partnerhub.ui.preferences import choose, theme_of
from partnerhub.ui.static_files import static_files
from partnerhub.ui.templates import environment, render

_RECIPIENTS = "X-Envelope-To"
_MOST_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """A mail that arrived."""

    id: str
    at: datetime
    sender: str
    recipients: list[str]
    subject: str
    text: str
    html: str | None


class Mailbox:
    """The mails of one folder, newest first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Names are time-ordered ids.
        self._messages = [_read(file) for file in sorted(folder.glob("*.eml"), reverse=True)]

    def keep(self, content: bytes, recipients: Sequence[str]) -> Message:
        """Store a mail as it came, with the recipients of its envelope."""
        file = self._folder / f"{uuid7().hex}.eml"
        marked = f"{_RECIPIENTS}: {', '.join(recipients)}\r\n".encode() + content
        unfinished = file.with_suffix(".part")
        unfinished.write_bytes(marked)
        unfinished.rename(file)
        message = _read(file)
        self._messages.insert(0, message)
        return message

    def list_messages(self, *, to: str = "") -> list[Message]:
        """Return mails, newest first; `to` narrows to one recipient."""
        wanted = to.strip().casefold()
        return [
            message
            for message in self._messages
            if not wanted or wanted in (recipient.casefold() for recipient in message.recipients)
        ]

    def find(self, message_id: str) -> Message | None:
        """Find one mail."""
        return next((message for message in self._messages if message.id == message_id), None)

    def clear(self) -> None:
        """Throw every mail away."""
        for file in self._folder.glob("*.eml"):
            file.unlink()
        self._messages.clear()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail; called by the SMTP server."""
        content = envelope.content or b""
        self.keep(content.encode() if isinstance(content, str) else content, envelope.rcpt_tos)
        return "250 OK"


async def listen(mailbox: Mailbox, *, host: str, port: int) -> asyncio.Server:
    """Take mail by SMTP until the returned server is closed."""
    return await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, hostname="mailbox", data_size_limit=_MOST_BYTES, enable_SMTPUTF8=True),
        host,
        port,
    )


def create_pages(mailbox: Mailbox) -> Litestar:
    """Build the pages and the JSON list for tests."""

    @get("/", sync_to_thread=False)
    def show_list(request: Request[Any, Any, Any], to: FromQuery[str] = "") -> Response[str]:
        return _page(request, "mailbox.html", messages=mailbox.list_messages(to=to), to=to)

    @get("/messages/{message_id:str}", sync_to_thread=False)
    def show_message(request: Request[Any, Any, Any], message_id: FromPath[str]) -> Response[str]:
        return _page(request, "mail.html", message=_get(mailbox, message_id))

    @get("/messages/{message_id:str}/html", sync_to_thread=False)
    def show_html(message_id: FromPath[str]) -> Response[str]:
        # A stranger's markup: no scripts, no origin, nothing loaded.
        headers = {
            "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        }
        return Response(_get(mailbox, message_id).html or "", media_type=MediaType.HTML, headers=headers)

    @get("/api/messages", sync_to_thread=False)
    def list_messages(
        to: FromQuery[str] = "", limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100
    ) -> list[Message]:
        return mailbox.list_messages(to=to)[:limit]

    @delete("/api/messages", status_code=204, sync_to_thread=False)
    def clear() -> None:
        mailbox.clear()

    @get("/healthz", sync_to_thread=False)
    def health() -> dict[str, bool]:
        return {"ok": True}

    return Litestar(
        [show_list, show_message, show_html, list_messages, clear, health, choose, static_files()],
        openapi_config=None,
        # Otherwise the framework lets every library tell everything: here, each line of SMTP.
        logging_config=None,
    )


def _get(mailbox: Mailbox, message_id: str) -> Message:
    message = mailbox.find(message_id)
    if message is None:
        raise NotFoundException("There is no such mail.")
    return message


def _read(file: Path) -> Message:
    content = message_from_bytes(file.read_bytes(), policy=modern)
    at = datetime.fromtimestamp((UUID(hex=file.stem).int >> 80) / 1000, UTC)
    if (date := content.get("Date")) is not None:
        with suppress(ValueError):
            at = parsedate_to_datetime(str(date)).astimezone(UTC)
    return Message(
        id=file.stem,
        at=at,
        sender=str(content.get("From", "")),
        recipients=[part.strip() for part in str(content[_RECIPIENTS]).split(",")],
        subject=str(content.get("Subject", "")),
        text=_part(content, "plain") or "",
        html=_part(content, "html"),
    )


def _part(content: EmailMessage, kind: str) -> str | None:
    body = content.get_body(preferencelist=(kind,))
    return None if body is None else str(body.get_content()).replace("\r\n", "\n")


@cache
def _environment() -> Environment:
    return environment({"demo": Path(__file__).parent})


def _page(request: Request[Any, Any, Any], name: str, **values: object) -> Response[str]:
    cookies = read_cookies(request.scope["headers"])
    frame = Frame(
        brand=Brand(name="Mailbox"),
        path=request.url.path,
        request_id=request.headers.get("x-request-id", uuid7().hex),
        language=negotiate(
            cookie=cookies.get(LANGUAGE_COOKIE),
            accept_language=request.headers.get("accept-language"),
        ),
        theme=theme_of(cookies.get(THEME_COOKIE)),
    )
    headers = policy.security_headers(
        policy=policy.content_security_policy(frame_origins=(_origin(request),))
    )
    text = render(_environment(), f"demo/{name}", frame=frame, **values)
    return Response(text, media_type=MediaType.HTML, headers=headers)


def _origin(request: Request[Any, Any, Any]) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


async def serve(*, host: str, smtp_port: int, http_port: int, folder: Path) -> None:
    """Run both servers until the process is told to stop."""
    mailbox = Mailbox(folder)
    smtp = await listen(mailbox, host=host, port=smtp_port)
    pages = uvicorn.Server(
        uvicorn.Config(create_pages(mailbox), host=host, port=http_port, log_level="warning")
    )
    try:
        await pages.serve()
    finally:
        smtp.close()
        await smtp.wait_closed()


def run(host: str, smtp_port: int, http_port: int, folder: Path) -> None:
    """Run the mailbox in this process until SIGTERM or SIGINT."""
    asyncio.run(serve(host=host, smtp_port=smtp_port, http_port=http_port, folder=folder))


def main() -> None:
    """Serve: `python -m partnerhub.demo.mailbox --smtp-port PORT --http-port PORT --folder FOLDER`."""
    reader = argparse.ArgumentParser()
    reader.add_argument("--host", default="127.0.0.1")
    reader.add_argument("--smtp-port", type=int, required=True)
    reader.add_argument("--http-port", type=int, required=True)
    reader.add_argument("--folder", type=Path, required=True)
    given = reader.parse_args()
    run(given.host, given.smtp_port, given.http_port, given.folder)


if __name__ == "__main__":
    main()
