"""`/{waba}/message_templates` and the template node."""

from __future__ import annotations

from typing import Any

from partnerhub.simulator import review
from partnerhub.simulator.config import DAY_SECONDS
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.graph import fields
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import Business, Json, Template, Waba

DEFAULT = (
    "name",
    "parameter_format",
    "components",
    "language",
    "status",
    "category",
    "sub_category",
    "previous_category",
    "id",
)
CREATIONS_AN_HOUR = 100
EDITABLE = frozenset({"APPROVED", "REJECTED", "PAUSED"})

GETTERS: dict[str, fields.Getter[Template]] = {
    "id": lambda template: template.id,
    "name": lambda template: template.name,
    "language": lambda template: template.language,
    "category": lambda template: template.category,
    "status": lambda template: template.status,
    "components": lambda template: template.components,
    "parameter_format": lambda template: template.parameter_format,
    "sub_category": lambda template: template.sub_category,
    "previous_category": lambda template: template.previous_category,
    "degrees_of_freedom_spec": lambda _template: None,
    "correct_category": lambda _template: None,
    "rejected_reason": lambda template: template.rejected_reason,
    "quality_score": lambda template: {"score": template.quality_score, "date": int(template.created_at)},
    "message_send_ttl_seconds": lambda template: template.message_send_ttl_seconds,
    "library_template_name": lambda template: template.library_template_name,
    "cta_url_link_tracking_opted_out": lambda _template: False,
    "is_primary_device_delivery_only": lambda _template: False,
    "last_updated_time": lambda template: fields.graph_time(template.created_at),
}

_FILTERS = ("name", "language", "status", "category", "quality_score")


def _matches(template: Template, call: Call) -> bool:
    for name in _FILTERS:
        wanted = call.query.get(name)
        if not wanted:
            continue
        value = str(getattr(template, name))
        if name == "name":
            if wanted.lower() not in value:
                return False
        elif value.upper() not in wanted.upper().strip("[]").replace('"', "").split(","):
            return False
    text = " ".join(str(part.get("text") or "") for part in template.components).lower()
    if (content := call.query.get("content")) and content.lower() not in text:
        return False
    both = call.query.get("name_or_content")
    return not both or both.lower() in template.name or both.lower() in text


async def list_templates(sim: Simulator, call: Call, waba: Waba) -> Json:
    """List the templates of a WABA, filtered and paged."""
    found = [template for template in sim.world.list_templates(waba.id) if _matches(template, call)]
    items = [
        fields.select(
            template, GETTERS, call.query.get("fields"), default=DEFAULT, node_type="WhatsAppMessageTemplate"
        )
        for template in found
    ]
    answer = fields.page(
        call, items, base_url=sim.config.public_url, keys=[template.id for template in found]
    )
    if "summary" in call.query:
        most = _most_templates(sim, waba)
        numbers = {
            "total_count": len(found),
            "message_template_count": len(sim.world.list_templates(waba.id)),
            "message_template_limit": most,
            "are_translations_complete": True,
        }
        names = [name for name, _ in fields.split_fields(call.query["summary"])]
        answer["summary"] = {name: numbers[name] for name in names if name in numbers}
    return answer


async def get_template(_sim: Simulator, call: Call, template: Template) -> Json:
    """Return the template node."""
    return fields.select(
        template, GETTERS, call.query.get("fields"), default=DEFAULT, node_type="WhatsAppMessageTemplate"
    )


def _components(call: Call) -> list[Json]:
    given: Any = call.document("components")  # Any: JSON of the client, checked below
    if given is None:
        return []
    if not isinstance(given, list) or any(not isinstance(part, dict) for part in given):
        raise GraphError(100, message="(#100) Param components must be an array.")
    return [{**part, "type": str(part.get("type", "")).upper()} for part in given]


def _seconds(call: Call) -> int | None:
    text = call.text("message_send_ttl_seconds")
    try:
        return int(text) if text is not None else None
    except ValueError as problem:
        raise GraphError(100, message="(#100) Param message_send_ttl_seconds must be an integer") from problem


