"""Stored files: bytes in, a signed address of five minutes out."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlencode

from partnerhub.simulator.model import App, Media, Number
from partnerhub.simulator.world import World

URL_SECONDS = 300.0
KEEP_SECONDS = 30 * 86_400.0
MEGABYTE = 1 << 20
_LONGEST_TIME = 12

LIMITS: dict[str, int] = {
    "image/jpeg": 5 * MEGABYTE,
    "image/png": 5 * MEGABYTE,
    "image/webp": 500 * 1_024,
    "audio/aac": 16 * MEGABYTE,
    "audio/amr": 16 * MEGABYTE,
    "audio/mpeg": 16 * MEGABYTE,
    "audio/mp4": 16 * MEGABYTE,
    "audio/ogg": 16 * MEGABYTE,
    "audio/opus": 16 * MEGABYTE,
    "video/mp4": 16 * MEGABYTE,
    "video/3gp": 16 * MEGABYTE,
    "video/3gpp": 16 * MEGABYTE,
    "text/plain": 100 * MEGABYTE,
    "text/csv": 100 * MEGABYTE,
    "application/pdf": 100 * MEGABYTE,
    "application/json": 100 * MEGABYTE,
    "application/msword": 100 * MEGABYTE,
    "application/vnd.ms-excel": 100 * MEGABYTE,
    "application/vnd.ms-powerpoint": 100 * MEGABYTE,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": 100 * MEGABYTE,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": 100 * MEGABYTE,
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": 100 * MEGABYTE,
}
"""Largest size by type; what is missing here is refused."""


def bare_type(mime_type: str) -> str:
    """Return a mime type without parameters, in lower case."""
    return mime_type.partition(";")[0].strip().lower()


def keep(
    world: World, *, number: Number, content: bytes, mime_type: str, filename: str, is_inbound: bool = False
) -> Media:
    """Store a file; durable with the next commit."""
    media = Media(
        id=world.ids.numeric(16),
        number_id=number.id,
        mime_type=mime_type,
        sha256=hashlib.sha256(content).hexdigest(),
        file_size=len(content),
        filename=filename,
        created_at=world.clock.time(),
        is_inbound=is_inbound,
    )
    world.store.write("insert or replace into blobs (id, bytes) values (?, ?)", (media.id, content))
    world.save(media)
    return media


def _signature(world: World, media_id: str, expiry: int) -> str:
    secret = world.get(App, world.config.app_id).secret
    return hmac.new(f"media:{secret}".encode(), f"{media_id}:{expiry}".encode(), hashlib.sha256).hexdigest()[
        :43
    ]


def url(world: World, media: Media) -> str:
    """Return the download address, good for five minutes of virtual time."""
    expiry = int(world.clock.time() + URL_SECONDS)
    query = urlencode({"mid": media.id, "ext": expiry, "hash": _signature(world, media.id, expiry)})
    return f"{world.config.public_url}/whatsapp_business/attachments/?{query}"


def is_url_valid(world: World, media_id: str, expiry: str, signature: str) -> bool:
    """Return whether the query of a download address was made here and has not expired."""
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= _LONGEST_TIME):
        return False
    if int(expiry) < world.clock.time():
        return False
    return hmac.compare_digest(_signature(world, media_id, int(expiry)).encode(), signature.encode())


async def read(world: World, media: Media) -> bytes | None:
    """Return the bytes of a file, None when they are gone."""
    rows = await world.store.query("select bytes from blobs where id = ?", (media.id,))
    if not rows:
        return None
    content = rows[0][0]
    assert isinstance(content, bytes)
    return content


def has_expired(world: World, media: Media) -> bool:
    """Return whether the thirty days of storage are over."""
    return world.clock.time() - media.created_at > KEEP_SECONDS
