"""From stored messages to what a phone shows: one flat value per bubble.

Messages of a business are kept as they were sent to Graph, those of a customer as the webhook told them.
Templates are filled in here, from the template as it is now.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from partnerhub.simulator.model import Json, Media, Number, Template
from partnerhub.simulator.review import component
from partnerhub.simulator.world import World

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})


class Action(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A button or list row; `answer` is what pressing it sends, `url` where it leads."""

    label: str
    hint: str = ""
    answer: Json | None = None
    url: str = ""


class Attachment(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A file or place."""

    kind: str
    url: str = ""
    name: str = ""


class Bubble(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One message as shown."""

    wamid: str
    is_mine: bool
    at: float
    status: str
    kind: str
    title: str = ""
    text: str = ""
    footer: str = ""
    quoted: str = ""
    reaction: str = ""
    reacts_to: str = ""
    template: str = ""
    attachment: Attachment | None = None
    actions: list[Action] = []
    problem: str = ""


def _as_object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _attachment(world: World, kind: str, media: Json) -> Attachment:
    name = str(media.get("filename") or media.get("caption") or kind)
    media_id = str(media.get("id") or "")
    if media_id and world.table(Media).get(media_id) is not None:
        return Attachment(kind=kind, url=f"/simulator/media/{media_id}", name=name)
    return Attachment(kind="link", url=str(media.get("link") or ""), name=name)


def _place(location: Json) -> Attachment:
    name = str(location.get("name") or location.get("address") or "Location")
    return Attachment(
        kind="location", name=f"{name} ({location.get('latitude')}, {location.get('longitude')})"
    )


def incoming(world: World, number: Number, *, wamid: str, at: float, status: str, message: Json) -> Bubble:
    """Return a business's message as the customer sees it."""
    kind = str(message.get("type") or "text")
    bubble = Bubble(wamid=wamid, is_mine=False, at=at, status=status, kind=kind)
    bubble.quoted = str(_as_object(message.get("context")).get("message_id") or "")
    content = _as_object(message.get(kind))
    reply_to = {"from": number.digits, "id": wamid}
    if kind == "template":
        _fill_template(world, number, bubble, content, reply_to)
    elif kind == "interactive":
        _fill_interactive(world, bubble, content, reply_to)
    elif kind == "reaction":
        bubble.reaction, bubble.reacts_to = str(content.get("emoji") or ""), str(content.get("message_id"))
    elif kind == "contacts":
        bubble.text = _contacts(message.get("contacts"))
    else:
        _fill_plain(world, bubble, kind, content)
    return bubble


def outgoing(world: World, *, wamid: str, at: float, status: str, message: Json) -> Bubble:
    """Return a message of the customer."""
    kind = str(message.get("type") or "text")
    bubble = Bubble(wamid=wamid, is_mine=True, at=at, status=status, kind=kind)
    bubble.quoted = str(_as_object(message.get("context")).get("id") or "")
    content = _as_object(message.get(kind))
    if kind == "interactive":
        reply = _as_object(content.get(str(content.get("type"))))
        bubble.text = str(reply.get("title") or reply.get("body") or reply.get("response") or "")
    elif kind == "button":
        bubble.text = str(content.get("text") or "")
    elif kind == "reaction":
        bubble.reaction, bubble.reacts_to = str(content.get("emoji") or ""), str(content.get("message_id"))
    elif kind == "contacts":
        bubble.text = _contacts(message.get("contacts"))
    else:
        _fill_plain(world, bubble, kind, content)
    return bubble


def _fill_plain(world: World, bubble: Bubble, kind: str, content: Json) -> None:
    if kind == "text":
        bubble.text = str(content.get("body") or "")
    elif kind in _MEDIA:
        bubble.attachment = _attachment(world, kind, content)
        bubble.text = str(content.get("caption") or "")
    elif kind == "location":
        bubble.attachment = _place(content)
    else:
        bubble.text = f"[{kind}]"


def _contacts(entries: object) -> str:
    names = [
        str(_as_object(_as_object(entry).get("name")).get("formatted_name") or "")
        for entry in (entries if isinstance(entries, list) else [])
    ]
    return "Contact: " + ", ".join(name for name in names if name)


def _fill_interactive(world: World, bubble: Bubble, interactive: Json, reply_to: Json) -> None:
    header = _as_object(interactive.get("header"))
    kind = str(header.get("type") or "")
    if kind == "text":
        bubble.title = str(header.get("text") or "")
    elif kind in _MEDIA:
        bubble.attachment = _attachment(world, kind, _as_object(header.get(kind)))
    bubble.text = str(_as_object(interactive.get("body")).get("text") or "")
    bubble.footer = str(_as_object(interactive.get("footer")).get("text") or "")
    action = _as_object(interactive.get("action"))
    match interactive.get("type"):
        case "button":
            for button in action.get("buttons") or []:
                reply = _as_object(button.get("reply"))
                bubble.actions.append(_reply(reply_to, "button_reply", reply, str(reply.get("title") or "")))
        case "list":
            for section in action.get("sections") or []:
                for row in section.get("rows") or []:
                    chosen = _reply(reply_to, "list_reply", row, str(row.get("title") or ""))
                    chosen.hint = str(row.get("description") or "")
                    bubble.actions.append(chosen)
        case "cta_url":
            parameters = _as_object(action.get("parameters"))
            label, url = str(parameters.get("display_text") or ""), str(parameters.get("url") or "")
            bubble.actions.append(Action(label=label, url=url))
        case "location_request_message":
            content = {"latitude": 52.52, "longitude": 13.405, "name": "Berlin"}
            answer = {"type": "location", "content": content, "context": reply_to}
            bubble.actions.append(Action(label="Send location", answer=answer))
        case "flow":
            label = str(_as_object(action.get("parameters")).get("flow_cta") or "Open")
            content = {"name": "flow", "body": "Sent", "response_json": '{"flow_token":"unused"}'}
            bubble.actions.append(_reply(reply_to, "nfm_reply", content, label))
        case "call_permission_request":
            for label, response in (("Allow calls", "accept"), ("Do not allow", "reject")):
                content = {"response": response, "response_source": "user_action"}
                bubble.actions.append(_reply(reply_to, "call_permission_reply", content, label))
        case _:
            bubble.footer = bubble.footer or f"[{interactive.get('type')}]"


def _reply(reply_to: Json, kind: str, content: Json, label: str) -> Action:
    answer = {"type": "interactive", "content": {"type": kind, kind: content}, "context": reply_to}
    return Action(label=label, answer=answer)


def _values(parameters: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, parameter in enumerate(parameters if isinstance(parameters, list) else [], start=1):
        value = _as_object(parameter)
        shown = value.get("text")
        if shown is None:
            inner = _as_object(value.get(str(value.get("type"))))
            shown = inner.get("fallback_value", "")
        found[str(value.get("parameter_name") or place)] = str(shown)
    return found


def _filled(text: object, values: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), str(text or ""))


def _fill_template(world: World, number: Number, bubble: Bubble, sent: Json, reply_to: Json) -> None:
    name, language = str(sent.get("name")), str(_as_object(sent.get("language")).get("code"))
    bubble.template = f"{name} · {language}"
    template = world.find_template(number.waba_id, name, language)
    if template is None:
        bubble.text = f"[template {name}]"
        return
    given: dict[str, Any] = {}  # Any: parameters as sent
    buttons: dict[int, list[Any]] = {}  # Any: as above
    for part in sent.get("components") or []:
        kind = str(part.get("type", "")).upper()
        if kind == "BUTTON":
            buttons[int(part.get("index", 0))] = part.get("parameters") or []
        else:
            given[kind] = part.get("parameters") or []
    _fill_header(world, bubble, template, given.get("HEADER"))
    body, footer = component(template, "BODY"), component(template, "FOOTER")
    values = _values(given.get("BODY"))
    if template.category == "AUTHENTICATION" and not (body or {}).get("text"):
        bubble.text = f"{values.get('1', '')} is your verification code."
    else:
        bubble.text = _filled((body or {}).get("text"), values)
    bubble.footer = str((footer or {}).get("text") or "")
    block = component(template, "BUTTONS")
    for index, button in enumerate((block or {}).get("buttons") or []):
        bubble.actions.append(_template_button(button, buttons.get(index, []), reply_to))


def _fill_header(world: World, bubble: Bubble, template: Template, parameters: object) -> None:
    header = component(template, "HEADER")
    if header is None:
        return
    kind = str(header.get("format", "")).lower()
    first = _as_object(parameters[0]) if isinstance(parameters, list) and parameters else {}
    if kind == "text":
        bubble.title = _filled(header.get("text"), _values(parameters))
    elif kind in _MEDIA:
        bubble.attachment = _attachment(world, kind, _as_object(first.get(kind)))
    elif kind == "location":
        bubble.attachment = _place(_as_object(first.get("location")))


def _template_button(
    button: Json, parameters: list[Any], reply_to: Json
) -> Action:  # Any: parameters as sent
    kind = str(button.get("type", "")).upper()
    label = str(button.get("text") or kind.replace("_", " ").capitalize())
    first = _as_object(parameters[0]) if parameters else {}
    match kind:
        case "QUICK_REPLY":
            payload = str(first.get("payload") or label)
            answer = {"type": "button", "content": {"payload": payload, "text": label}, "context": reply_to}
            return Action(label=label, answer=answer)
        case "URL":
            return Action(label=label, url=_filled(button.get("url"), {"1": str(first.get("text") or "")}))
        case "PHONE_NUMBER":
            return Action(label=label, hint=str(button.get("phone_number") or ""))
        case "COPY_CODE" | "OTP":
            return Action(label=label, hint=str(first.get("coupon_code") or first.get("text") or ""))
        case _:
            return Action(label=label)
