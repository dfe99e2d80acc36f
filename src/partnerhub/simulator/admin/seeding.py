"""Making and changing entities for the admin API."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET

from partnerhub.kit.errors import Invalid, NotFound
from partnerhub.simulator import provision
from partnerhub.simulator.admin.schemas import (
    AppBody,
    BusinessBody,
    NumberBody,
    NumberChange,
    PreverifiedBody,
    SeedBody,
    TemplateBody,
    TokenBody,
    UserBody,
    WabaBody,
    apply,
)
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.limits import THROUGHPUT, TIERS
from partnerhub.simulator.model import (
    App,
    Business,
    Entity,
    Json,
    Number,
    PreverifiedNumber,
    Template,
    Token,
    User,
    Waba,
    WabaSubscription,
)

_ID = frozenset({"id"})


class Seeded(msgspec.Struct, kw_only=True):
    """The ids of what a seed made."""

    business_id: str
    waba_id: str
    numbers: list[Json]
    templates: list[Json]
    token: str | None


def find(sim: Simulator, kind: type[Entity], entity_id: str) -> Entity:
    """Return an entity. Raises: NotFound."""
    entity = sim.world.table(kind).get(entity_id)
    if entity is None:
        raise NotFound(f"There is no {kind.KIND} {entity_id}.")
    return entity


def put_app(sim: Simulator, body: AppBody) -> App:
    """Make or change an app."""
    world = sim.world
    app_id = body.id if body.id is not UNSET else world.ids.numeric(15)
    app = world.table(App).get(app_id) or App(id=app_id, name="App", secret=world.ids.word(32))
    apply(app, body, skip=_ID)
    world.save(app)
    return app


def put_business(sim: Simulator, body: BusinessBody) -> Business:
    """Make or change a business."""
    world = sim.world
    business_id = body.id if body.id is not UNSET else world.ids.numeric(15)
    business = world.table(Business).get(business_id) or Business(id=business_id, name="Acme")
    if body.messaging_limit is not UNSET and body.messaging_limit not in TIERS:
        raise Invalid(
            f"messaging_limit must be one of {', '.join(TIERS)}.", fields={"messaging_limit": "unknown"}
        )
    apply(business, body, skip=_ID)
    world.save(business)
    return business


def put_waba(sim: Simulator, body: WabaBody, *, business_id: str | None = None) -> Waba:
    """Make or change a WABA; subscribes the configured app and attaches funds when asked."""
    world = sim.world
    waba_id = body.id if body.id is not UNSET else world.ids.numeric(15)
    waba = world.table(Waba).get(waba_id)
    if waba is None:
        owner = body.business_id if body.business_id is not UNSET else business_id
        if owner is None:
            raise Invalid("A new WABA needs a business_id.", fields={"business_id": "missing"})
        waba = Waba(
            id=waba_id,
            name="Acme",
            business_id=owner,
            template_namespace=provision.namespace(world),
            created_at=world.clock.time(),
        )
    if body.timezone is not UNSET:
        try:
            ZoneInfo(body.timezone)
        except (ZoneInfoNotFoundError, ValueError) as problem:
            raise Invalid("timezone is not known.", fields={"timezone": "unknown"}) from problem
    apply(waba, body, skip=_ID)
    find(sim, Business, waba.business_id)
    if body.is_subscribed is True:
        waba.subscriptions.setdefault(sim.config.app_id, WabaSubscription())
    elif body.is_subscribed is False:
        waba.subscriptions.clear()
    if body.is_funded is True and waba.primary_funding_id is None:
        waba.primary_funding_id = world.ids.numeric(16)
    elif body.is_funded is False:
        waba.primary_funding_id = None
    world.save(waba)
    return waba


def put_number(sim: Simulator, body: NumberBody, *, waba_id: str) -> Number:
    """Make or change a number; one with the same digits is the same number."""
    world = sim.world
    find(sim, Waba, waba_id)
    digits = (
        "".join(character for character in body.phone_number if character.isdigit())
        if body.phone_number is not UNSET
        else f"1555{world.ids.random.randrange(10**7):07d}"
    )
    number = world.table(Number).get(body.id) if body.id is not UNSET else world.find_number(digits)
    if body.throughput is not UNSET and body.throughput not in THROUGHPUT:
        raise Invalid(
            "throughput must be STANDARD, HIGH or NOT_APPLICABLE.", fields={"throughput": "unknown"}
        )
    if number is None:
        number = Number(
            id=body.id if body.id is not UNSET else world.ids.numeric(15),
            waba_id=waba_id,
            digits=digits,
            display_phone_number=provision.display(digits),
            verified_name="Acme Support",
            last_onboarded_at=world.clock.time(),
        )
    elif body.phone_number is not UNSET:
        number.digits, number.display_phone_number = digits, provision.display(digits)
    number.waba_id = waba_id
    apply(number, body, skip=_ID)
    world.save(number)
    return number


def put_template(sim: Simulator, body: TemplateBody, *, waba_id: str) -> Template:
    """Make or change a template without review; one with the same name and language is the same template."""
    world = sim.world
    find(sim, Waba, waba_id)
    name = body.name if body.name is not UNSET else "hello"
    language = body.language if body.language is not UNSET else "en_US"
    template = (
        world.table(Template).get(body.id)
        if body.id is not UNSET
        else world.find_template(waba_id, name, language)
    )
    if template is None:
        template = Template(
            id=body.id if body.id is not UNSET else world.ids.numeric(16),
            waba_id=waba_id,
            name=name,
            language=language,
            category="MARKETING",
            components=[{"type": "BODY", "text": "Hello from Acme."}],
            created_at=world.clock.time() - 86_400,
        )
    apply(template, body, skip=_ID)
    if body.text is not UNSET:
        template.components = [{"type": "BODY", "text": body.text}]
    if not template.id.isdigit():
        raise Invalid("Template ids are digits.", fields={"id": "not a number"})
    world.save(template)
    return template


def put_user(sim: Simulator, body: UserBody) -> User:
    """Make or change a customer; a username hides the phone number unless said otherwise."""
    digits = "".join(character for character in body.wa_id if character.isdigit())
    if not digits:
        raise Invalid("wa_id has no digits.", fields={"wa_id": "no digits"})
    user = sim.world.user(digits)
    if body.username is not UNSET and body.hides_phone is UNSET:
        user.hides_phone = body.username is not None
    apply(user, body)
    sim.world.save(user)
    return user


def put_token(sim: Simulator, body: TokenBody, *, targets: list[str] | None = None) -> Token:
    """Make or change an access token."""
    world = sim.world
    token_id = body.id if body.id is not UNSET else f"EAA{world.ids.word(60)}"
    token = world.table(Token).get(token_id) or Token(
        id=token_id,
        app_id=sim.config.app_id,
        user_id=sim.config.system_user_id,
        targets=targets,
        issued_at=world.clock.time(),
    )
    apply(token, body, skip=_ID)
    token.expires_at = (
        0.0 if body.expires_in_seconds is None else world.clock.time() + body.expires_in_seconds
    )
    world.save(token)
    return token


def put_preverified(sim: Simulator, body: PreverifiedBody) -> PreverifiedNumber:
    """Make or change a pre-verified number."""
    world = sim.world
    number_id = body.id if body.id is not UNSET else world.ids.numeric(15)
    found = world.table(PreverifiedNumber).get(number_id) or PreverifiedNumber(
        id=number_id, business_id=sim.config.business_id, digits="", verified_at=world.clock.time()
    )
    apply(found, body, skip=_ID)
    found.digits = "".join(character for character in body.phone_number if character.isdigit())
    world.save(found)
    return found


def seed(sim: Simulator, body: SeedBody) -> Seeded:
    """Make a business, its WABA and everything in it; the caller commits."""
    waba_body = body.waba
    known = sim.world.table(Waba).get(waba_body.id) if waba_body.id is not UNSET else None
    business_body = body.business
    if known is not None and business_body.id is UNSET:
        business_body = msgspec.structs.replace(business_body, id=known.business_id)
    business = put_business(sim, business_body)
    if waba_body.is_subscribed is UNSET:
        waba_body = msgspec.structs.replace(waba_body, is_subscribed=True)
    waba = put_waba(sim, waba_body, business_id=business.id)
    numbers = [put_number(sim, number, waba_id=waba.id) for number in body.numbers]
    templates = [put_template(sim, template, waba_id=waba.id) for template in body.templates]
    for user in body.users:
        put_user(sim, user)
    token = put_token(sim, body.token, targets=[waba.id]) if body.token is not None else None
    return Seeded(
        business_id=business.id,
        waba_id=waba.id,
        numbers=[
            {"id": number.id, "display_phone_number": number.display_phone_number, "digits": number.digits}
            for number in numbers
        ],
        templates=[
            {"id": template.id, "name": template.name, "language": template.language}
            for template in templates
        ],
        token=token.id if token is not None else None,
    )


def change_number(sim: Simulator, number: Number, body: NumberChange) -> list[int]:
    """Change a number and announce what Meta would; returns the callbacks owed."""
    before = (number.throughput, number.new_name_status, number.status, number.quality_rating)
    if body.throughput is not UNSET and body.throughput not in THROUGHPUT:
        raise Invalid(
            "throughput must be STANDARD, HIGH or NOT_APPLICABLE.", fields={"throughput": "unknown"}
        )
    apply(number, body, skip=_ID)
    sim.world.save(number)
    if not body.announce:
        return []
    waba = sim.world.get(Waba, number.waba_id)
    changes: list[tuple[str, Json]] = []
    limit = sim.world.business_of(number).messaging_limit
    if number.throughput != before[0] and number.throughput == "HIGH":
        changes.append(("phone_number_quality_update", _quality(number, "THROUGHPUT_UPGRADE", limit)))
    if number.quality_rating != before[3]:
        flagged = number.quality_rating == "RED"
        changes.append(
            ("phone_number_quality_update", _quality(number, "FLAGGED" if flagged else "UNFLAGGED", limit))
        )
    if number.new_name_status != before[1] and number.new_name_status in {"APPROVED", "DECLINED"}:
        approved = number.new_name_status == "APPROVED"
        value: Json = {
            "display_phone_number": number.digits,
            "decision": "APPROVED" if approved else "REJECTED",
            "requested_verified_name": number.new_display_name or number.verified_name,
            "rejection_reason": None if approved else "NAME_NOT_CONSISTENT",
        }
        if approved and number.new_display_name:
            number.verified_name, number.name_status = number.new_display_name, "APPROVED"
            number.new_display_name = None
            sim.world.save(number)
        changes.append(("phone_number_name_update", value))
    if number.status != before[2] and number.status == "BANNED":
        ban: Json = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}
        changes.append(("account_update", {**ban, "phone_number": number.digits}))
    return [
        callback
        for field, value in changes
        for callback in sim.callbacks.emit(
            waba=waba,
            field=field,
            value=value,
            event=("field", number.id, str(value.get("event") or value.get("decision"))),
            time=int(sim.world.clock.time()),
        )
    ]


def _quality(number: Number, event: str, limit: str) -> Json:
    return {
        "display_phone_number": number.digits,
        "event": event,
        "current_limit": limit,
        "max_daily_conversations_per_business": limit,
    }
