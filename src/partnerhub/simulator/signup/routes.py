"""Routes of Embedded Signup: `sdk.js`, the dialog page, and the calls its buttons make."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody

from partnerhub.kit.errors import Invalid, NotFound
from partnerhub.simulator import pages
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.model import App, Business, Json, Number, PreverifiedNumber, Waba
from partnerhub.simulator.signup import flow

_LISTED = 50
_FEATURES: dict[str, flow.FinishEvent] = {
    "only_waba_sharing": "FINISH_ONLY_WABA",
    "whatsapp_business_app_onboarding": "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING",
}


class CodeRequest(msgspec.Struct, kw_only=True):
    """Ask for a verification code."""

    phone_number: str
    waba_id: str | None = None
    method: str = "SMS"


class CodeCheck(msgspec.Struct, kw_only=True):
    """Check a verification code."""

    phone_number: str
    code: str


@get("/sdk.js", media_type="text/javascript")
async def sdk() -> Response[bytes]:
    """Serve the script that stands in for Meta's JavaScript SDK."""
    return Response(
        (pages.STATIC_FOLDER / "sdk.js").read_bytes(),
        media_type="text/javascript",
        headers={
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
            "cache-control": "no-store",
        },
    )


@get("/dialog/oauth", media_type=MediaType.HTML)
async def dialog(
    *,
    sim: NamedDependency[Simulator],
    client_id: FromQuery[str | None] = None,
    config_id: FromQuery[str] = "",
    response_type: FromQuery[str] = "code",
    extras: FromQuery[str] = "{}",
    origin: FromQuery[str] = "",
    channel: FromQuery[str] = "",
) -> Response[str]:
    """Show the sign-up dialog, filled in from `extras.setup`."""
    app = sim.world.table(App).get(client_id or "")
    if app is None:
        raise NotFound("Invalid App ID: The provided app ID does not look like a valid app ID.")
    if origin and app.allowed_domains and origin not in app.allowed_domains:
        raise Invalid(f"JSSDK Option is Not Toggled: {origin} is not an allowed domain of this app.")
    if response_type != "code":
        raise Invalid("Embedded Signup needs response_type code.")
    return pages.page(
        "dialog.html",
        app=app,
        cancel_steps=flow.CANCEL_STEPS,
        finish_events=flow.FINISH_EVENTS,
        setup=_setup(sim, app, _extras(extras), config_id=config_id, origin=origin, channel=channel),
    )


def _extras(text: str) -> Json:
    try:
        extras: Any = msgspec.json.decode(text)  # Any: JSON of the embedding page
    except msgspec.DecodeError as problem:
        raise Invalid("extras is not JSON.") from problem
    return extras if isinstance(extras, dict) else {}


def _setup(sim: Simulator, app: App, extras: Json, *, config_id: str, origin: str, channel: str) -> Json:
    """Return what the dialog's script needs to know."""
    world = sim.world
    prefill = extras.get("setup")
    prefill = prefill if isinstance(prefill, dict) else {}
    preverified = prefill.get("preVerifiedPhone")
    ids = preverified.get("ids") if isinstance(preverified, dict) else None
    wanted = [str(one) for one in ids] if isinstance(ids, list) else []
    version = extras.get("version") or extras.get("sessionInfoVersion") or 3
    businesses = [one for one in world.table(Business).values() if one.id != sim.config.business_id]
    listed = {one.id for one in businesses[-_LISTED:]}
    wabas = [one for one in world.table(Waba).values() if one.business_id in listed]
    waba_ids = {one.id for one in wabas}
    return {
        "appId": app.id,
        "configId": config_id,
        "origin": origin,
        "channel": channel,
        "event": _FEATURES.get(str(extras.get("featureType") or ""), "FINISH"),
        "version": int(version) if str(version).isdigit() else str(version),
        "prefill": prefill,
        "businesses": [{"id": one.id, "name": one.name} for one in businesses[-_LISTED:]],
        "wabas": [{"id": one.id, "name": one.name, "businessId": one.business_id} for one in wabas],
        "numbers": [
            {
                "id": one.id,
                "label": one.display_phone_number,
                "name": one.verified_name,
                "wabaId": one.waba_id,
            }
            for one in world.table(Number).values()
            if one.waba_id in waba_ids
        ],
        "preverified": [
            {"id": one.id, "label": f"+{one.digits}"}
            for one in world.table(PreverifiedNumber).values()
            if one.id in wanted and one.claimed_by is None
        ],
    }


@post("/dialog/code", status_code=200)
async def send_code(sim: NamedDependency[Simulator], data: JSONBody[CodeRequest]) -> Json:
    """ "Send" a verification code; the page shows it as the text message it would be."""
    digits = flow.check_number(sim, data.phone_number, waba_id=data.waba_id)
    return {"digits": digits, "code": flow.verification_code(sim, digits)}


@post("/dialog/verify", status_code=200)
async def verify(sim: NamedDependency[Simulator], data: JSONBody[CodeCheck]) -> Json:
    """Check a verification code before the dialog goes on."""
    digits = flow.digits_of(data.phone_number)
    if data.code.replace("-", "").strip() != flow.verification_code(sim, digits):
        raise Invalid("That code is not right. Check it and try again.", fields={"code": "wrong"})
    return {"is_verified": True}


@post("/dialog/finish", status_code=200)
async def finish(sim: NamedDependency[Simulator], data: JSONBody[flow.Finish]) -> flow.Finished:
    """Make the assets and return code and message."""
    return await flow.finish(sim, data)


HANDLERS = [sdk, dialog, send_code, verify, finish]
