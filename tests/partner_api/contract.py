"""Holds answers against the OpenAPI document: the shape of the status, and no member without a name there."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from partnerhub.partner_api.document import document

Schema = dict[str, Any]  # Any: a JSON Schema


@cache
def contract() -> Schema:
    """Return the document."""
    found: Schema = json.loads(document())
    return found


def find_operation(method: str, target: str) -> Schema | None:
    """Return the documented operation of a call, or None for a call that is in no document."""
    path = target.partition("?")[0]
    for template, operations in contract()["paths"].items():
        parts = ["[^/]+" if part.startswith("{") else re.escape(part) for part in template.split("/")]
        if method.lower() in operations and re.fullmatch("/".join(parts), path):
            operation: Schema = operations[method.lower()]
            return operation
    return None


def check(method: str, target: str, status: int, body: object) -> None:
    """Fail where the document says otherwise."""
    operation = find_operation(method, target)
    if operation is None or status == 405:
        return
    assert str(status) in operation["responses"], f"{method} {target}: {status} is not documented"
    schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    _validator(json.dumps(schema)).validate(body)


@cache
def _validator(schema: str) -> Draft202012Validator:
    shapes = {name: _closed(shape) for name, shape in contract()["components"]["schemas"].items()}
    return Draft202012Validator({**_closed(json.loads(schema)), "components": {"schemas": shapes}})


def _closed(schema: Any) -> Any:  # Any: a JSON Schema or a part of one
    match schema:
        case {"type": "object", "properties": _, **_rest}:
            return {"additionalProperties": False, **{key: _closed(part) for key, part in schema.items()}}
        case dict():
            return {key: _closed(part) for key, part in schema.items()}
        case list():
            return [_closed(part) for part in schema]
        case _:
            return schema
