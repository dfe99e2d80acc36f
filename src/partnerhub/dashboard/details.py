"""What the failing layer said of a call, in the reader's language: names, addresses and reasons.

`words` says what a kind of failure means; here stand the facts beside it. The client writes its sentences in
English, so each has its pattern; what the operating system or OpenSSL says is told in our words where it is
usual, and as it is where it is rare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from partnerhub.kit.http import FailureKind
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

SENTENCES: Sequence[tuple[str, str]] = (
    (
        r"The name (?P<host>\S+) could not be resolved in time\.",
        N_("The name {host} could not be resolved in time."),
    ),
    (
        r"The name (?P<host>\S+) could not be resolved: (?P<reason>.+)\.",
        N_("The name {host} could not be resolved: {reason}."),
    ),
    (r"The name (?P<host>\S+) has no address\.", N_("The name {host} has no address.")),
    (
        r"The connection could not be made: (?P<reason>.+)\.",
        N_("The connection could not be made: {reason}."),
    ),
    (r"The certificate was refused: (?P<reason>.+?)\.?\.", N_("The certificate was refused: {reason}.")),
    (r"TLS failed: (?P<reason>.+)\.", N_("TLS failed: {reason}.")),
    (
        r"The connection ended during the TLS handshake\.",
        N_("The connection ended during the TLS handshake."),
    ),
    (
        r"(?P<host>\S+) leads to (?P<address>\S+), which may not be called: (?P<reason>.+)\.",
        N_("{host} leads to {address}, which may not be called: {reason}."),
    ),
    (
        r"The host is a number or a shortened address; write an address in full\.",
        N_("The host is a number or a shortened address; write an address in full."),
    ),
    (r"The answer is not HTTP\.", N_("The answer is not HTTP.")),
    (r"The answer is not valid HTTP \((?P<reason>.+)\)\.", N_("The answer is not valid HTTP ({reason}).")),
    (r"The answer changes the protocol\.", N_("The answer changes the protocol.")),
    (r"The answer has an impossible status\.", N_("The answer has an impossible status.")),
    (
        r"The answer has an interim head with a body\.",
        N_("The answer has an interim head with a body."),
    ),
    (r"The answer claims HTTP/(?P<version>\S+)\.", N_("The answer claims HTTP/{version}.")),
    (
        r"The answer has a transfer encoding that cannot be trusted\.",
        N_("The answer has a transfer encoding that cannot be trusted."),
    ),
    (r"The head of the answer is too large\.", N_("The head of the answer is too large.")),
    (r"The body of the answer is too large\.", N_("The body of the answer is too large.")),
    (r"The answer is mostly framing\.", N_("The answer is mostly framing.")),
    (
        r"No socket for the connection: (?P<reason>.+)\.",
        N_("No socket for the connection: {reason}."),
    ),
    (r"The client is closed\.", N_("This installation is being stopped.")),
)
"""Patterns of the client's sentences, and how they are said."""

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


def tell_detail(code: str, detail: str, say: Callable[[str], str]) -> str:
    """Return the facts of a failure by `say`, the reader's language; "" where the meaning says it all."""
    if code in SILENT:
        return ""
    for pattern, sentence in SENTENCES:
        if match := re.fullmatch(pattern, detail, re.DOTALL):
            facts = match.groupdict()
            if "reason" in facts:
                facts["reason"] = _reason(facts["reason"], say)
            return say(sentence).format(**facts)
    return ""


def _reason(reason: str, say: Callable[[str], str]) -> str:
    if match := _OTHER_HOST.match(reason):
        return say(N_("it is not issued for {host}")).format(host=match["host"])
    return say(_REASONS[reason]) if reason in _REASONS else reason