async def create(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Create a template and put it under review."""
    world = sim.world
    name = call.required("name")
    language = call.required("language")
    category = call.required("category").upper()
    review.check_name(name, language, category)
    components = _components(call)
    library = call.text("library_template_name")
    if not components and library is not None:
        components = [{"type": "BODY", "text": f"Library template {library}."}]
    if not components:
        raise GraphError(100, message="(#100) The parameter components is required.")
    review.check_components(components, category)
    if world.find_template(waba.id, name, language) is not None:
        raise GraphError(
            100,
            message="Invalid parameter",
            subcode=2388024,
            user_title="Content in this language already exists",
            user_message=f"There is already {language} content for this template.",
            is_messaging=False,
        )
    if any(other.category != category for other in world.list_languages(waba.id, name)):
        raise GraphError(
            100,
            message="Invalid parameter",
            subcode=2388026,
            user_title="Category differs",
            user_message="Every language of a template has the same category.",
            is_messaging=False,
        )
    _check_limits(sim, waba)
    template = Template(
        id=world.ids.numeric(16),
        waba_id=waba.id,
        name=name,
        language=language,
        category=category,
        components=components,
        parameter_format=(call.text("parameter_format") or "POSITIONAL").upper(),
        sub_category=call.text("sub_category"),
        message_send_ttl_seconds=_seconds(call),
        allow_category_change=call.flag("allow_category_change") is not False,
        library_template_name=library,
        created_at=world.clock.time(),
    )
    review.starts_review(world, template)
    world.save(template)
    await sim.store.commit()
    sim.lifecycle.schedule(template)
    return {"id": template.id, "status": template.status, "category": template.category}


def _most_templates(sim: Simulator, waba: Waba) -> int:
    verified = sim.world.get(Business, waba.business_id).verification_status == "verified"
    return 6_000 if verified else 250


def _check_limits(sim: Simulator, waba: Waba) -> None:
    world = sim.world
    if not world.rules.template_limits:
        return
    now = world.clock.time()
    waba.template_creations = [moment for moment in waba.template_creations if now - moment < 3_600]
    if len(waba.template_creations) >= CREATIONS_AN_HOUR:
        raise GraphError(80007, message="(#80007) 100 templates per hour can be created on one account.")
    most = _most_templates(sim, waba)
    if len(world.list_templates(waba.id)) >= most:
        raise GraphError(
            100,
            message="Invalid parameter",
            subcode=2388019,
            user_title="Template limit",
            user_message=f"An account has {most} templates at most.",
            is_messaging=False,
        )
    waba.template_creations.append(now)
    world.save(waba)


async def edit(sim: Simulator, call: Call, template: Template) -> Json:
    """Change a template and put it under review again."""
    world = sim.world
    if template.status not in EDITABLE:
        raise GraphError(100, f"A template that is {template.status} cannot be edited.")
    category = call.text("category")
    if category is not None and category.upper() != template.category:
        if template.status == "APPROVED":
            raise GraphError(100, "The category of an approved template cannot be changed.")
        review.check_name(template.name, template.language, category.upper())
    components = _components(call)
    if components:
        review.check_components(components, (category or template.category).upper())
    if template.status == "APPROVED" and world.rules.template_limits:
        now = world.clock.time()
        template.edits = [moment for moment in template.edits if now - moment < 30 * DAY_SECONDS]
        if len(template.edits) >= 10 or any(now - moment < DAY_SECONDS for moment in template.edits):
            raise GraphError(100, "Approved templates: 10 edits in 30 days and 1 in 24 hours.")
        template.edits.append(now)
    if category is not None:
        template.category = category.upper()
    if components:
        template.components = components
    if (seconds := _seconds(call)) is not None:
        template.message_send_ttl_seconds = seconds
    if (parameter_format := call.text("parameter_format")) is not None:
        template.parameter_format = parameter_format.upper()
    review.starts_review(world, template)
    world.save(template)
    await sim.store.commit()
    sim.lifecycle.schedule(template)
    return {"success": True}


async def unpause(sim: Simulator, _call: Call, template: Template) -> Json:
    """Bring a paused template back."""
    if template.status != "PAUSED":
        raise GraphError(100, "The template is not paused.")
    template.status, template.paused_until = "APPROVED", None
    sim.world.save(template)
    await sim.store.commit()
    return {"success": True}


async def delete(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Delete by name (all languages), by `hsm_id` and name, or by `hsm_ids`."""
    world = sim.world
    found: list[Template] = []
    ids = call.document("hsm_ids")
    if ids:
        wanted = [str(one) for one in ids] if isinstance(ids, list) else str(ids).split(",")
        found = [template for template in world.list_templates(waba.id) if template.id in wanted]
    else:
        name = call.required("name")
        found = world.list_languages(waba.id, name)
        if (hsm_id := call.text("hsm_id")) is not None:
            found = [template for template in found if template.id == hsm_id]
    if not found:
        raise GraphError(
            100,
            message="Invalid parameter",
            subcode=2593002,
            user_title="Message template not found",
            user_message="No message template was found.",
            is_messaging=False,
        )
    for template in found:
        world.delete(template)
        sim.callbacks.emit(
            waba=waba,
            field="message_template_status_update",
            value=review.set_status(template, "DELETED"),
            event=("field", template.id, "DELETED"),
            time=int(world.clock.time()),
        )
    await sim.store.commit()
    return {"success": True}
