"""A TLS front before a hub, as nginx would stand there: self-signed, on a free port, changing nothing."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from multidict import CIMultiDict

# What concerns one connection only, and what the front decides itself.
_OWN = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


@asynccontextmanager
async def serving(app: web.Application, *, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve an application on a free loopback port; give the port."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tls_front(target: str, *, host: str, folder: Path) -> AsyncIterator[int]:
    """Serve `https://{host}` from the hub that listens at `target`; give the port."""
    # The page's own compression, redirects and cookies pass as they are.
    async with aiohttp.ClientSession(
        auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=60)
    ) as http:

        async def forward(request: web.Request) -> web.Response:
            headers = CIMultiDict(request.headers)
            headers["X-Forwarded-Proto"] = "https"
            headers["X-Forwarded-For"] = request.remote or ""
            async with http.request(
                request.method,
                target + request.raw_path,
                headers=headers,
                data=await request.read() if request.can_read_body else None,
                allow_redirects=False,
            ) as answer:
                kept = CIMultiDict(
                    (name, value) for name, value in answer.headers.items() if name.lower() not in _OWN
                )
                return web.Response(status=answer.status, headers=kept, body=await answer.read())

        app = web.Application(client_max_size=8 * 1024**2)
        app.router.add_route("*", "/{path:.*}", forward)
        async with serving(app, context=_context(host, folder)) as port:
            yield port


def _context(host: str, folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = folder / f"{host}.pem"
    chain.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context
