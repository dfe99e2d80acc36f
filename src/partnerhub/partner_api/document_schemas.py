"""Shapes of the Partner API for its OpenAPI document; the contract tests hold every answer against them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]  # Any: a JSON Schema

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
TIME: Schema = {"type": "string", "format": "date-time", "pattern": r"^[0-9-]{10}T[0-9:]{8}Z$"}
FREE: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    """Refer to a named shape."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    """Allow null beside a shape."""
    return {"anyOf": [schema, {"type": "null"}]}


def words(*values: str) -> Schema:
    """Allow these words; more may come."""
    return {"type": "string", "examples": list(values)}


def listed(schema: Schema) -> Schema:
    """Return a list of a shape."""
    return {"type": "array", "items": schema}


def record(**members: Schema) -> Schema:
    """Return an object whose members are all there."""
    return partial_record(members, optional=())


def partial_record(members: dict[str, Schema], *, optional: tuple[str, ...]) -> Schema:
    """Return an object whose members are all there but the optional ones."""
    return {
        "type": "object",
        "properties": members,
        "required": sorted(name for name in members if name not in optional),
    }


def envelope(name: str, schema: Schema) -> Schema:
    """Return the list answer with its rows under `name`."""
    members = {
        "count": NUMBER,
        "filters": FREE,
        "limit": NUMBER,
        "offset": NUMBER,
        "sort": listed(TEXT),
        "total": NUMBER,
        name: listed(schema),
    }
    return partial_record(members, optional=())


_CONTACT_INFO = record(
    webpage_url=TEXT,
    phone=TEXT,
    language=TEXT,
    country=TEXT,
    street_name=TEXT,
    city=TEXT,
    email=TEXT,
    full_name=TEXT,
    zip_code=TEXT,
)


def _meta(*, success: bool, **members: Schema) -> Schema:
    always = {"success": {"const": success}, "http_code": NUMBER, "developer_message": TEXT}
    return record(meta=partial_record({**always, **members}, optional=tuple(members)))


_CHANNEL: dict[str, Schema] = {
    "id": TEXT,
    "client_id": TEXT,
    "client": record(id=TEXT, name=TEXT, partner_payload=or_null(TEXT), contact_info=_CONTACT_INFO),
    "waba_account_id": TEXT,
    "waba_account": ref("WabaAccount"),
    "external_id": TEXT,
    "account_mode": {"enum": ["sandbox", "live"]},
    "status": words("created", "unverified", "verified", "ready"),
    "hub_status": words("draft", "live", "pending_deletion", "terminated"),
    "meta_status": TEXT,
    "availability_status": words("ready", "error"),
    "current_limit": or_null(words("TIER_250", "TIER_1K", "TIER_UNLIMITED")),
    "current_quality_rating": or_null(words("GREEN", "YELLOW", "RED", "UNKNOWN")),
    "is_migrated": FLAG,
    "is_oba": FLAG,
    "is_on_biz_app": FLAG,
    "setup_info": record(
        phone_number={"type": "string", "pattern": "^[0-9]+$"},
        phone_name=TEXT,
        was_in_use=FLAG,
        ivr=FLAG,
        verification_method={"enum": ["sms", "voice"]},
        default_language=TEXT,
        new_name_status=TEXT,
        has_integration_layer=FLAG,
        configuration_type=TEXT,
        region=or_null(TEXT),
        shards_number=NUMBER,
        error=or_null(TEXT),
    ),
    "profile_info": FREE,
    "integration": record(app_id=TEXT, enabled=FLAG, state=words("created", "running")),
    "created_at": TIME,
    "modified_at": TIME,
    "billing_started_at": or_null(TIME),
    "cancelled_at": or_null(TIME),
    "terminated_at": or_null(TIME),
}

SCHEMAS: dict[str, Schema] = {
    "Author": record(user_id=TEXT, user_name=TEXT),
    "Token": record(
        access_token=TEXT,
        expires_in={"const": 86400},
        refresh_token=TEXT,
        token_type={"const": "Bearer"},
    ),
    "TokenError": record(error=TEXT, error_description=TEXT),
    "Done": _meta(success=True),
    "Success": record(success={"const": True}),
    # The two texts beside `meta` come where a legacy token meets a partner that has turned them off.
    "Error": partial_record(
        {
            **_meta(
                success=False,
                details=listed(TEXT),
                error_data=record(code=TEXT, message=TEXT, real_message=TEXT, status=NUMBER),
            )["properties"],
            "error": TEXT,
            "error_description": TEXT,
        },
        optional=("error", "error_description"),
    ),
    "Partner": record(
        id=TEXT,
        brand_name=TEXT,
        logo_url=or_null(TEXT),
        webhook_url=or_null(TEXT),
        partner_redirect_url=or_null(TEXT),
        country=TEXT,
        payment_required=FLAG,
        payment_plan=FREE,
        onboarding_deeplink_add_params=FLAG,
        blocked_new_submission=FLAG,
        allow_client_to_add_phone_no=FLAG,
        settings=record(partner_change_request=record(auto_approve=FLAG)),
        publishable_key=or_null(TEXT),
    ),
    "WebhookUrl": record(webhook_url=or_null(TEXT)),
    "Balance": record(currency={"type": "string", "pattern": "^[a-z]{3}$"}, total={"type": "number"}),
    "PartnerChangeRequest": record(auto_approve=FLAG),
    "Client": record(
        id=TEXT,
        name=TEXT,
        status=words("active"),
        organisation=TEXT,
        max_channels=NUMBER,
        partner_payload=or_null(TEXT),
        meta_info=FREE,
        contact_info=_CONTACT_INFO,
        contact_user=record(name=TEXT, email=TEXT, phone=TEXT),
        suspicious=FLAG,
        created_at=TIME,
        created_by=ref("Author"),
        modified_at=TIME,
        modified_by=ref("Author"),
    ),
    "WabaAccount": record(
        id=TEXT,
        client_id=TEXT,
        partner_id=TEXT,
        name=TEXT,
        namespace=TEXT,
        external_id=TEXT,
        fb_business_id=TEXT,
        timezone_id=NUMBER,
        status=words("created", "approved", "account_restriction", "account_banned", "error"),
        settings=or_null(FREE),
        fb_account_status=words("verified", "not_verified", "pending"),
        on_behalf_of_business_info=or_null(record(id=TEXT, name=TEXT, status=TEXT, type=TEXT)),
        consents=FREE,
        created_at=TIME,
        created_by=ref("Author"),
        modified_at=TIME,
    ),
    # The two dates are left out of the answer to a cancellation while they are open.
    "Channel": partial_record(_CHANNEL, optional=("billing_started_at", "terminated_at")),
    "ApiKey": record(address=TEXT, api_key=TEXT, app_id=TEXT, id=TEXT),
    "ApiKeys": record(api_keys=listed(record(address=TEXT, app_id=TEXT, id=TEXT))),
    "Template": record(
        id=TEXT,
        partner_id=TEXT,
        waba_account_id=TEXT,
        external_id=TEXT,
        name=TEXT,
        namespace=TEXT,
        language=TEXT,
        category=words("MARKETING", "UTILITY", "AUTHENTICATION"),
        status=words("submitted", "approved", "rejected", "paused", "disabled"),
        components=listed(FREE),
        quality_score=or_null(record(reasons={}, score=TEXT)),
        rejected_reason=or_null(TEXT),
        updated_external=FLAG,
        created_at=TIME,
        created_by=ref("Author"),
        modified_at=TIME,
        modified_by=ref("Author"),
    ),
    "Clients": envelope("clients", ref("Client")),
    "Channels": envelope("partner_channels", ref("Channel")),
    "Templates": envelope("waba_templates", ref("Template")),
}

BODIES: dict[str, Schema] = {
    "TokenRequest": {
        "type": "object",
        "properties": {
            "username": TEXT,
            "password": TEXT,
            "partner_id": TEXT,
            "grant_type": TEXT,
            "refresh_token": TEXT,
        },
    },
    "PartnerChange": {
        "type": "object",
        "properties": {
            "webhook_url": or_null(TEXT),
            "partner_redirect_url": or_null(TEXT),
            "brand_name": or_null(TEXT),
            "logo_url": or_null(TEXT),
            "allow_client_to_add_phone_no": or_null(FLAG),
        },
    },
    "WebhookUrlChange": {
        "type": "object",
        "properties": {
            "webhook_url": TEXT,
            "headers": or_null({"type": "object", "additionalProperties": TEXT}),
        },
        "required": ["webhook_url"],
    },
    "PartnerChangeRequestChange": {
        "type": "object",
        "properties": {"auto_approve": {"anyOf": [FLAG, {"enum": ["true", "false"]}]}},
        "required": ["auto_approve"],
    },
    "ClientChange": {
        "type": "object",
        "properties": {
            "partner_payload": or_null({"type": "string", "maxLength": 2000}),
            "max_channels": or_null({"type": "integer", "minimum": 0, "maximum": 100_000}),
        },
    },
    "Cancellation": {"type": "object", "properties": {"enabled": FLAG}},
    "Nothing": {"type": "object", "maxProperties": 0},
    "TemplateDraft": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z0-9_]{1,512}$"},
            "language": {"type": "string", "examples": ["de", "pt_BR"]},
            "category": {"enum": ["MARKETING", "UTILITY", "AUTHENTICATION"]},
            "components": listed({"type": "object", "properties": {"type": TEXT}, "required": ["type"]}),
            "allow_category_change": FLAG,
        },
        "required": ["name", "language", "category", "components"],
    },
}
