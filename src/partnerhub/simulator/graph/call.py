"""One Graph call and its answer, free of any framework."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from multipart import (  # type: ignore[import-untyped]  # the library ships no types
    MultipartError,
    MultipartParser,
    parse_options_header,
)

from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.model import Json, Step, Token

_VERSION = re.compile(r"/v\d+(?:\.\d+)?(?=/|$)")
_decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class UploadedFile:
    """One file part of a multipart body."""

    filename: str
    content_type: str
    content: bytes


@dataclass(slots=True)
class Call:
    """A request to Graph; `path` is without the version prefix and trailing slash."""

    method: str
    path: str
    version: str
    segments: list[str]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    token: Token | None = None
    failure: Step | None = None
    """Set by a fault: the message is accepted and fails later."""
    without_statuses: bool = False
    usage: float | None = None
    usage_of: str = ""
    files: dict[str, UploadedFile] = field(default_factory=dict)
    _params: Json | None = None

    @property
    def version_number(self) -> float:
        """Return the Graph version asked for; no prefix means the newest."""
        return float(self.version[1:]) if self.version else 25.0

    def json(self) -> Json:
        """Return the body as a JSON object. Raises: GraphError 100."""
        try:
            document = _decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise GraphError(
                100,
                f"Unable to parse the request body: {problem}",
                message="(#100) Invalid JSON payload",
            ) from problem
        if not isinstance(document, dict):
            raise GraphError(100, message="(#100) The request body must be a JSON object")
        return document

    def params(self) -> Json:
        """Return query and body parameters together, whichever encoding the body has; the body wins."""
        if self._params is None:
            merged: Json = dict(self.query)
            merged.update(self._body_params())
            self._params = merged
        return self._params

    def _body_params(self) -> Json:
        if not self.body:
            return {}
        kind, options = parse_options_header(self.headers.get("content-type", ""))
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        if kind == "multipart/form-data":
            return self._multipart(options.get("boundary", ""))
        if kind in {"", "application/json", "text/plain"} or kind.endswith("+json"):
            return self.json()
        return {}

    def _multipart(self, boundary: str) -> Json:
        values: Json = {}
        try:
            parser = MultipartParser(
                BytesIO(self.body), boundary, content_length=len(self.body), memory_limit=2**27
            )
            for part in parser.parts():
                if part.filename:
                    self.files[part.name] = UploadedFile(
                        part.filename, part.content_type or "application/octet-stream", part.raw
                    )
                else:
                    values[part.name] = part.value
                part.close()
        except (MultipartError, LookupError, ValueError) as problem:
            raise GraphError(100, f"Unable to parse the multipart body: {problem}") from problem
        return values

    def text(self, name: str) -> str | None:
        """Return a parameter as text, or None when absent or empty."""
        value = self.params().get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, (str, int, float)) else msgspec.json.encode(value).decode()

    def required(self, name: str) -> str:
        """Return a parameter as text. Raises: GraphError 100 when absent."""
        value = self.text(name)
        if value is None:
            raise GraphError(100, message=f"(#100) The parameter {name} is required.")
        return value

    def document(self, name: str) -> Any:  # Any: JSON of the client's making
        """Return a structured parameter: JSON as it is, or text holding JSON (forms and queries)."""
        value = self.params().get(name)
        if isinstance(value, str) and value[:1] in {"[", "{", '"'}:
            try:
                return _decode(value)
            except msgspec.DecodeError as problem:
                raise GraphError(100, message=f"(#100) Param {name} must be valid JSON") from problem
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean parameter; `true`, `1` and JSON true are alike."""
        value = self.text(name)
        return None if value is None else value.lower() in {"true", "1"}


@dataclass(slots=True)
class Reply:
    """An answer with everything but the headers that all answers share."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


def split_path(path: str) -> tuple[str, str]:
    """Split a request path into version (`v23.0` or empty) and the rest without trailing slash."""
    if (found := _VERSION.match(path)) is not None:
        version, rest = path[1 : found.end()], path[found.end() :]
    else:
        version, rest = "", path
    return version, rest.rstrip("/") or "/"


def parse_query(raw: bytes) -> dict[str, str]:
    """Parse a query string; the last of repeated names wins."""
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)) if raw else {}
