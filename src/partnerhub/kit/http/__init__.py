"""Our own guarded HTTP/1.1 client: deliveries to receivers, calls to Meta.

    async with HttpClient(policy=AddressPolicy.PUBLIC) as client:
        answer = await client.request("POST", url, headers={"Content-Type": "application/json"}, body=raw)
        if 200 <= answer.status < 300: ...

Every status is an answer (redirects too, nothing is followed); everything else raises `ExchangeError` with
`phase` (`pre_delivery`: the peer cannot have processed it; `attempt`: it may have), `kind`, and the `timings`
so far. A bad URL or header raises `InvalidUrl` / `InvalidHeader` before anything is sent. The body is read up
to `max_body_bytes` and marked `body_truncated` beyond. `repeatable=True` allows one more try when a kept
connection was found closed. `client.start(...)` is the same without a task of its own and returns a future;
`client.stream(...)` is an async context manager over a large answer; `StreamBody` and `multipart` send large
requests. `AddressPolicy` decides whom a client may call: `PUBLIC` in production, `PUBLIC_AND_LOOPBACK` in
development, `TRUSTED` for addresses the operator configured.
"""

from partnerhub.kit.http.addresses import AddressPolicy, refusal
from partnerhub.kit.http.answers import Answer, Headers, Limits, Timeouts, Timings
from partnerhub.kit.http.bodies import FilePart, StreamBody, multipart
from partnerhub.kit.http.calls import Body
from partnerhub.kit.http.client import HttpClient, StreamedAnswer
from partnerhub.kit.http.connector import verifying_context
from partnerhub.kit.http.errors import ExchangeError, FailureKind, InvalidHeader, InvalidUrl, Phase, Reason
from partnerhub.kit.http.heads import HeaderLines, check_header
from partnerhub.kit.http.pool import PoolState
from partnerhub.kit.http.resolver import Address, Resolver, SystemResolver
from partnerhub.kit.http.urls import Target, parse_url

__all__ = [
    "Address",
    "AddressPolicy",
    "Answer",
    "Body",
    "ExchangeError",
    "FailureKind",
    "FilePart",
    "HeaderLines",
    "Headers",
    "HttpClient",
    "InvalidHeader",
    "InvalidUrl",
    "Limits",
    "Phase",
    "PoolState",
    "Reason",
    "Resolver",
    "StreamBody",
    "StreamedAnswer",
    "SystemResolver",
    "Target",
    "Timeouts",
    "Timings",
    "check_header",
    "multipart",
    "parse_url",
    "refusal",
    "verifying_context",
]
