"""Who asks: tokens, scopes and the assets a token may see."""

from __future__ import annotations

import hmac
from hashlib import sha256

from partnerhub.simulator.errors import GraphError, unknown_object
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import (
    BUSINESS,
    MANAGEMENT,
    MESSAGING,
    Allocation,
    App,
    Business,
    Entity,
    Media,
    Number,
    PreverifiedNumber,
    Template,
    Token,
    Upload,
    Waba,
)
from partnerhub.simulator.world import World

MESSAGING_EDGES = frozenset({"messages", "marketing_messages", "media", "calls", "block_users", "groups"})


def bearer(call: Call) -> str | None:
    """Return the token of a call: header `Bearer` or `OAuth`, else the parameter `access_token`."""
    header = call.headers.get("authorization", "")
    kind, _, value = header.partition(" ")
    if kind.lower() in {"bearer", "oauth"} and value.strip():
        return value.strip()
    if token := call.query.get("access_token"):
        return token
    if call.body and "json" not in call.headers.get("content-type", "json"):
        return call.text("access_token")
    return None


def app_token(world: World, token: str) -> Token | None:
    """Return the application token `{app id}|{secret}`, None when it is not one."""
    app_id, bar, secret = token.partition("|")
    app = world.table(App).get(app_id) if bar else None
    if app is None or not hmac.compare_digest(app.secret.encode(), secret.encode()):
        return None
    return Token(id=token, app_id=app.id, user_id="", type="APP", scopes=[])


def find_token(world: World, text: str) -> Token | None:
    """Return the token, whether stored or an application token."""
    return world.table(Token).get(text) or app_token(world, text)


def authenticate(world: World, call: Call) -> Token:
    """Return the valid token of a call. Raises: GraphError 190."""
    text = bearer(call)
    if text is None:
        raise GraphError(190, message="An access token is required to request this resource.")
    token = world.table(Token).get(text) or app_token(world, text)
    if token is None:
        raise GraphError(190, message="Invalid OAuth access token - Cannot parse access token")
    if not token.is_valid or (token.expires_at and token.expires_at <= world.clock.time()):
        raise expired()
    proof = call.query.get("appsecret_proof")
    if proof is not None:
        secret = world.get(App, token.app_id).secret
        if not hmac.compare_digest(proof, hmac.new(secret.encode(), text.encode(), sha256).hexdigest()):
            raise GraphError(100, message="Invalid appsecret_proof provided in the API argument")
    return token


def expired() -> GraphError:
    """Make the answer to an expired or revoked token."""
    return GraphError(
        190,
        message="Error validating access token: Session has expired. Please generate a new access token.",
        subcode=463,
    )


def waba_of(world: World, node: Entity) -> Waba | None:
    """Return the WABA a node belongs to."""
    match node:
        case Waba():
            return node
        case Number() | Template():
            return world.table(Waba).get(node.waba_id)
        case Media():
            number = world.table(Number).get(node.number_id)
            return world.table(Waba).get(number.waba_id) if number is not None else None
        case _:
            return None


def authorize(world: World, token: Token, node: Entity, *, edge: str, method: str) -> None:
    """Check that a token may use a node and edge.

    Raises: GraphError 100/33 for an asset it cannot see, 10 for a scope it lacks.
    """
    if isinstance(node, (App, Upload)):
        app_id = node.id if isinstance(node, App) else node.app_id
        if token.app_id != app_id:
            raise unknown_object(node.id, method)
        return
    if token.type == "APP":
        raise GraphError(
            200, message="(#200) Provide valid app ID or a user or system user access token for this call."
        )
    if isinstance(node, (Business, PreverifiedNumber, Allocation)):
        if token.targets is not None and token.business_id != node.id:
            raise unknown_object(node.id, method)
        _need(token, BUSINESS, MANAGEMENT)
        return
    waba = waba_of(world, node)
    if waba is None or (token.targets is not None and waba.id not in token.targets):
        raise unknown_object(node.id, method)
    if isinstance(node, Media) or (isinstance(node, Number) and edge in MESSAGING_EDGES):
        _need(token, MESSAGING)
    else:
        _need(token, MANAGEMENT)


def _need(token: Token, *scopes: str) -> None:
    if not any(scope in token.scopes for scope in scopes):
        raise GraphError(10, f"The token lacks the permission {scopes[0]}.")
