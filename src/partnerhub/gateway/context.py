"""What handlers work with: the domain's flows, and the values that the operator set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from partnerhub.gateway.asgi import Request
from partnerhub.gateway.dialects import Dialect, Style, not_available, rate_limited
from partnerhub.gateway.dialects import disabled as number_disabled
from partnerhub.gateway.groups import GroupBook
from partnerhub.gateway.limits import Rate
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.messaging.services import Callbacks, LiveRoute, RouteBook, Sends
from partnerhub.meta.graph import Graph
from partnerhub.meta.media import MediaCalls

MOST_JSON_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """Values from the settings. `app_secrets` all verify callbacks; `gateway_url` is this host's own address.

    `allow_loopback` and a `metrics_token` follow `development` and `metrics_token` of the settings.
    """

    graph_url: str
    graph_version: str
    media_url: str
    gateway_url: str
    app_id: str
    app_secrets: tuple[str, ...] = field(repr=False)
    verify_token: str = field(repr=False)
    system_token: str = field(repr=False)
    error_style: Style = Style.UNION
    rewrite_media_urls: bool = False
    allow_loopback: bool = False
    block_free_at_zero: bool = False
    metrics_token: str = field(default="", repr=False)
    trusted_proxies: tuple[str, ...] = ()
    most_requests: int = 2_000
    most_callbacks: int = 500
    most_bodies_of_one_sender: int = 100
    callback_body_seconds: float = 10.0
    body_seconds: float = 20.0
    meta_answer_seconds: float = 20.0
    messages_per_second: float = 1_000.0
    configurations_per_second: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Context:
    """One process's gateway."""

    config: GatewayConfig
    database: Database
    keyring: Keyring
    graph: Graph
    media: MediaCalls
    routes: RouteBook
    sends: Sends
    callbacks: Callbacks
    groups: GroupBook
    message_rate: Rate
    configuration_rate: Rate


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known channel: `params` are the parts of its path."""

    request: Request
    live: LiveRoute
    params: dict[str, str]
    dialect: Dialect

    @property
    def actor(self) -> Actor:
        """Who does it, for the audit log."""
        return Actor(
            kind=ActorKind.KEY,
            id=self.live.route.channel_id,
            name="channel key",
            ip=self.request.ip,
            user_agent=self.request.header(b"user-agent"),
            request_id=self.request.id,
        )

    @property
    def phone_path(self) -> str:
        """The number's node in Graph paths."""
        return f"/{self.live.route.phone_number_id}"


def check_number(live: LiveRoute) -> None:
    """Refuse to send for a number that is cancelled or not running yet. Raises: Refused."""
    route = live.route
    if route.hub_status == "terminated":
        raise number_disabled()
    if not route.may_send:
        raise not_available()


def check_rate(rate: Rate, live: LiveRoute) -> None:
    """Take a token of the channel. Raises: Refused."""
    if not rate.take(live.route.channel_id):
        raise rate_limited()
