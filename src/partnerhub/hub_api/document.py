"""The OpenAPI document of `/api/hub/v1`, made of the shapes; a test holds it against the routes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
from litestar import Response, get

from partnerhub.hub_api import shapes

Schema = dict[str, Any]  # Any: an OpenAPI document or a part of one

_PARTNER = "/api/hub/v1/partners/{partner_id}"
_BODIES = (shapes.SettingsChangeShape, shapes.TestShape)
_ANSWERS = (shapes.SettingsShape, shapes.WebhookTestShape, shapes.RedirectTestShape, shapes.ErrorShape)


@cache
def document() -> bytes:
    """Return the document as JSON."""
    return json.dumps(_document(), indent=1).encode()


@get("/openapi.json", opt={"public": True})
async def get_document() -> Response[bytes]:
    """Return the OpenAPI document of `/api/hub/v1`."""
    return Response(document(), media_type="application/json")


def _document() -> Schema:
    _, components = msgspec.json.schema_components(
        (*_BODIES, *_ANSWERS), ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hub API",
            "version": "1.0.0",
            "description": "What the dashboard can do that the Partner API has no word for.",
        },
        "security": [{"PartnerKey": []}, {"Bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "PartnerKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "A partner key; also taken as D360-API-KEY and as Bearer.",
                },
                "Bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A legacy token; never security, and a member's changes no settings.",
                },
            },
        },
    }


def _paths() -> dict[str, Schema]:
    partner = [{"name": "partner_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    settings, change = shapes.SettingsShape, shapes.SettingsChangeShape
    return {
        "/api/hub/v1/openapi.json": {
            "get": {
                "summary": "This document",
                "security": [],
                "responses": {
                    "200": {
                        "description": "OpenAPI 3.1",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                },
            }
        },
        f"{_PARTNER}/settings": {
            "parameters": partner,
            "get": _operation("Read the integration settings; scope read", settings),
            "patch": _operation(
                "Change the settings that are named; scope write, for what pages guard also security",
                settings,
                body=change,
                is_needed=True,
            ),
        },
        f"{_PARTNER}/webhook_url/test": {
            "parameters": partner,
            "post": _operation(
                "Send a signed test event now; scope write", shapes.WebhookTestShape, body=shapes.TestShape
            ),
        },
        f"{_PARTNER}/redirect_url/test": {
            "parameters": partner,
            "post": _operation(
                "Open the redirect URL now; scope write", shapes.RedirectTestShape, body=shapes.TestShape
            ),
        },
    }


def _operation(summary: str, answer: type, *, body: type | None = None, is_needed: bool = False) -> Schema:
    refused = {
        "description": "Refused",
        "content": {"application/problem+json": {"schema": _ref(shapes.ErrorShape)}},
    }
    operation: Schema = {
        "summary": summary,
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": _ref(answer)}}},
            **{str(status): refused for status in (400, 401, 403, 408, 409, 413, 429, 503)},
        },
    }
    if body:
        operation["requestBody"] = {
            "required": is_needed,
            "content": {"application/json": {"schema": _ref(body)}},
        }
    return operation


def _ref(shape: type) -> Schema:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
