"""Values of this package: a run of the popup and what it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Step(StrEnum):
    """Where a run stands."""

    ACCOUNT = "account"  # who the client is: sign up or sign in
    PRICES = "prices"  # Direct-Paid: what messages cost, and the terms, before anything is connected
    CONNECT = "connect"  # Embedded Signup at Meta
    REGISTER = "register"  # what Meta shared is stored; the number is being registered
    PERMISSION = "permission"  # what the partner may use
    DONE = "done"  # on the way back to the partner


@dataclass(frozen=True)
class Run:
    """One run of the popup, as its row says.

    `parameters` are the link's own (see `entry.Entry`). `channel_ids` are the channels that this run brought
    and, once it is done, those that its client left permitted; `revoked_ids` whose permission it took back.
    `user_id` signed in and has no client of this partner yet: the company is asked for.
    It `is_working` while a request is at it, or at its number for another run: nobody else moves it then.
    `is_signed` says that a link with IO Signature began it.
    """

    id: UUID
    partner_id: str
    is_signed: bool
    client_id: str | None
    user_id: str | None
    step: Step
    parameters: dict[str, Any]  # Any: JSON of Entry's fields
    redirect_url: str | None
    state: str | None
    waba_id: str | None
    channel_ids: list[str]
    revoked_ids: list[str]
    error_code: str | None
    error_message: str | None
    created_at: datetime
    expires_at: datetime
    is_working: bool

    def parameter(self, name: str) -> str:
        """Return one of the link's parameters, empty when it was not given."""
        return str(self.parameters.get(name) or "")


@dataclass(frozen=True)
class StartedRun:
    """A new run and the secret that binds it to the browser (a cookie, stored only as its hash)."""

    run_id: UUID
    browser_token: str = field(repr=False)


@dataclass(frozen=True)
class UnknownBrowser:
    """A browser that must show that it keeps our cookie before a signed link is given to it."""

    browser_token: str = field(repr=False)


@dataclass(frozen=True)
class Refusal:
    """A minute's links that were refused for one reason to one network (IO Signature).

    `reason` is the error's code; `detail` says in English what was wrong with the last one; `network` is the
    address without its last part, empty where none was known.
    """

    reason: str
    detail: str
    network: str
    times: int
    last_at: datetime


@dataclass(frozen=True)
class SignupResult:
    """What the browser reports when Embedded Signup ends.

    Source: Embedded Signup session logging, `WA_EMBEDDED_SIGNUP` version 3.
    """

    code: str = field(repr=False)
    event: str
    waba_id: str
    phone_number_id: str
    business_id: str = ""


@dataclass(frozen=True)
class KnownNumber:
    """A number that the client already has, as the popup lists it.

    One that is not `is_live` was shared by Meta's window and its registration stopped: it can be brought to
    its end, and until then nobody may use it.
    """

    channel_id: str
    waba_id: str
    phone_number: str
    phone_name: str
    is_shared: bool
    is_live: bool


@dataclass(frozen=True)
class Sharable:
    """A number on the permission page; one that is fixed is shared and cannot be taken back there."""

    number: KnownNumber
    is_fixed: bool
