"""`/{phone}/messages` and `/{phone}/marketing_messages`: the hot path.

A send is checked in the order Meta answers: parameters, template, number state, rates, limits. It is
accepted only when its row is durable; everything later happens in `lifecycle`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from partnerhub.simulator import content, template_send
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid, missing
from partnerhub.simulator.graph.call import Call, Reply
from partnerhub.simulator.model import Json, MessageState, Number, Step, Template, User, Waba
from partnerhub.simulator.world import country_of

_encode = msgspec.json.Encoder().encode
_GROUP = re.compile(r"[A-Za-z0-9+/_=-]{8,200}")
_PRODUCT_POLICIES = frozenset({"CLOUD_API_FALLBACK", "STRICT"})
MARKETING_SYNC_SECONDS = 600.0
TYPING_SECONDS = 25.0


@dataclass(slots=True, kw_only=True)
class _Send:
    """One send as understood so far."""

    sim: Simulator
    call: Call
    number: Number
    waba: Waba
    message: Json
    kind: str
    user: User
    by_user_id: bool
    through_marketing: bool
    template: Template | None = None

    @property
    def is_group(self) -> bool:
        return self.message.get("recipient_type") == "group"


async def send(sim: Simulator, call: Call, number: Number, *, through_marketing: bool) -> Reply:
    """Accept a message, or mark one as read. Raises: GraphError."""
    message = call.json() if "json" in call.headers.get("content-type", "json") else _from_form(call)
    if message.get("messaging_product") != "whatsapp":
        if "messaging_product" not in message:
            raise missing("messaging_product")
        raise invalid("Param messaging_product must be whatsapp.")
    if message.get("status") is not None:
        return await _mark_read(sim, number, message)
    asked = _understand(sim, call, number, message, through_marketing=through_marketing)
    category = _category(asked)
    _check_account(asked)
    sim.limits.check_throughput(number)
    sim.limits.check_pair(number, asked.user.id)
    failure, opened_by = _apply_rules(asked, category)
    wamid = sim.world.ids.wamid(asked.user.id)
    has_statuses = not (call.without_statuses or asked.is_group)
    state = MessageState(
        category=category,
        is_template=asked.template is not None,
        steps=sim.lifecycle.plan(asked.kind, wa_id=asked.user.id, failure=failure) if has_statuses else [],
        opaque=message.get("biz_opaque_callback_data"),
    )
    sim.lifecycle.accept(
        number=number,
        wa_id=asked.user.id,
        wamid=wamid,
        kind=asked.kind,
        body=call.body,
        state=state,
        opened_by=opened_by,
    )
    await sim.store.commit()
    return Reply(body=_encode(_accepted(asked, wamid)))


def _understand(
    sim: Simulator, call: Call, number: Number, message: Json, *, through_marketing: bool
) -> _Send:
    """Check everything the sender wrote."""
    kind = message.get("type") or "text"
    if not isinstance(kind, str):
        raise GraphError(100, message="(#100) Param type must be text")
    user, by_user_id = _recipient(sim, number, message)
    asked = _Send(
        sim=sim,
        call=call,
        number=number,
        waba=sim.world.get(Waba, number.waba_id),
        message=message,
        kind=kind,
        user=user,
        by_user_id=by_user_id,
        through_marketing=through_marketing,
    )
    if kind == "template":
        asked.template = template_send.find(sim.world, asked.waba.id, message)
        template_send.check(sim.world, number, asked.template, message)
        if by_user_id and asked.template.category == "AUTHENTICATION":
            raise GraphError(131062, "Authentication templates need a phone number.")
    elif through_marketing:
        raise invalid("The message must be a template message.")
    else:
        content.check(sim.world, number, kind, message)
    opaque = message.get("biz_opaque_callback_data")
    if opaque is not None and (not isinstance(opaque, str) or len(opaque) > content.OPAQUE_LENGTH):
        raise invalid("Param biz_opaque_callback_data must be text of at most 512 characters.")
    return asked


def _apply_rules(asked: _Send, category: str) -> tuple[Step | None, str | None]:
    """Return how the message will fail, if it will, and the portfolio whose limit it used."""
    world = asked.sim.world
    rules = world.rules
    failure = asked.call.failure
    opened_by = None
    is_open = asked.is_group or world.is_window_open(asked.number, asked.user.id)
    if asked.template is None:
        if rules.service_window != "off" and not is_open:
            failure = _break_rule(
                rules.service_window,
                131047,
                "Message failed to send because more than 24 hours have passed since the customer last "
                "replied to this number.",
                failure,
            )
    elif not is_open:
        business = world.business_of(asked.number)
        if rules.messaging_limit == "off" or asked.sim.limits.open_conversation(business, asked.user.id):
            opened_by = business.id
        else:
            failure = _break_rule(
                rules.messaging_limit,
                131064,
                f"The messaging limit of this portfolio ({business.messaging_limit}) has been reached.",
                failure,
            )
    if rules.funding and asked.waba.primary_funding_id is None:
        failure = failure or Step(due=0, status="failed", code=131042, details="No payment method.")
    if asked.user.stopped_marketing and category.startswith("marketing"):
        failure = failure or Step(due=0, status="failed", code=131050)
    return failure, opened_by


def _from_form(call: Call) -> Json:
    message = dict(call.params())
    for name in (
        *content.MEDIA_TYPES,
        "text",
        "template",
        "interactive",
        "location",
        "contacts",
        "reaction",
        "context",
    ):
        if name in message:
            message[name] = call.document(name)
    call.body = _encode(message)
    return message


def _accepted(asked: _Send, wamid: str) -> Json:
    user = asked.user
    contact: Json = {"input": str(asked.message.get("to") or asked.message.get("recipient"))}
    if not user.hides_phone:
        contact["wa_id"] = user.id
    if not asked.is_group and (asked.sim.world.rules.with_user_id or user.hides_phone):
        contact["user_id"] = user.user_id
    accepted: Json = {"id": wamid}
    if asked.template is not None:
        accepted["message_status"] = asked.template.pacing_status or "accepted"
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [accepted]}


def _recipient(sim: Simulator, number: Number, message: Json) -> tuple[User, bool]:
    """Return the customer and whether only a business-scoped user id named it."""
    to = message.get("to")
    if message.get("recipient_type") == "group":
        if not isinstance(to, str) or not _GROUP.fullmatch(to):
            raise GraphError(131009, "Parameter to: the recipient is not a group id.")
        # Nobody's phone: who is in a group, and what became of the message there, is told by the admin API.
        return User(id=to, user_id="", name="A group"), False
    if to:
        text = to if isinstance(to, str) else str(to) if isinstance(to, int) else ""
        digits = text if text.isdigit() else "".join(character for character in text if character.isdigit())
        if "." in text and not text.replace("+", "").isdigit():
            user = sim.world.find_user_by_user_id(text)
            if user is not None:
                return user, True
        if not text.isascii() or not 5 <= len(digits) <= 20:
            raise GraphError(131009, "Parameter to: the recipient is not a valid phone number.")
        if digits == number.digits:
            raise GraphError(131021, "The recipient phone number is the sender's.")
        return sim.world.user(digits), False
    recipient = message.get("recipient")
    if not recipient:
        raise missing("to")
    user = sim.world.find_user_by_user_id(str(recipient))
    if user is None:
        raise GraphError(131009, "Parameter recipient: the user id is not known.")
    return user, True


def _check_account(asked: _Send) -> None:
    number = asked.number
    if asked.waba.ban_state == "DISABLE" or number.status == "BANNED":
        raise GraphError(131031, "The business account has been restricted or disabled.")
    if not number.is_registered:
        raise GraphError(133010, "The phone number is not registered on the platform.")
    if number.name_status == "DECLINED":
        raise GraphError(131037, "The display name has not been approved.")
    if asked.user.id in number.blocked:
        raise GraphError(131026, "The recipient has been blocked by this number.")


def _break_rule(mode: str, code: int, details: str, failure: Step | None) -> Step:
    if mode == "sync":
        raise GraphError(code, details)
    return failure or Step(due=0, status="failed", code=code, details=details)


def _category(asked: _Send) -> str:
    """Return the price category; for Marketing Messages decide whether the message may travel that way."""
    template, waba = asked.template, asked.waba
    if template is None:
        return "service"
    category = template.category.lower()
    if category == "authentication" and waba.international_authentication:
        country = country_of(asked.user.id)
        if country in waba.international_authentication and country != waba.country:
            return "authentication-international"
    if not asked.through_marketing:
        if category == "marketing" and waba.disable_marketing_messages_on_cloud_api:
            raise GraphError(131063, "This account sends marketing templates only by Marketing Messages.")
        return category
    policy = asked.message.get("product_policy", "CLOUD_API_FALLBACK")
    if not isinstance(policy, str) or policy not in _PRODUCT_POLICIES:
        raise invalid("Param product_policy must be one of {CLOUD_API_FALLBACK, STRICT}.")
    if category != "marketing":
        code = 134100 if asked.call.version_number >= 23 else 131055
        raise GraphError(code, "Only marketing templates can be sent this way.")
    refusal = _marketing_refusal(asked.sim, asked.number, template)
    if refusal is None:
        return "marketing_lite"
    if policy == "STRICT":
        raise refusal
    return "marketing"


def _marketing_refusal(sim: Simulator, number: Number, template: Template) -> GraphError | None:
    if number.is_ineligible_for_marketing or not sim.world.business_of(number).marketing_terms:
        return GraphError(
            200, "The terms of Marketing Messages have not been accepted.", message="(#200) Permissions error"
        )
    if sim.world.clock.time() - template.created_at < MARKETING_SYNC_SECONDS:
        return GraphError(134101, "The template is still syncing; try again in a few minutes.")
    if template.is_ineligible_for_marketing:
        return GraphError(134103, "The template cannot be sent by Marketing Messages.")
    return None


async def _mark_read(sim: Simulator, number: Number, message: Json) -> Reply:
    if message["status"] != "read":
        raise invalid("Param status must be read.")
    wamid = message.get("message_id")
    if not isinstance(wamid, str) or not wamid:
        raise missing("message_id")
    rows = await sim.store.query(
        "select wa_id from messages where wamid = ? and number_id = ? and direction = 'in'",
        (wamid, number.id),
    )
    if not rows:
        raise GraphError(131009, "Parameter message_id: no received message has this id.")
    wa_id = str(rows[0][0])
    if isinstance(message.get("typing_indicator"), dict):
        sim.typing_until[(number.id, wa_id)] = sim.world.clock.time() + TYPING_SECONDS
    sim.store.write("update messages set status = 'read' where wamid = ?", (wamid,))
    sim.lifecycle.revision += 1
    await sim.store.commit()
    return Reply(body=b'{"success":true}')
