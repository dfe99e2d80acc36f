"""Media edges: upload, metadata, download, delete."""

from __future__ import annotations

from partnerhub.simulator import media as files
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid, unknown_object
from partnerhub.simulator.graph import access
from partnerhub.simulator.graph.call import Call, Reply
from partnerhub.simulator.model import Json, Media, Number

FAILURES = 5
BLOCK_SECONDS = 3_600.0


async def upload(sim: Simulator, call: Call, number: Number) -> Json:
    """Take a file as multipart and give it an id."""
    params = call.params()
    if params.get("messaging_product") != "whatsapp":
        raise invalid("Param messaging_product must be whatsapp.")
    part = call.files.get("file")
    if part is None:
        raise GraphError(100, message="(#100) The parameter file is required.")
    declared = str(params.get("type") or part.content_type)
    mime_type = declared if "/" in declared else part.content_type
    limit = files.LIMITS.get(files.bare_type(mime_type))
    if limit is None:
        raise GraphError(
            100,
            message=f"(#100) Param file must be a file with one of the supported types. Received {mime_type}",
        )
    if not part.content:
        raise GraphError(100, message="(#100) The file is empty.")
    if len(part.content) > limit:
        raise GraphError(131053, f"Files of type {mime_type} have at most {limit} bytes.")
    kept = files.keep(
        sim.world, number=number, content=part.content, mime_type=mime_type, filename=part.filename
    )
    await sim.store.commit()
    return {"id": kept.id}


def _guard(sim: Simulator, number: Number | None) -> None:
    """Refuse while a number is blocked for too many failed reads."""
    if number is None or not sim.world.rules.media_guard:
        return
    now = sim.world.clock.time()
    number.media_failures = [moment for moment in number.media_failures if now - moment < BLOCK_SECONDS]
    if len(number.media_failures) > FAILURES:
        raise GraphError(80007, message="(#80007) Too many failed media requests; try again in an hour.")


def _failed(sim: Simulator, number: Number | None) -> None:
    if number is not None:
        number.media_failures.append(sim.world.clock.time())
        sim.world.save(number)


def asking(sim: Simulator, call: Call) -> Number | None:
    """Return the number that a call says it asks for."""
    return sim.world.table(Number).get(call.query.get("phone_number_id", ""))


def count_unknown(sim: Simulator, call: Call) -> None:
    """Count a read of an id that does not exist against the number that asked. Raises: GraphError 80007."""
    number = asking(sim, call)
    _guard(sim, number)
    _failed(sim, number)


async def metadata(sim: Simulator, call: Call, media: Media) -> Json:
    """Return a fresh address and the facts of a file."""
    number = asking(sim, call) or sim.world.table(Number).get(media.number_id)
    _guard(sim, number)
    wanted = call.query.get("phone_number_id")
    if files.has_expired(sim.world, media) or (wanted and wanted != media.number_id):
        _failed(sim, number)
        raise unknown_object(media.id)
    return {
        "messaging_product": "whatsapp",
        "url": files.url(sim.world, media),
        "mime_type": media.mime_type,
        "sha256": media.sha256,
        "file_size": media.file_size,
        "id": media.id,
    }


async def delete(sim: Simulator, call: Call, media: Media) -> Json:
    """Delete a file."""
    wanted = call.query.get("phone_number_id")
    if wanted and wanted != media.number_id:
        raise unknown_object(media.id, "delete")
    sim.world.delete(media)
    sim.store.write("delete from blobs where id = ?", (media.id,))
    await sim.store.commit()
    return {"success": True}


async def download(sim: Simulator, call: Call) -> Reply:
    """Give out the bytes behind a signed address, to a token that may see them."""
    world = sim.world
    token = access.authenticate(world, call)
    media_id = call.query.get("mid", "")
    media = world.table(Media).get(media_id)
    number = world.table(Number).get(media.number_id) if media is not None else None
    _guard(sim, number)
    valid = files.is_url_valid(world, media_id, call.query.get("ext", ""), call.query.get("hash", ""))
    content = await files.read(world, media) if media is not None and valid else None
    if media is None or content is None:
        _failed(sim, number)
        return Reply(status=404, body=b"URL signature expired", content_type="text/plain")
    access.authorize(world, token, media, edge="", method="get")
    return Reply(
        body=content,
        content_type=media.mime_type,
        headers=[(b"content-disposition", b"attachment"), (b"x-content-type-options", b"nosniff")],
    )
