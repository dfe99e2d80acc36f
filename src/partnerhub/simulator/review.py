"""Meta's review of templates: what is checked at creation, what is decided later, what is announced."""

from __future__ import annotations

import re

from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.model import Json, Template
from partnerhub.simulator.world import World

CATEGORIES = frozenset({"AUTHENTICATION", "MARKETING", "UTILITY"})
BUTTON_TYPES = frozenset(
    {
        "QUICK_REPLY",
        "URL",
        "PHONE_NUMBER",
        "COPY_CODE",
        "OTP",
        "FLOW",
        "CATALOG",
        "MPM",
        "SPM",
        "VOICE_CALL",
        "CALL_PERMISSION_REQUEST",
        "ORDER_DETAILS",
        "APP",
        "POSTBACK",
        "REQUEST_CONTACT_INFO",
    }
)
HEADER_FORMATS = frozenset({"TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION", "PRODUCT", "GIF"})

_PAUSES = (("FIRST_PAUSE", 3), ("SECOND_PAUSE", 6))

_NAME = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?")
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_PROMOTION = re.compile(
    r"\b(sale|discount|offer|coupon|promo\w*|deal|% off|buy now|free gift)\b|\d+ ?% ?off", re.IGNORECASE
)


def variables(text: str) -> list[str]:
    """Return the distinct placeholders of a text in order: `1`, `2` or names."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def component(template: Template, kind: str) -> Json | None:
    """Return the first component of a type (`BODY`, `HEADER`, …)."""
    return next((part for part in template.components if str(part.get("type", "")).upper() == kind), None)


def _refuse(subcode: int, title: str, text: str) -> GraphError:
    return GraphError(
        100,
        message="Invalid parameter",
        subcode=subcode,
        user_title=title,
        user_message=text,
        is_messaging=False,
    )


def check_name(name: str, language: str, category: str) -> None:
    """Check what names a template. Raises: GraphError 100."""
    if not _NAME.fullmatch(name):
        raise _refuse(
            2388042, "Invalid name", "Names have up to 512 lower-case letters, digits and underscores."
        )
    if not _LANGUAGE.fullmatch(language):
        raise GraphError(
            100, message=f'(#100) Param language must be a supported language - got "{language}".'
        )
    if category not in CATEGORIES:
        raise GraphError(
            100,
            message='(#100) Param category must be one of {UTILITY, MARKETING, AUTHENTICATION} - got "'
            f'{category}".',
        )


def check_components(components: list[Json], category: str) -> None:
    """Check the parts of a template against Meta's format rules. Raises: GraphError 100 with a subcode."""
    kinds = [str(part.get("type", "")).upper() for part in components]
    known = {
        "HEADER",
        "BODY",
        "FOOTER",
        "BUTTONS",
        "CAROUSEL",
        "LIMITED_TIME_OFFER",
        "CALL_PERMISSION_REQUEST",
    }
    for kind in kinds:
        if kind not in known:
            raise GraphError(100, message=f'(#100) Param components type is not valid - got "{kind}".')
    if "BODY" not in kinds and category != "AUTHENTICATION":
        raise _refuse(2388072, "Body is missing", "A template needs a body.")
    for kind in set(kinds):
        if kinds.count(kind) > 1:
            raise _refuse(2388072, "Component repeated", f"A template has one {kind} at most.")
    for part, kind in zip(components, kinds, strict=True):
        text = str(part.get("text") or "")
        match kind:
            case "HEADER":
                _check_header(part, text)
            case "BODY":
                _check_body(text, category)
            case "FOOTER":
                if len(text) > 60 or _VARIABLE.search(text):
                    raise _refuse(
                        2388073, "Footer format", "A footer has up to 60 characters and no variables."
                    )
            case "BUTTONS":
                _check_buttons(part.get("buttons"))
            case _:
                pass


def _check_header(part: Json, text: str) -> None:
    kind = str(part.get("format", "")).upper()
    if kind not in HEADER_FORMATS:
        raise _refuse(
            2388047,
            "Header format",
            "The header format is not one of TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION.",
        )
    if kind == "TEXT":
        if not text or len(text) > 60 or "\n" in text or len(variables(text)) > 1:
            raise _refuse(
                2388047, "Header format", "A text header has 1 to 60 characters, one line, one variable."
            )
        if variables(text) and not part.get("example"):
            raise _refuse(2388043, "Example is missing", "A header with a variable needs an example.")
    elif kind in {"IMAGE", "VIDEO", "DOCUMENT"} and not part.get("example"):
        raise _refuse(2388043, "Example is missing", "A media header needs an example handle.")


