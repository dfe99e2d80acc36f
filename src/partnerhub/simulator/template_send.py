"""Checking the parameters of a template message against the approved template."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from partnerhub.simulator import content
from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.model import Json, Number, Template
from partnerhub.simulator.review import component, variables
from partnerhub.simulator.world import World

_PARAMETER_TYPES = frozenset(
    {
        "text",
        "currency",
        "date_time",
        "image",
        "video",
        "document",
        "location",
        "payload",
        "coupon_code",
        "action",
        "product",
        "limited_time_offer",
        "order_status",
        "expiration_time_ms",
        "tap_target_configuration",
    }
)


@lru_cache(maxsize=4_096)
def _names(text: str) -> tuple[str, ...]:
    return tuple(variables(text))


def find(world: World, waba_id: str, message: Json) -> Template:
    """Return the approved template a message names. Raises: GraphError 131008, 132001, 132015, 132016."""
    wanted = message.get("template")
    if not isinstance(wanted, dict):
        raise GraphError(131008, "Required parameter is missing: template.")
    name = wanted.get("name")
    language = wanted.get("language")
    if not isinstance(name, str) or not name:
        raise GraphError(131008, "Required parameter is missing: template['name'].")
    code = language.get("code") if isinstance(language, dict) else None
    if not isinstance(code, str) or not code:
        raise GraphError(131008, "Required parameter is missing: template['language']['code'].")
    template = world.find_template(waba_id, name, code)
    status = template.status if template is not None else ""
    if template is None or status not in {"APPROVED", "PAUSED", "DISABLED"}:
        raise GraphError(132001, f"template name ({name}) does not exist in {code}")
    if status == "PAUSED":
        raise GraphError(132015, f"template ({name}) is paused due to low quality")
    if status == "DISABLED":
        raise GraphError(132016, f"template ({name}) is disabled due to low quality")
    return template


def check(world: World, number: Number, template: Template, message: Json) -> None:
    """Check the components of a template message. Raises: GraphError 132000, 132012, 131008, 131009."""
    given: dict[str, list[Any]] = {"HEADER": [], "BODY": []}  # Any: JSON of the sender
    buttons: dict[int, list[Any]] = {}  # Any: as above
    components = message["template"].get("components") or []
    if not isinstance(components, list):
        raise GraphError(131009, "Parameter template['components']: must be an array.")
    for part in components:
        if not isinstance(part, dict):
            raise GraphError(131009, "Parameter template['components']: must hold JSON objects.")
        kind = str(part.get("type", "")).upper()
        parameters = part.get("parameters") or []
        if not isinstance(parameters, list):
            raise GraphError(131009, "Parameter template['components']['parameters']: must be an array.")
        if kind in given:
            given[kind] = parameters
        elif kind == "BUTTON":
            try:
                buttons[int(part.get("index", 0))] = parameters
            except (TypeError, ValueError) as problem:
                raise GraphError(131009, "Parameter button['index']: must be a number.") from problem
        for parameter in parameters:
            named = parameter.get("type") if isinstance(parameter, dict) else None
            if not isinstance(named, str) or named not in _PARAMETER_TYPES:
                raise GraphError(
                    131009, f"Parameter template['components']: unknown parameter type in {kind}."
                )
    _check_header(world, number, template, given["HEADER"])
    body = component(template, "BODY")
    expected = _names(str(body.get("text") or "")) if body is not None else ()
    if template.category == "AUTHENTICATION" and not expected:
        expected = ("1",)  # the code; Meta writes the text of these templates itself
    _check_count("body", template, expected, given["BODY"])
    _check_buttons(template, buttons)


def _check_count(
    where: str, template: Template, expected: tuple[str, ...], given: list[Any]
) -> None:  # Any: JSON
    if len(given) != len(expected):
        raise GraphError(
            132000,
            f"{where}: number of localizable_params ({len(given)}) does not match the expected number of "
            f"params ({len(expected)})",
        )
    if template.parameter_format == "NAMED":
        names = {parameter.get("parameter_name") for parameter in given}
        for name in expected:
            if name not in names:
                raise GraphError(100, f"Parameter name is missing or empty: {where}: {name}.")
    for parameter in given:
        if parameter["type"] == "text" and not parameter.get("text"):
            raise GraphError(131008, f"Required parameter is missing: {where}: text.")


def _check_header(
    world: World, number: Number, template: Template, given: list[Any]
) -> None:  # Any: JSON of the sender
    header = component(template, "HEADER")
    kind = str(header.get("format", "")).upper() if header is not None else ""
    if kind in {"IMAGE", "VIDEO", "DOCUMENT"}:
        wanted = kind.lower()
        if len(given) != 1 or given[0].get("type") != wanted:
            got = str(given[0].get("type", "")).upper() if given else "UNKNOWN"
            raise GraphError(132012, f"header: Format mismatch, expected {kind}, received {got}")
        media = given[0].get(wanted)
        if not isinstance(media, dict):
            raise GraphError(131008, f"Required parameter is missing: header: {wanted}.")
        content.check_media(world, number, wanted, media, f"header['{wanted}']")
    elif kind == "LOCATION":
        if len(given) != 1 or given[0].get("type") != "location":
            raise GraphError(132012, "header: Format mismatch, expected LOCATION")
    else:
        expected = _names(str((header or {}).get("text") or ""))
        _check_count("header", template, expected, given)


def _check_buttons(template: Template, given: dict[int, list[Any]]) -> None:  # Any: JSON of the sender
    block = component(template, "BUTTONS")
    for index, button in enumerate((block or {}).get("buttons") or []):
        kind = str(button.get("type", "")).upper()
        needs = kind in {"COPY_CODE", "OTP"} or (kind == "URL" and bool(_names(str(button.get("url") or ""))))
        if needs and not given.get(index):
            raise GraphError(
                131008,
                f"Required parameter is missing: button at index {index} of type {kind} needs a parameter.",
            )
    known = len((block or {}).get("buttons") or [])
    for index in given:
        if index >= max(known, 1 if template.category == "AUTHENTICATION" else 0):
            raise GraphError(132012, f"button: there is no button at index {index}")
