"""Meta's published OpenAPI with an overlay that mends what its own documentation contradicts.

The file in `tests/meta_openapi/` stays as published (facebook/openapi, commit ecba623, MIT). Everything
changed is changed here, each with its reason.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Json = dict[str, Any]

FILE = Path(__file__).parent.parent / "meta_openapi" / "business-messaging-api_v23.0.yaml"

ERROR_BODY: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "fbtrace_id"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "integer"},
                "error_subcode": {"type": "integer"},
                "error_data": {"type": "object"},
                "fbtrace_id": {"type": "string"},
            },
        }
    },
}

# Properties whose published enums differ from Meta's documentation and from the code generator's specs.
WRONG_ENUMS = {
    "call_icon_visibility": "documented as DEFAULT and DISABLE_ALL",
    "callback_permission_status": "documented in upper case",
    "account_review_status": "upper-case values of another object are listed",
    "business_verification_status": "documented in lower case",
    "code_verification_status": "NOT_VERIFIED is documented, UNVERIFIED is not",
    "messaging_limit_tier": "TIER_2K is missing",
    "quality_rating": "UNKNOWN is missing",
    "status": "lists number states that do not exist and lacks CONNECTED; calling states are upper case",
    "vertical": "UNDEFINED is missing",
}

# Edges expanded in a node answer as `{"data": […]}`; the file shows bare arrays.
EDGES = frozenset({"subscribed_apps", "phone_numbers", "message_templates"})


@cache
def load() -> Json:
    """Return the specification with the overlay applied."""
    with FILE.open(encoding="utf-8") as file:
        spec: Json = yaml.load(file, Loader=yaml.CSafeLoader)
    for item in spec["paths"].values():
        for method, operation in item.items():
            if method in {"get", "post", "delete", "put", "patch"}:
                _mend(operation)
    _walk(spec, spec)
    # parameterGroups is no component that OpenAPI knows.
    spec["components"].pop("parameterGroups", None)
    del spec["servers"][1:]
    return spec


def _mend(operation: Json) -> None:
    # Integer keys are no valid response codes; errors are Meta's envelope whatever the code.
    answers = {str(code): answer for code, answer in operation["responses"].items() if int(code) < 300}
    answers["default"] = {
        "description": "Error",
        "content": {"application/json": {"schema": ERROR_BODY}},
    }
    operation["responses"] = answers


def _target(spec: Json, schema: Json) -> Json:
    """Follow a reference to a component."""
    while "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _walk(spec: Json, node: Any) -> None:  # Any: any part of the document
    if isinstance(node, list):
        for part in node:
            _walk(spec, part)
        return
    if not isinstance(node, dict):
        return
    properties = node.get("properties")
    if isinstance(properties, dict):
        for name, schema in properties.items():
            if name in WRONG_ENUMS and isinstance(schema, dict):
                _target(spec, schema).pop("enum", None)
            if name in EDGES and isinstance(schema, dict) and schema.get("type") == "array":
                schema.clear()
            if name == "file_size" and isinstance(schema, dict):
                schema["type"] = "integer"  # documented as a number, and sent as one
    required = node.get("required")
    if isinstance(required, list) and set(required) == {"id", "display_phone_number", "status"}:
        node["required"] = ["id", "display_phone_number"]  # `status` is not among the default fields
    for part in node.values():
        _walk(spec, part)


def answer_schema(path: str, method: str) -> Json:
    """Return the schema of an operation's 200, with the components its references need."""
    spec = load()
    schema: Json = spec["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    return {**schema, "components": spec["components"]}


def check_answer(path: str, method: str, body: Any) -> None:
    """Refuse a 200 that Meta's schema does not allow."""
    jsonschema.validate(body, answer_schema(path, method), cls=jsonschema.Draft202012Validator)


def check_error(body: Any) -> None:
    """Refuse an error that is not in Meta's envelope."""
    jsonschema.validate(body, ERROR_BODY, cls=jsonschema.Draft202012Validator)
