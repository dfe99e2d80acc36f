"""App edges: webhook subscription and upload sessions."""

from __future__ import annotations

from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import ALL_FIELDS, App, AppSubscription, Json, Upload

_OBJECT = "whatsapp_business_account"


def _check_object(call: Call) -> None:
    if call.required("object") != _OBJECT:
        raise invalid(f"Param object must be {_OBJECT}.")


def check_callback(url: str) -> None:
    """Check the form of a callback address. Raises: GraphError 100."""
    if not url.startswith(("https://", "http://")) or len(url) > 2_000:
        raise GraphError(100, message="(#100) Param callback_url must be a valid URL")


async def subscribe(sim: Simulator, call: Call, app: App) -> Json:
    """Verify the callback address by a challenge, then keep it with its fields."""
    _check_object(call)
    url = call.required("callback_url")
    check_callback(url)
    verify_token = call.required("verify_token")
    fields = call.document("fields")
    names = (
        fields
        if isinstance(fields, list)
        else [name.strip() for name in (call.text("fields") or "").split(",")]
    )
    wanted = [str(name) for name in names if name]
    for name in wanted:
        if name not in ALL_FIELDS:
            raise GraphError(
                100, message=f'(#100) Param fields[0] must be one of the known fields - got "{name}".'
            )
    await sim.callbacks.verify(url, verify_token)
    kept = app.subscription.fields if app.subscription is not None and not wanted else wanted
    app.subscription = AppSubscription(callback_url=url, verify_token=verify_token, fields=kept)
    sim.world.save(app)
    await sim.store.commit()
    return {"success": True}


async def list_subscriptions(_sim: Simulator, _call: Call, app: App) -> Json:
    """List the app's subscription."""
    if app.subscription is None:
        return {"data": []}
    return {
        "data": [
            {
                "object": _OBJECT,
                "callback_url": app.subscription.callback_url,
                "active": True,
                "fields": [{"name": name, "version": "v25.0"} for name in app.subscription.fields],
            }
        ]
    }


async def unsubscribe(sim: Simulator, call: Call, app: App) -> Json:
    """Drop the app's subscription, or single fields of it."""
    if app.subscription is not None:
        fields = [name for name in (call.text("fields") or "").split(",") if name]
        left = [name for name in app.subscription.fields if name not in fields] if fields else []
        if left:
            app.subscription.fields = left
        else:
            app.subscription = None
        sim.world.save(app)
        await sim.store.commit()
    return {"success": True}


async def get_app(_sim: Simulator, _call: Call, app: App) -> Json:
    """Return the app node."""
    return {"id": app.id, "name": app.name}


async def open_upload(sim: Simulator, call: Call, app: App) -> Json:
    """Open a resumable upload session."""
    try:
        length = int(call.required("file_length"))
    except ValueError as problem:
        raise GraphError(100, message="(#100) Param file_length must be an integer") from problem
    upload = Upload(
        id=f"upload:{sim.world.ids.word(40)}",
        app_id=app.id,
        file_length=length,
        file_type=call.required("file_type"),
        file_name=call.text("file_name") or "",
    )
    sim.world.save(upload)
    await sim.store.commit()
    return {"id": upload.id}


async def send_upload(sim: Simulator, call: Call, upload: Upload) -> Json:
    """Take the bytes of an upload session; the complete file has a handle."""
    try:
        offset = int(call.headers.get("file_offset", "0"))
    except ValueError as problem:
        raise GraphError(100, message="(#100) Header file_offset must be an integer") from problem
    if offset != upload.received:
        raise GraphError(
            100, message=f"(#100) The offset does not match: {upload.received} bytes were received"
        )
    rows = await sim.store.query("select bytes from blobs where id = ?", (upload.id,))
    before = rows[0][0] if rows else b""
    assert isinstance(before, bytes)
    content = before + call.body
    if len(content) > upload.file_length:
        raise GraphError(100, message="(#100) More bytes were sent than file_length announced")
    sim.store.write("insert or replace into blobs (id, bytes) values (?, ?)", (upload.id, content))
    upload.received = len(content)
    if upload.received == upload.file_length and upload.handle is None:
        upload.handle = f"4::{sim.world.ids.word(48)}:{upload.id.removeprefix('upload:')}"
    sim.world.save(upload)
    await sim.store.commit()
    return {"h": upload.handle} if upload.handle else {"id": upload.id, "file_offset": upload.received}


async def get_upload(_sim: Simulator, _call: Call, upload: Upload) -> Json:
    """Return how far an upload session is."""
    return {"id": upload.id, "file_offset": upload.received}
