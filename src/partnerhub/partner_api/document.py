"""The OpenAPI document of `/api/v2`, served beside it. A test holds it against the route table."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from litestar import Response, get

from partnerhub.partner_api.document_schemas import BODIES, SCHEMAS, TEXT, Schema, listed, ref

_PARTNER = "/api/v2/partners/{partner_id}"
_CHANNEL = f"{_PARTNER}/channels/{{channel_id}}"
_CLIENT = f"{_PARTNER}/clients/{{client_id}}"
_WABA = f"{_PARTNER}/waba_accounts/{{waba_id}}"
_CONTROL = f"{_CLIENT}/channels/{{channel_id}}/control"

_LIST_PARAMETERS: list[Schema] = [
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 1000},
        "description": "How many rows; more than 1000 are served as 1000.",
    },
    {
        "name": "offset",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "default": 0},
        "description": "How many rows to pass over.",
    },
    {
        "name": "sort",
        "in": "query",
        "schema": {"type": "string", "default": "id"},
        "description": "Field names, separated by commas; a minus in front sorts downwards.",
    },
    {
        "name": "filters",
        "in": "query",
        "schema": {"type": "string", "default": "{}"},
        "description": "A JSON object: field name to wanted value, all of them at once.",
    },
]


@cache
def document() -> bytes:
    """Return the document as JSON."""
    return json.dumps(_document(), indent=1).encode()


@get("/openapi.json", opt={"public": True})
async def get_document() -> Response[bytes]:
    """Return the OpenAPI document of `/api/v2`."""
    return Response(document(), media_type="application/json")


def _document() -> dict[str, Any]:  # Any: an OpenAPI document
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Partners V2 API",
            "version": "2.1.0",
            "description": "Clients, channels, WABA accounts and templates of a partner.",
        },
        "security": [{"PartnerApiKey": []}, {"Bearer": []}],
        "paths": {
            path: {"parameters": _path_parameters(path), **operations}
            for path, operations in _paths().items()
        },
        "components": {
            "schemas": {**SCHEMAS, **BODIES},
            "securitySchemes": {
                "PartnerApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "A partner key; also taken as D360-API-KEY and as Bearer.",
                },
                "Bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A legacy token from POST /api/v2/token.",
                },
            },
        },
    }


def _paths() -> dict[str, dict[str, Schema]]:
    keys = {
        "get": _operation("List the live key, without its secret", "ApiKeys"),
        "post": _operation(
            "Make the key; the earlier one stops working", "ApiKey", status=201, body="Nothing"
        ),
        "delete": _operation("Revoke the key", "Done"),
    }
    return {
        "/api/v2/token": {
            "post": {
                **_operation("Get a legacy token", "Token", body="TokenRequest", errors="TokenError"),
                "security": [],
            }
        },
        "/api/v2/openapi.json": {
            "get": {
                "summary": "This document",
                "security": [],
                "responses": {"200": {"description": "OpenAPI 3.1", "content": _json({"type": "object"})}},
            }
        },
        _PARTNER: {
            "get": _operation("Get the partner", "Partner"),
            "patch": _operation(
                "Change URLs, name, logo or whether clients may add numbers", "Partner", body="PartnerChange"
            ),
        },
        f"{_PARTNER}/webhook_url": {
            "get": _operation("Get the partner webhook", "WebhookUrl"),
            "post": _operation("Set the partner webhook", "Partner", body="WebhookUrlChange"),
        },
        f"{_PARTNER}/balance": {"get": _operation("Get what can be spent", "Balance", is_list=True)},
        f"{_PARTNER}/settings/partner_change_request": {
            "patch": _operation(
                "Approve partner changes by themselves",
                "PartnerChangeRequest",
                body="PartnerChangeRequestChange",
            )
        },
        f"{_PARTNER}/clients": {"get": _list("List clients", "Clients")},
        _CLIENT: {
            "get": _operation("Get a client", "Client"),
            "patch": _operation("Change a client", "Client", body="ClientChange"),
        },
        f"{_PARTNER}/channels": {"get": _list("List channels", "Channels")},
        _CHANNEL: {"get": _operation("Get a channel", "Channel")},
        f"{_CHANNEL}/api_keys": keys,
        f"{_CHANNEL}/api-keys": keys,
        f"{_CONTROL}/cancellation_request": {
            "post": _operation("Cancel a channel, or take it back", "Channel", body="Cancellation")
        },
        f"{_CONTROL}/reactivate": {"post": _operation("Take a cancellation back", "Channel", body="Nothing")},
        _WABA: {"get": _operation("Get a WABA account", "WabaAccount")},
        f"{_WABA}/waba_templates": {
            "get": _list("List templates", "Templates"),
            "post": _operation("Create a template", "Template", status=201, body="TemplateDraft"),
        },
        f"{_WABA}/waba_templates/{{template_id}}": {"delete": _operation("Delete a template", "Done")},
    }


def _operation(
    summary: str,
    answer: str,
    *,
    status: int = 200,
    body: str = "",
    is_list: bool = False,
    errors: str = "Error",
) -> Schema:
    shown = listed(ref(answer)) if is_list else ref(answer)
    codes = (400, 401, 403, 429) if errors == "TokenError" else (400, 401, 403, 404, 409, 429, 502, 504)
    refused = {"description": "Refused", "content": _json(ref(errors))}
    operation: Schema = {
        "summary": summary,
        "responses": {
            str(status): {"description": "Done", "content": _json(shown)},
            **{str(code): refused for code in codes},
        },
    }
    if body:
        operation["requestBody"] = {"content": _json(ref(body))}
    return operation


def _list(summary: str, answer: str) -> Schema:
    return {**_operation(summary, answer), "parameters": _LIST_PARAMETERS}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _path_parameters(path: str) -> list[Schema]:
    return [
        {"name": part[1:-1], "in": "path", "required": True, "schema": TEXT}
        for part in path.split("/")
        if part.startswith("{")
    ]
