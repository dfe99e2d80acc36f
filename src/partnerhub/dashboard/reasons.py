"""What the HTTP client says of a failure, in the reader's language: names, addresses and reasons.

`words` says what a kind of failure means; here stand the facts beside it. What the operating system or
OpenSSL says is told in our words where it is usual, and as it is where it is rare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from partnerhub.kit.http import FailureKind, Reason
from partnerhub.web.navigation import N_

SILENT = frozenset(
    {
        FailureKind.CLOSED,
        FailureKind.RESET,
        FailureKind.TIMEOUT_CONNECT,
        FailureKind.TIMEOUT_FIRST_BYTE,
        FailureKind.TIMEOUT_TOTAL,
    }
)
"""Kinds whose meaning says all there is to say."""

SENTENCES = (
    N_("The name {host} could not be resolved in time."),
    N_("The name {host} could not be resolved: {reason}."),
    N_("The name {host} has no address."),
    N_("The connection could not be made: {reason}."),
    N_("The certificate was refused: {reason}."),
    N_("TLS failed: {reason}."),
    N_("The connection ended during the TLS handshake."),
    N_("{host} leads to {address}, which may not be called: {reason}."),
    N_("The host is a number or a shortened address; write an address in full."),
    N_("The answer is not HTTP."),
    N_("The answer is not valid HTTP ({reason})."),
    N_("The answer changes the protocol."),
    N_("The answer has an impossible status."),
    N_("The answer has an interim head with a body."),
    N_("The answer claims HTTP/{version}."),
    N_("The answer has a transfer encoding that cannot be trusted."),
    N_("The head of the answer is too large."),
    N_("The body of the answer is too large."),
    N_("The answer is mostly framing."),
    N_("No socket for the connection: {reason}."),
    N_("This process is being stopped."),
)
"""The client's sentences, marked for translation."""

_REASONS: Mapping[str, str] = {
    "Connection refused": N_("the host refused it"),
    "No route to host": N_("no route to the host"),
    "Network is unreachable": N_("the network is unreachable"),
    "Name or service not known": N_("the name is not known"),
    "No address associated with hostname": N_("the name has no address"),
    "Temporary failure in name resolution": N_("the name server does not answer"),
    "not a valid name": N_("this is no valid name"),
    "certificate has expired": N_("it has expired"),
    "certificate is not yet valid": N_("it is not valid yet"),
    "self-signed certificate": N_("it is self-signed"),
    "self-signed certificate in certificate chain": N_("its chain ends in a self-signed certificate"),
    "unable to get local issuer certificate": N_("its issuer is not known; intermediates may be missing"),
    "unable to get issuer certificate": N_("its issuer is not known; intermediates may be missing"),
    "WRONG_VERSION_NUMBER": N_("the server does not speak TLS on this port"),
    "RECORD_LAYER_FAILURE": N_("the server does not speak TLS on this port"),
    "private": N_("a private address"),
    "loopback": N_("an address of this machine"),
    "link-local or cloud metadata": N_("a link-local address"),
    "not a public address": N_("not a public address"),
}
_OTHER_HOST = re.compile(r"(?:Hostname|IP address) mismatch, certificate is not valid for '(?P<host>[^']+)'")


def tell_reason(reason: Reason | None, say: Callable[[str], str]) -> str:
    """Return the facts of a failure by `say`, the reader's language; "" where the meaning says it all."""
    if reason is None or reason.kind in SILENT:
        return ""
    values = dict(reason.values)
    if "reason" in values:
        values["reason"] = _told(values["reason"], say)
    return say(reason.sentence).format(**values)


def _told(reason: str, say: Callable[[str], str]) -> str:
    if match := _OTHER_HOST.match(reason):
        return say(N_("it is not issued for {host}")).format(host=match["host"])
    return say(_REASONS[reason]) if reason in _REASONS else reason
