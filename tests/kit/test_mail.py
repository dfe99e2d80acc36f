"""The outbox: mail leaves after the commit, once, over real SMTP, and keeps no content behind."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from partnerhub.kit import jobs, mail
from partnerhub.kit.boundary import NetworkInsideTransaction
from partnerhub.kit.database import Database
from partnerhub.kit.mail import MailAddressInvalid, MailNotTaken, MailServer, Security


@dataclass
class Sink:
    """A real SMTP server with answers to order."""

    port: int = 0
    recipient_answer: str = "250 OK"
    data_answer: str = "250 OK"
    taken: list[tuple[list[str], bytes]] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipient_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        if self.data_answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.taken.append((list(envelope.rcpt_tos), envelope.content))
            assert server.transport is not None
            self.was_encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return self.data_answer


@asynccontextmanager
async def running(
    sink: Sink,
    *,
    tls: ssl.SSLContext | None = None,
    implicit: bool = False,
    login: tuple[str, str] | None = None,
) -> AsyncIterator[Sink]:
    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
    ) -> AuthResult:
        assert isinstance(given, LoginPassword)
        return AuthResult(success=login == (given.login.decode(), given.password.decode()))

    def make() -> SMTP:
        return SMTP(
            sink,
            hostname="sink",
            tls_context=None if implicit else tls,
            require_starttls=tls is not None and not implicit,
            authenticator=check if login else None,
            auth_required=login is not None,
        )

    server = await asyncio.get_running_loop().create_server(
        make, "127.0.0.1", 0, ssl=tls if implicit else None
    )
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        await server.wait_closed()


def to(sink: Sink, **changes: object) -> MailServer:
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": sink.port,
        "sender": "hub@hub.example",
        "sender_name": "Hübsch",
        "security": Security.NONE,
    }
    return MailServer(**{**values, **changes})  # type: ignore[arg-type]  # the fields above by name


async def queue(database: Database, *, html: str | None = None) -> str:
    async with database.system() as unit:
        return str(
            await mail.queue(
                unit, to="ops@acme.example", subject="Código: 1", text="Größe\n.\nEnd", html=html
            )
        )


async def row(database: Database) -> dict[str, object]:
    async with database.system() as unit:
        return (await unit.fetch_dicts("select * from mail"))[0]


async def test_a_queued_mail_leaves_whole_and_its_content_is_wiped(database: Database) -> None:
    mail_id = await queue(database, html="<b>Größe</b>")
    assert await jobs.Queue(database).counts() == {"todo": 1}
    async with running(Sink()) as sink:
        await mail.deliver(database, mail_id, server=to(sink))
        await mail.deliver(database, mail_id, server=to(sink))
    assert len(sink.taken) == 1
    recipients, content = sink.taken[0]
    message = message_from_bytes(content, policy=modern)
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert recipients == ["ops@acme.example"]
    assert (message["To"], message["Subject"]) == ("ops@acme.example", "Código: 1")
    assert message["From"] == "Hübsch <hub@hub.example>"
    assert message["Message-ID"] == f"<{mail_id}@hub.example>"
    assert plain.get_content().split() == ["Größe", ".", "End"]
    assert html.get_content().strip() == "<b>Größe</b>"
    kept = await row(database)
    assert (kept["body_text"], kept["body_html"], kept["attempts"], kept["last_error"]) == ("", None, 1, None)
    assert kept["sent_at"] is not None


async def test_a_mail_of_a_tenant_belongs_to_it_and_a_rolled_back_one_never_was(database: Database) -> None:
    async with database.tenant("onePA") as unit:
        await mail.queue(unit, to="a@acme.example", subject="s", text="t")

    async def fail() -> None:
        async with database.tenant("onePA") as unit:
            await mail.queue(unit, to="b@acme.example", subject="s", text="t")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (await row(database))["partner_id"] == "onePA"
    assert await jobs.Queue(database).counts() == {"todo": 1}


@pytest.mark.parametrize(
    ("place", "answer", "is_final"),
    [
        ("recipient_answer", "450 4.2.0 greylisted", False),
        ("recipient_answer", "550 5.1.1 no such user", True),
        ("data_answer", "451 4.3.0 try later", False),
        ("data_answer", "554 5.6.0 content refused", True),
    ],
)
async def test_a_no_for_now_is_tried_again_and_a_no_for_good_is_not(
    database: Database, place: str, answer: str, is_final: bool
) -> None:
    mail_id = await queue(database)
    async with running(Sink(**{place: answer})) as sink:  # type: ignore[arg-type]  # one text field by name
        if is_final:
            await mail.deliver(database, mail_id, server=to(sink))
        else:
            with pytest.raises(MailNotTaken):
                await mail.deliver(database, mail_id, server=to(sink))
        kept = await row(database)
        assert (kept["failed_at"] is not None, kept["attempts"], kept["sent_at"]) == (is_final, 1, None)
        assert answer.split()[2] in str(kept["last_error"])
        assert (kept["body_text"] == "") is is_final
        setattr(sink, place, "250 OK")
        await mail.deliver(database, mail_id, server=to(sink))
    assert len(sink.taken) == (0 if is_final else 1)


async def test_a_server_that_is_away_costs_nothing_but_time(database: Database) -> None:
    mail_id = await queue(database)
    async with running(Sink()) as sink:
        pass
    with pytest.raises(MailNotTaken):
        await mail.deliver(database, mail_id, server=to(sink))
    with pytest.raises(MailNotTaken):
        await mail.check_server(to(sink))
    async with running(Sink()) as sink:
        await mail.check_server(to(sink))
        await mail.deliver(database, mail_id, server=to(sink))
    assert len(sink.taken) == 1


async def test_no_mail_leaves_while_a_transaction_is_open(database: Database) -> None:
    mail_id = await queue(database)
    async with running(Sink()) as sink:

        async def wrongly() -> None:
            async with database.system():
                await mail.deliver(database, mail_id, server=to(sink))

        with pytest.raises((RuntimeError, NetworkInsideTransaction)):
            await wrongly()
    assert sink.taken == []


async def test_with_starttls_it_signs_in_encrypted_or_not_at_all(database: Database, tmp_path: Path) -> None:
    async with running(Sink(), tls=self_signed(tmp_path), login=("hub", "mail-password")) as sink:
        mail_id = await queue(database)
        right = to(
            sink,
            security=Security.STARTTLS,
            username="hub",
            password="mail-password",
            verify_certificate=False,
            timeout_seconds=2,
        )
        for server in (replace(right, password="wrong"), replace(right, verify_certificate=True)):
            with pytest.raises(MailNotTaken):
                await mail.deliver(database, mail_id, server=server)
        assert (await row(database))["failed_at"] is None
        await mail.deliver(database, mail_id, server=right)
    assert sink.was_encrypted == [True]


async def test_with_tls_it_is_encrypted_from_the_first_byte(database: Database, tmp_path: Path) -> None:
    async with running(Sink(), tls=self_signed(tmp_path), implicit=True) as sink:
        mail_id = await queue(database)
        right = to(sink, security=Security.TLS, verify_certificate=False, timeout_seconds=2)
        with pytest.raises(MailNotTaken):
            await mail.deliver(database, mail_id, server=replace(right, verify_certificate=True))
        await mail.deliver(database, mail_id, server=right)
    assert sink.was_encrypted == [True]


def test_a_password_never_goes_out_in_the_clear() -> None:
    with pytest.raises(ValueError, match="TLS"):
        MailServer(host="mail.example", port=25, sender="a@b.example", username="u", security=Security.NONE)


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("a@b.example\nBcc: c@d.example", "s"),
        ("a@b.example, c@d.example", "s"),
        ("nobody", "s"),
        ("a@b.example", "s\r\nBcc: c@d.example"),
    ],
)
async def test_headers_cannot_be_smuggled_in(database: Database, address: str, subject: str) -> None:
    async with database.system() as unit:
        with pytest.raises(MailAddressInvalid):
            await mail.queue(unit, to=address, subject=subject, text="t")


def self_signed(folder: Path) -> ssl.SSLContext:
    """Make a server certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "sink.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
