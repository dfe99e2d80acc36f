"""Tokens: `/oauth/access_token`, `/debug_token`, `/me`."""

from __future__ import annotations

import hmac

from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.graph import access
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import MANAGEMENT, MESSAGING, App, Json, SignupCode, Token


async def access_token(sim: Simulator, call: Call) -> Json:
    """Exchange a code of Embedded Signup, or give the application token."""
    world = sim.world
    client_id = call.required("client_id")
    app = world.table(App).get(client_id)
    if app is None:
        raise GraphError(
            101, message="Error validating application. Cannot get application info due to a system error."
        )
    if not hmac.compare_digest(app.secret.encode(), call.required("client_secret").encode()):
        raise GraphError(1, message="Error validating client secret.")
    if call.text("grant_type") == "client_credentials":
        return {"access_token": f"{app.id}|{app.secret}", "token_type": "bearer"}
    code = world.table(SignupCode).get(call.required("code"))
    if code is None or code.app_id != app.id:
        raise GraphError(100, message="Invalid verification code format.")
    if code.is_used:
        raise GraphError(100, message="This authorization code has been used.", subcode=36009)
    if code.expires_at <= world.clock.time():
        raise GraphError(100, message="This authorization code has expired.", subcode=36007)
    code.is_used = True
    world.save(code)
    token = Token(
        id=f"EAA{world.ids.word(60)}",
        app_id=app.id,
        user_id=code.user_id,
        scopes=[MANAGEMENT, MESSAGING],
        targets=list(code.waba_ids),
        issued_at=world.clock.time(),
        business_id=code.business_id,
    )
    world.save(token)
    await sim.store.commit()
    return {"access_token": token.id, "token_type": "bearer"}


async def debug_token(sim: Simulator, call: Call) -> Json:
    """Describe a token to its own app."""
    world = sim.world
    asker = access.authenticate(world, call)
    text = call.required("input_token")
    token = access.find_token(world, text)
    if token is None or token.app_id != asker.app_id:
        return {
            "data": {
                "error": {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"},
                "is_valid": False,
                "scopes": [],
            }
        }
    now = world.clock.time()
    is_expired = bool(token.expires_at) and token.expires_at <= now
    data: Json = {
        "app_id": token.app_id,
        "type": token.type,
        "application": world.get(App, token.app_id).name,
        "data_access_expires_at": 0,
        "expires_at": int(token.expires_at),
        "is_valid": token.is_valid and not is_expired,
        "issued_at": int(token.issued_at),
        "scopes": token.scopes,
    }
    if token.type != "APP":
        data["user_id"] = token.user_id
        data["granular_scopes"] = [
            {"scope": scope}
            if token.targets is None or scope not in {MANAGEMENT, MESSAGING}
            else {"scope": scope, "target_ids": token.targets}
            for scope in token.scopes
        ]
    if not data["is_valid"]:
        data["error"] = {"code": 190, "message": access.expired().message, "subcode": 463}
    return {"data": data}


async def me(sim: Simulator, call: Call) -> Json:
    """Name the user behind the token."""
    token = access.authenticate(sim.world, call)
    return {"id": token.user_id or token.app_id, "name": "System user"}
