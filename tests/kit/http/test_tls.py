"""Certificates and protocol versions: what is verified, and that nothing can switch it off."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.kit.http.receivers import OK, Names, Visit, always, receiver

from partnerhub.kit.http import (
    AddressPolicy,
    ExchangeError,
    FailureKind,
    HttpClient,
    Phase,
    Timeouts,
    verifying_context,
)


@dataclass
class Authority:
    """A certificate authority of our own."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def trusting(self) -> ssl.SSLContext:
        context = verifying_context()
        context.load_verify_locations(
            cadata=self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        )
        return context

    def serving(self, name: str, *, days: int = 30, self_signed: bool = False) -> ssl.SSLContext:
        """Make a server's context with a certificate for `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative: x509.GeneralName
        try:
            alternative = x509.IPAddress(ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=40))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(key if self_signed else self.key, hashes.SHA256())
        )
        chain = self.folder / f"{certificate.serial_number}.pem"
        chain.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=50))
        .not_valid_after(now + timedelta(days=50))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(tmp_path, key, certificate)


def client(context: ssl.SSLContext | None = None, timeouts: Timeouts | None = None) -> HttpClient:
    return HttpClient(
        policy=AddressPolicy.PUBLIC_AND_LOOPBACK,
        ssl_context=context,
        resolver=Names(hooks=["127.0.0.1"], wrong=["127.0.0.1"]),
        timeouts=timeouts,
    )


async def tls_failure(http: HttpClient, url: str) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        await http.request("POST", url, body=b"{}")
    assert (caught.value.phase, caught.value.kind) == (Phase.PRE_DELIVERY, FailureKind.TLS)
    assert caught.value.timings.tls_us > 0
    assert http.state() == (0, 0, 0)
    return caught.value


async def test_a_verified_peer_is_called_and_its_connection_kept(authority: Authority) -> None:
    async with receiver(always(OK), tls=authority.serving("hooks.example")) as here:
        async with client(authority.trusting()) as http:
            first = await http.request("POST", here.url(host="hooks.example"), body=b"{}")
            second = await http.request("POST", here.url(host="hooks.example"), body=b"{}")
        assert first.timings.tls_us > 0
        assert (second.timings.reused, second.timings.tls_us) == (True, 0)
        assert here.connections == 1


async def test_an_address_in_the_certificate_is_verified_too(authority: Authority) -> None:
    async with (
        receiver(always(OK), tls=authority.serving("127.0.0.1")) as here,
        client(authority.trusting()) as http,
    ):
        assert (await http.request("GET", here.url())).status == 200


async def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    async with receiver(always(OK), tls=authority.serving("hooks.example", days=-1)) as here:
        async with client(authority.trusting()) as http:
            assert "expired" in str(await tls_failure(http, here.url(host="hooks.example")))
        assert not here.requests


async def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    async with receiver(always(OK), tls=authority.serving("hooks.example")) as here:
        async with client(authority.trusting()) as http:
            error = await tls_failure(http, here.url(host="wrong.example"))
            assert "wrong.example" in str(error)
        assert not here.requests


async def test_a_self_signed_certificate_is_refused(authority: Authority) -> None:
    tls = authority.serving("hooks.example", self_signed=True)
    async with receiver(always(OK), tls=tls) as here, client(authority.trusting()) as http:
        assert "self-signed" in str(await tls_failure(http, here.url(host="hooks.example")))


async def test_an_unknown_authority_is_refused(authority: Authority) -> None:
    async with receiver(always(OK), tls=authority.serving("hooks.example")) as here, client() as http:
        await tls_failure(http, here.url(host="hooks.example"))


async def test_tls_1_1_is_refused(authority: Authority) -> None:
    tls = authority.serving("hooks.example")
    tls.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        tls.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    async with receiver(always(OK), tls=tls) as here, client(authority.trusting()) as http:
        await tls_failure(http, here.url(host="hooks.example"))


async def test_a_peer_that_speaks_no_tls_is_a_tls_failure() -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read(10)
        await visit.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await visit.gone()

    async with receiver(script) as here, client() as http:
        await tls_failure(http, here.url(host="hooks.example").replace("http:", "https:"))


async def test_a_peer_that_leaves_during_the_handshake_is_a_tls_failure() -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read(10)
        visit.reset()

    async with receiver(script) as here, client() as http:
        await tls_failure(http, here.url(host="hooks.example").replace("http:", "https:"))


async def test_a_handshake_without_end_is_a_connect_timeout() -> None:
    async def script(visit: Visit) -> None:
        await visit.gone()

    async with receiver(script) as here, client(timeouts=Timeouts(connect_seconds=0.3)) as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", here.url(host="hooks.example").replace("http:", "https:"))
        error = caught.value
        assert (error.phase, error.kind) == (Phase.PRE_DELIVERY, FailureKind.TIMEOUT_CONNECT)
        assert error.timings.tls_us > 0
        assert http.state() == (0, 0, 0)


async def test_a_large_body_survives_tls(authority: Authority) -> None:
    body = bytes(range(256)) * 8192

    async def script(visit: Visit) -> None:
        request = await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)
        await visit.gone()

    async with (
        receiver(script, tls=authority.serving("hooks.example")) as here,
        client(authority.trusting()) as http,
    ):
        url = here.url(host="hooks.example")
        answer = await http.request("POST", url, body=body, max_body_bytes=len(body))
        assert answer.body == body


async def test_a_peer_that_ends_tls_early_is_an_attempt(authority: Authority) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.writer.transport.abort()
        await asyncio.sleep(0)

    async with (
        receiver(script, tls=authority.serving("hooks.example")) as here,
        client(authority.trusting()) as http,
    ):
        with pytest.raises(ExchangeError) as caught:
            await http.request("POST", here.url(host="hooks.example"), body=b"{}")
        assert caught.value.phase is Phase.ATTEMPT
        assert caught.value.kind in (FailureKind.CLOSED, FailureKind.RESET)


@pytest.mark.parametrize("weakness", ["no certificate", "no host name", "old protocol"])
def test_a_context_that_does_not_verify_is_refused(weakness: str) -> None:
    context = verifying_context()
    match weakness:
        case "no certificate":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        case "no host name":
            context.check_hostname = False
        case _:
            with pytest.warns(DeprecationWarning, match="TLSv1"):
                context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ValueError, match="TLS context must"):
        HttpClient(ssl_context=context)
