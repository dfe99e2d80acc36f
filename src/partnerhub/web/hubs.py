"""The three hubs as the web sees them: where their pages are, where one signs in, which cookie is theirs.

Each hub has its own session cookie, so that a person may be signed in as a partner and, in a popup of the
same browser, as a client.
"""

from __future__ import annotations

from dataclasses import dataclass

from partnerhub.identity.schemas import Hub


@dataclass(frozen=True)
class HubFacts:
    """Addresses and cookie of one hub; `prefix` begins its own pages and is empty for the Partner Hub."""

    prefix: str
    home: str
    sign_in: str
    sign_out: str
    forgot_password: str
    reset_password: str
    codes: str
    account: str
    switch: str
    cookie: str


def _facts(home: str, prefix: str, cookie: str) -> HubFacts:
    return HubFacts(
        prefix=prefix,
        home=home,
        sign_in=f"{prefix}/sign-in",
        sign_out=f"{prefix}/sign-out",
        forgot_password=f"{prefix}/forgot-password",
        reset_password=f"{prefix}/reset-password",
        codes=f"{prefix}/codes",
        account=f"{prefix}/account",
        switch=f"{prefix}/switch",
        cookie=cookie,
    )


HUBS = {
    Hub.PARTNER: _facts("/dashboard", "", "partner_session"),
    Hub.CLIENT: _facts("/client", "/client", "client_session"),
    Hub.OPERATOR: _facts("/operator", "/operator", "operator_session"),
}

MACHINE_PREFIXES = ("/api/", "/v1/")
"""Paths that take keys and tokens and never look at a cookie; every other path is for people."""


def is_machine_path(path: str) -> bool:
    """Say whether a path belongs to an API."""
    return path.startswith(MACHINE_PREFIXES)
