"""What a message may contain: Meta's checks of each message type before it is accepted.

Source: Meta's message reference and its limits for interactive messages, as of March 2026. Links are not
fetched; media ids must exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.media import bare_type
from partnerhub.simulator.model import Json, Media, Number
from partnerhub.simulator.world import World

TEXT_LENGTH = 4_096
CAPTION_LENGTH = 1_024
OPAQUE_LENGTH = 512
MEDIA_TYPES = frozenset({"image", "audio", "video", "document", "sticker"})


def _missing(path: str) -> GraphError:
    return GraphError(131008, f"Required parameter is missing: {path}.")


def _value(path: str, rule: str) -> GraphError:
    return GraphError(131009, f"Parameter {path}: {rule}.")


def _object(holder: Json, name: str, path: str) -> Json:
    value = holder.get(name)
    if value is None:
        raise _missing(path)
    if not isinstance(value, dict):
        raise _value(path, "must be a JSON object")
    return value


def _items(
    holder: Json, name: str, path: str, *, most: int | None = None
) -> list[Any]:  # Any: checked by callers
    value = holder.get(name)
    if value is None:
        raise _missing(path)
    if not isinstance(value, list) or not value:
        raise _value(path, "must be a non-empty array")
    if most is not None and len(value) > most:
        raise _value(path, f"must have at most {most} entries")
    return value


def _text(holder: Json, name: str, path: str, *, most: int, needed: bool = True) -> str:
    value = holder.get(name)
    if value is None or value == "":
        if needed:
            raise _missing(path)
        return ""
    if not isinstance(value, str):
        raise _value(path, "must be text")
    if len(value) > most:
        raise GraphError(100, f"Param {path} must be at most {most} characters long.")
    return value


def check(world: World, number: Number, kind: str, message: Json) -> None:
    """Check the payload of one message. Raises: GraphError 100, 131008, 131009, 131051."""
    checker = _CHECKS.get(kind)
    if checker is None:
        names = ", ".join(sorted(name.upper() for name in (*_CHECKS, "template")))
        raise GraphError(100, message=f'(#100) Param type must be one of {{{names}}} - got "{kind}".')
    checker(world, number, message)


def _check_text(_world: World, _number: Number, message: Json) -> None:
    _text(_object(message, "text", "text"), "body", "text['body']", most=TEXT_LENGTH)


def check_media(world: World, number: Number, kind: str, holder: Json, path: str) -> None:
    """Check one media object: a link, or the id of a file that this number uploaded and of that kind."""
    media_id, link = holder.get("id"), holder.get("link")
    if not media_id and not link:
        raise _missing(f"{path}['id'] or {path}['link']")
    if media_id:
        found = world.table(Media).get(str(media_id))
        if found is None or found.number_id != number.id:
            raise _value(f"{path}['id']", f"media {media_id} does not exist")
        if not _is_kind(found.mime_type, kind):
            raise GraphError(131053, f"Media of type {found.mime_type} cannot be sent as {kind}.")
    elif not isinstance(link, str) or not link.startswith(("https://", "http://")):
        raise _value(f"{path}['link']", "must be an http or https URL")
    _text(holder, "caption", f"{path}['caption']", most=CAPTION_LENGTH, needed=False)


def _is_kind(mime_type: str, kind: str) -> bool:
    """Say whether a file can be sent as this; documents may be anything, stickers are WebP only."""
    mime_type = bare_type(mime_type)
    match kind:
        case "document":
            return True
        case "sticker":
            return mime_type == "image/webp"
        case "image":
            return mime_type in {"image/jpeg", "image/png"}
        case _:
            return mime_type.startswith(f"{kind}/")


def _media(kind: str) -> Callable[[World, Number, Json], None]:
    def checker(world: World, number: Number, message: Json) -> None:
        check_media(world, number, kind, _object(message, kind, kind), kind)

    return checker


def _number_in(holder: Json, name: str, path: str, *, low: float, high: float) -> None:
    value = holder.get(name)
    if value is None:
        raise _missing(path)
    try:
        fits = low <= float(value) <= high
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise _value(path, f"must be a number from {low} to {high}")


def _check_location(_world: World, _number: Number, message: Json) -> None:
    location = _object(message, "location", "location")
    _number_in(location, "latitude", "location['latitude']", low=-90, high=90)
    _number_in(location, "longitude", "location['longitude']", low=-180, high=180)


def _check_contacts(_world: World, _number: Number, message: Json) -> None:
    for place, entry in enumerate(_items(message, "contacts", "contacts", most=257)):
        if not isinstance(entry, dict):
            raise _value(f"contacts[{place}]", "must be a JSON object")
        name = _object(entry, "name", f"contacts[{place}]['name']")
        _text(name, "formatted_name", f"contacts[{place}]['name']['formatted_name']", most=1_024)


def _check_reaction(_world: World, _number: Number, message: Json) -> None:
    reaction = _object(message, "reaction", "reaction")
    _text(reaction, "message_id", "reaction['message_id']", most=1_024)
    emoji = reaction.get("emoji")
    if emoji is None:
        raise _missing("reaction['emoji']")
    if (
        not isinstance(emoji, str)
        or len(emoji.encode()) > 40
        or any(character.isalnum() for character in emoji)
    ):
        raise _value("reaction['emoji']", "must be one emoji, or empty to remove the reaction")


def _check_interactive(world: World, number: Number, message: Json) -> None:
    interactive = _object(message, "interactive", "interactive")
    kind = _text(interactive, "type", "interactive['type']", most=64)
    if kind not in _INTERACTIVE:
        raise _value("interactive['type']", f"{kind} is not an interactive message type")
    if header := interactive.get("header"):
        if not isinstance(header, dict):
            raise _value("interactive['header']", "must be a JSON object")
        shape = str(header.get("type", ""))
        if shape == "text":
            _text(header, "text", "interactive['header']['text']", most=60)
        elif shape in MEDIA_TYPES:
            holder = _object(header, shape, f"interactive['header']['{shape}']")
            check_media(world, number, shape, holder, "header")
        else:
            raise _value("interactive['header']['type']", "must be text, image, video or document")
    if kind not in _BODY_OPTIONAL or interactive.get("body"):
        body = _object(interactive, "body", "interactive['body']")
        _text(body, "text", "interactive['body']['text']", most=4_096 if kind == "list" else 1_024)
    if interactive.get("footer"):
        footer = _object(interactive, "footer", "interactive['footer']")
        _text(footer, "text", "interactive['footer']['text']", most=60)
    _INTERACTIVE[kind](_object(interactive, "action", "interactive['action']"))


def _check_buttons(action: Json) -> None:
    seen = set()
    for place, button in enumerate(_items(action, "buttons", "interactive['action']['buttons']", most=3)):
        path = f"interactive['action']['buttons'][{place}]"
        if not isinstance(button, dict) or button.get("type") != "reply":
            raise _value(f"{path}['type']", "must be reply")
        reply = _object(button, "reply", f"{path}['reply']")
        identity = _text(reply, "id", f"{path}['reply']['id']", most=256)
        title = _text(reply, "title", f"{path}['reply']['title']", most=20)
        if identity in seen or title in seen:
            raise _value(path, "ids and titles of buttons must be unique")
        seen |= {identity, title}


def _check_list(action: Json) -> None:
    _text(action, "button", "interactive['action']['button']", most=20)
    sections = _items(action, "sections", "interactive['action']['sections']", most=10)
    rows = 0
    seen = set()
    for place, section in enumerate(sections):
        path = f"interactive['action']['sections'][{place}]"
        if not isinstance(section, dict):
            raise _value(path, "must be a JSON object")
        _text(section, "title", f"{path}['title']", most=24, needed=len(sections) > 1)
        for row in _items(section, "rows", f"{path}['rows']"):
            rows += 1
            if not isinstance(row, dict):
                raise _value(f"{path}['rows']", "must hold JSON objects")
            identity = _text(row, "id", f"{path}['rows']['id']", most=200)
            _text(row, "title", f"{path}['rows']['title']", most=24)
            _text(row, "description", f"{path}['rows']['description']", most=72, needed=False)
            if identity in seen:
                raise _value(f"{path}['rows']['id']", "ids of rows must be unique")
            seen.add(identity)
    if rows > 10:
        raise _value("interactive['action']['sections']", "must have at most 10 rows over all sections")


def _check_cta_url(action: Json) -> None:
    parameters = _object(action, "parameters", "interactive['action']['parameters']")
    _text(parameters, "display_text", "interactive['action']['parameters']['display_text']", most=20)
    url = _text(parameters, "url", "interactive['action']['parameters']['url']", most=2_000)
    if not url.startswith(("https://", "http://")):
        raise _value("interactive['action']['parameters']['url']", "must be an http or https URL")


def _check_carousel(action: Json) -> None:
    for place, card in enumerate(_items(action, "cards", "interactive['action']['cards']", most=10)):
        body = card.get("body") if isinstance(card, dict) else None
        if isinstance(body, dict):
            text = _text(body, "text", f"cards[{place}]['body']['text']", most=160)
            if text.count("\n") > 2:
                raise _value(f"cards[{place}]['body']['text']", "must have at most 2 line breaks")


def _check_named(action: Json) -> None:
    _text(action, "name", "interactive['action']['name']", most=64)


def _check_any(_action: Json) -> None:
    return


def _check_product(action: Json) -> None:
    _text(action, "catalog_id", "interactive['action']['catalog_id']", most=64)
    _text(action, "product_retailer_id", "interactive['action']['product_retailer_id']", most=256)


def _check_product_list(action: Json) -> None:
    _text(action, "catalog_id", "interactive['action']['catalog_id']", most=64)
    _items(action, "sections", "interactive['action']['sections']", most=10)


_BODY_OPTIONAL = frozenset({"catalog_message", "carousel", "order_status", "product"})

_INTERACTIVE: dict[str, Callable[[Json], None]] = {
    "button": _check_buttons,
    "list": _check_list,
    "cta_url": _check_cta_url,
    "flow": _check_named,
    "product": _check_product,
    "product_list": _check_product_list,
    "catalog_message": _check_named,
    "location_request_message": _check_named,
    "address_message": _check_named,
    "order_details": _check_named,
    "order_status": _check_named,
    "voice_call": _check_named,
    "call_permission_request": _check_named,
    "carousel": _check_carousel,
    "request_contact_info": _check_any,
}

_CHECKS: dict[str, Callable[[World, Number, Json], None]] = {
    "text": _check_text,
    "image": _media("image"),
    "audio": _media("audio"),
    "video": _media("video"),
    "document": _media("document"),
    "sticker": _media("sticker"),
    "location": _check_location,
    "contacts": _check_contacts,
    "reaction": _check_reaction,
    "interactive": _check_interactive,
}
