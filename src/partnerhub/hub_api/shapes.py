"""The shapes of this API: what a body may hold and what an answer holds; the document is made of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

_Url = Annotated[str, Meta(description="https, a public host without underscore and port; no fragment.")]
_Origins = Annotated[
    list[str],
    Meta(description="Further origins, `https://` and a host, to which onboarding links may lead back."),
]
_SolutionId = Annotated[str, Meta(description="Meta's number of 14 to 18 digits.")]
_Region = Annotated[str, Meta(description="One of Meta's 14 codes, or US for Meta's default.")]
_Hosting = Annotated[str, Meta(description="`cloud_api`; `on_premise` only as a past state.")]
_Headers = Annotated[
    dict[str, str], Meta(description="Custom headers of every partner event; shown masked, set as a whole.")
]
_Hours = Annotated[int, Meta(description="0 to 720: how long a replaced platform secret still signs.")]


class SettingsShape(Struct, frozen=True, kw_only=True):
    """A partner's integration settings. Values of headers are masks that end in the last four characters."""

    solution_id: _SolutionId | None
    webhook_url: _Url | None
    webhook_headers: _Headers
    redirect_url: _Url | None
    redirect_origins: _Origins
    default_hosting_type: _Hosting
    data_localization_region: _Region
    legacy_token_auth_enabled: bool
    mm_api_routing_enabled: bool
    io_signature_enabled: bool
    secret_overlap_hours: _Hours


class SettingsChangeShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which settings to change; what is not named stays, and null clears one that may be empty."""

    solution_id: _SolutionId | UnsetType | None = UNSET
    webhook_url: _Url | UnsetType | None = UNSET
    webhook_headers: _Headers | UnsetType = UNSET
    redirect_url: _Url | UnsetType | None = UNSET
    redirect_origins: _Origins | UnsetType = UNSET
    default_hosting_type: _Hosting | UnsetType = UNSET
    data_localization_region: _Region | UnsetType = UNSET
    legacy_token_auth_enabled: bool | UnsetType = UNSET
    mm_api_routing_enabled: bool | UnsetType = UNSET
    io_signature_enabled: bool | UnsetType = UNSET
    secret_overlap_hours: _Hours | UnsetType = UNSET


class TestShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to test: a URL, saved or not; without one, the saved."""

    url: str | None = None


class HeaderShape(Struct, frozen=True, kw_only=True):
    """A header line."""

    name: str
    value: str


class RequestShape(Struct, frozen=True, kw_only=True):
    """What was sent; values of custom headers are masked."""

    method: str
    url: str
    headers: list[HeaderShape]
    body: str


class ResponseShape(Struct, frozen=True, kw_only=True):
    """What came back: the first 8 KB, values that may be secrets removed."""

    status: int
    headers: list[HeaderShape]
    body: str
    body_truncated: bool


class PhaseShape(Struct, frozen=True, kw_only=True):
    """A phase of the exchange: `dns`, `connect`, `tls`, `first_byte` or `body`."""

    name: str
    microseconds: int


class TimingShape(Struct, frozen=True, kw_only=True):
    """How long the exchange took; a phase that did not happen is not listed."""

    total_microseconds: int
    phases: list[PhaseShape]


class WebhookTestShape(Struct, frozen=True, kw_only=True):
    """A test of the webhook URL. `code` is stable: `ok`, `ok_not_200` or the kind of failure."""

    code: str
    is_success: bool
    verdict: Annotated[str, Meta(description="What the outcome means, in plain words.")]
    advice: Annotated[str, Meta(description="What to do about it.")]
    detail: Annotated[str, Meta(description="What the failing layer said, else empty.")]
    status: int | None
    event_id: str
    request: RequestShape
    response: ResponseShape | None
    timing: TimingShape
    peer_address: str | None


class HopShape(Struct, frozen=True, kw_only=True):
    """One address that was opened, and where it led to."""

    url: str
    status: int | None
    location: str | None
    timing: TimingShape


class RedirectTestShape(Struct, frozen=True, kw_only=True):
    """A test of the redirect URL. `request`, `response` and `timing` are those of the last hop."""

    code: str
    is_success: bool
    verdict: Annotated[str, Meta(description="What the outcome means, in plain words.")]
    advice: Annotated[str, Meta(description="What to do about it.")]
    detail: Annotated[str, Meta(description="What the failing layer said, else empty.")]
    status: int | None
    request: RequestShape
    response: ResponseShape | None
    timing: TimingShape
    peer_address: str | None
    hops: Annotated[list[HopShape], Meta(description="Every address in order; more than one with redirects.")]


class ProblemShape(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with one input."""

    field: str
    code: str
    message: str


class ErrorShape(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. `code` is stable; `fields` has one text per wrong input, `problems` each reason."""

    type: str
    title: str
    status: int
    code: str
    message: str
    fields: dict[str, str]
    problems: list[ProblemShape]
    request_id: str
    error: str | UnsetType = UNSET
    error_description: str | UnsetType = UNSET