def _check_body(text: str, category: str) -> None:
    if not text:
        if category == "AUTHENTICATION":
            return
        raise _refuse(2388072, "Body format", "The body has no text.")
    if len(text) > 1_024:
        raise _refuse(2388040, "Too long", "The body has more than 1024 characters.")
    if re.search(r"\n{3,}|\t| {5,}", text):
        raise _refuse(
            2388072,
            "Body format",
            "No tabs, no more than four spaces, no more than two line breaks in a row.",
        )
    names = variables(text)
    if names:
        if re.match(r"\s*\{\{", text) or re.search(r"\}\}\s*$", text):
            raise _refuse(
                2388299, "Variable position", "Variables can't be at the start or end of the template."
            )
        words = len(_VARIABLE.sub(" ", text).split())
        if words < 2 * len(names) + 1:
            raise _refuse(2388293, "Too many variables", "The text is too short for its number of variables.")


def _check_buttons(buttons: object) -> None:
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 10:
        raise _refuse(2388072, "Buttons", "A template has 1 to 10 buttons.")
    for button in buttons:
        kind = str(button.get("type", "")).upper() if isinstance(button, dict) else ""
        if kind not in BUTTON_TYPES:
            raise GraphError(100, message=f'(#100) Button type is not valid - got "{kind}".')
        if len(str(button.get("text") or "")) > 25:
            raise _refuse(2388040, "Too long", "A button's text has up to 25 characters.")


def starts_review(world: World, template: Template) -> None:
    """Put a new or edited template under review, or approve it at once when the rule is off."""
    if world.rules.template_review:
        template.status = "PENDING"
        template.review_due = world.clock.time() + world.rules.template_review_seconds
    else:
        template.status = "APPROVED"
        template.review_due = None


def decide(world: World, template: Template) -> list[tuple[str, Json]]:
    """Decide about a template and return the changes to announce, as (field, value)."""
    announced: list[tuple[str, Json]] = []
    decision = template.decision or {}
    template.decision = None
    status = str(decision.get("status", "APPROVED"))
    reason = str(decision.get("reason", "NONE"))
    body = component(template, "BODY")
    text = str((body or {}).get("text") or "")
    category = decision.get("category")
    if (
        category is None
        and world.rules.recategorise
        and template.category == "UTILITY"
        and _PROMOTION.search(text)
    ):
        category = "MARKETING"
    if status == "APPROVED" and category is not None and category != template.category:
        if template.allow_category_change:
            announced.append(("template_category_update", change_category(template, str(category))))
        else:
            status, reason = "REJECTED", "INCORRECT_CATEGORY"
    announced.append(("message_template_status_update", set_status(template, status, reason)))
    world.save(template)
    return announced


def change_category(template: Template, category: str) -> Json:
    """Move a template to another category and return the announcement."""
    template.previous_category, template.category = template.category, category
    return {
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language,
        "previous_category": template.previous_category,
        "new_category": category,
    }


def pause(world: World, template: Template) -> Json:
    """Pause a template for its quality, for three hours, then six; the third time disables it.

    Return the announcement. The caller has the lifecycle end the pause.
    """
    template.pauses += 1
    if template.pauses > len(_PAUSES):
        return set_status(template, "DISABLED", title="DISABLED")
    title, hours = _PAUSES[template.pauses - 1]
    announced = set_status(template, "PAUSED", title=title)
    template.paused_until = world.clock.time() + hours * 3_600.0
    return announced


def unpause(world: World, template: Template) -> Json:
    """End a pause and return the announcement."""
    announced = set_status(template, "APPROVED", title="UNPAUSE")
    world.save(template)
    return announced


def set_status(template: Template, status: str, reason: str = "NONE", *, title: str | None = None) -> Json:
    """Give a template a status and return the announcement."""
    template.status = status
    template.paused_until = None
    template.rejected_reason = reason if status == "REJECTED" else "NONE"
    value: Json = {
        "event": status,
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language,
        "reason": reason,
        "message_template_category": template.category,
    }
    if title is not None:
        value["other_info"] = {"title": title, "description": title.replace("_", " ").capitalize()}
    if status == "REJECTED":
        value["rejection_info"] = {
            "reason": reason,
            "recommendation": "Edit the template and submit it again.",
        }
    return value


def set_quality(template: Template, score: str) -> Json:
    """Give a template a quality score and return the announcement."""
    before, template.quality_score = template.quality_score, score
    return {
        "previous_quality_score": before,
        "new_quality_score": score,
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language,
    }
