"""Mail that leaves: a durable outbox written in the business commit, and the sender that empties it.

`queue` is the only way to send mail. The worker registers `deliver` under the job name `mail.send`. A mail
goes out at least once; its Message-ID stays the same, so a receiving server can drop a repeat. Bodies hold
codes and links: they are wiped as soon as the mail has left or was refused for good.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from enum import StrEnum
from uuid import UUID

import aiosmtplib

from partnerhub.kit import clock, jobs, logs
from partnerhub.kit.boundary import refuse_network
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import Invalid, UpstreamFailed
from partnerhub.kit.ids import uuid7

JOB = "mail.send"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = logs.get(__name__)


class MailAddressInvalid(Invalid):
    """A recipient or subject that cannot stand in a mail header."""

    code = "mail_address_invalid"


class MailNotTaken(UpstreamFailed):
    """The mail server did not take the mail this time; the job tries again."""

    code = "mail_not_taken"


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed over, and in whose name."""

    host: str
    port: int
    sender: str
    sender_name: str = ""
    username: str = ""
    password: str = ""
    security: Security = Security.STARTTLS
    verify_certificate: bool = True
    timeout_seconds: float = 20

    def __post_init__(self) -> None:
        """Refuse to send a password in the clear to another machine."""
        if self.username and self.security is Security.NONE and self.host not in _LOOPBACK:
            raise ValueError("A mail server with a user name needs TLS or STARTTLS.")


@dataclass(frozen=True)
class _Mail:
    id: UUID
    recipient: str
    subject: str
    body_text: str
    body_html: str | None


async def queue(
    unit: Unit, *, to: str, subject: str, text: str, html: str | None = None, partner_id: str | None = None
) -> UUID:
    """Put a mail into the outbox; it leaves after the unit's commit.

    Under a tenant unit the mail belongs to the tenant. Raises: MailAddressInvalid.
    """
    if any(not character.isprintable() for character in to + subject) or to.count("@") != 1:
        raise MailAddressInvalid("The recipient or subject cannot stand in a mail header.")
    mail_id = uuid7()
    await unit.execute(
        "insert into mail (id, partner_id, recipient, subject, body_text, body_html, created_at) "
        "values (%s, %s, %s, %s, %s, %s, %s)",
        (mail_id, partner_id or unit.partner_id, to, subject, text, html, clock.now()),
    )
    await jobs.defer(unit, JOB, mail_id=str(mail_id))
    return mail_id


async def deliver(db: Database, mail_id: str, *, server: MailServer) -> None:
    """Hand one queued mail to the mail server; a mail that has left is left alone.

    A refusal for good (a 5xx answer to this mail) is recorded and not tried again. Raises: MailNotTaken.
    """
    async with db.system() as unit:
        mail = await unit.fetch_one(
            _Mail,
            "select id, recipient, subject, body_text, body_html from mail "
            "where id = %s and sent_at is null and failed_at is null",
            (mail_id,),
        )
    if mail is None:
        return
    refuse_network()
    try:
        await _hand_over(_message(mail, server), server)
    except aiosmtplib.SMTPException as error:
        is_final = _is_final(error)
        await _record_failure(db, mail, error, is_final=is_final)
        if not is_final:
            raise MailNotTaken("The mail server did not take the mail.") from error
        log.warning("mail refused", mail_id=mail_id, reason=type(error).__name__)
        return
    except (OSError, TimeoutError) as error:
        await _record_failure(db, mail, error, is_final=False)
        raise MailNotTaken("The mail server did not answer.") from error
    async with db.system() as unit:
        await unit.execute(
            "update mail set sent_at = %s, attempts = attempts + 1, last_error = null, "
            "body_text = '', body_html = null where id = %s",
            (clock.now(), mail.id),
        )


async def check_server(server: MailServer) -> None:
    """Connect, negotiate TLS, sign in and leave; for `doctor`.

    Raises: MailNotTaken with the reason.
    """
    try:
        async with _client(server) as client:
            await client.noop()
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        raise MailNotTaken(f"The mail server {server.host}:{server.port} failed: {error}") from error


def _client(server: MailServer) -> aiosmtplib.SMTP:
    context = ssl.create_default_context()
    if not server.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username or None,
        password=server.password or None,
        use_tls=server.security is Security.TLS,
        start_tls=server.security is Security.STARTTLS,
        tls_context=None if server.security is Security.NONE else context,
        timeout=server.timeout_seconds,
        local_hostname=server.sender.rpartition("@")[2] or "localhost",
    )


async def _hand_over(message: EmailMessage, server: MailServer) -> None:
    async with _client(server) as client:
        await client.send_message(message)


def _message(mail: _Mail, server: MailServer) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = formataddr((server.sender_name, server.sender))
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{mail.id}@{server.sender.rpartition('@')[2]}>"
    # Machines (out-of-office) shall not answer.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body_text)
    if mail.body_html is not None:
        message.add_alternative(mail.body_html, subtype="html")
    return message


def _is_final(error: aiosmtplib.SMTPException) -> bool:
    # Only a no to this recipient or this content is final. A no to us (greeting, sign-in, sender) is a wrong
    # setting, and mending it must send what waited.
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return all(refused.code >= 500 for refused in error.recipients)
        case aiosmtplib.SMTPDataError():
            return error.code >= 500
        case _:
            return False


async def _record_failure(db: Database, mail: _Mail, error: Exception, *, is_final: bool) -> None:
    async with db.system() as unit:
        await unit.execute(
            "update mail set attempts = attempts + 1, last_error = %(error)s, "
            "failed_at = case when %(final)s then %(now)s end, "
            "body_text = case when %(final)s then '' else body_text end, "
            "body_html = case when not %(final)s then body_html end where id = %(id)s",
            {
                "error": f"{type(error).__name__}: {error}"[:500],
                "final": is_final,
                "now": clock.now(),
                "id": mail.id,
            },
        )
