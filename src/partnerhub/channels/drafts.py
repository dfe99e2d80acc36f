"""Templates as callers write them: checked for shape, turned into what Meta takes.

What a template may say is Meta's to judge; here only what would make our row or Meta's call meaningless is
refused. Source: Partner API reference 7.1 and 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from partnerhub.channels.errors import TemplateInvalid
from partnerhub.channels.schemas import Document

_COMPONENT_TYPES = frozenset(
    {"BODY", "HEADER", "FOOTER", "BUTTONS", "CAROUSEL", "LIMITED_TIME_OFFER", "CALL_PERMISSION_REQUEST"}
)
# Members that Meta's create call takes beside the four; anything else a caller sends is passed over.
_PASSED_ON = (
    "allow_category_change",
    "parameter_format",
    "sub_category",
    "message_send_ttl_seconds",
    "library_template_name",
    "library_template_body_inputs",
    "library_template_button_inputs",
    "cta_url_link_tracking_opted_out",
    "degrees_of_freedom_spec",
    "display_format",
)


@dataclass(frozen=True)
class TemplateDraft:
    """A template that is to be created; `options` holds what Meta is told but nobody is shown again."""

    name: str
    language: str
    category: str
    components: tuple[Document, ...]
    options: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON for Meta

    def as_meta(self) -> Document:
        """Return the body of Meta's create call."""
        return {
            "name": self.name,
            "language": self.language,
            "category": self.category,
            "components": list(self.components),
            **self.options,
        }


@dataclass(frozen=True)
class TemplateEdit:
    """What to change of a template; None leaves the components as they are."""

    components: tuple[Document, ...] | None
    options: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON for Meta

    def as_meta(self) -> Document:
        """Return the body of Meta's edit call."""
        changed = {} if self.components is None else {"components": list(self.components)}
        return {**changed, **self.options}


def read_draft(body: Mapping[str, object]) -> TemplateDraft:
    """Read a template from a request body. Raises: TemplateInvalid, with a reason per member."""
    problems: dict[str, str] = {}
    name = body.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]{1,512}", name, re.ASCII):
        problems["name"] = "name has 1 to 512 characters of a-z, 0-9 and _"
    language = body.get("language")
    if not isinstance(language, str) or not re.fullmatch(r"[a-z]{2,3}(_[A-Za-z]{2,4})?", language, re.ASCII):
        problems["language"] = "language is a locale code such as de or pt_BR"
    category = body.get("category")
    if not isinstance(category, str) or not re.fullmatch(r"[A-Za-z_]{1,64}", category, re.ASCII):
        problems["category"] = "category is MARKETING, UTILITY or AUTHENTICATION"
    components = _components(
        body.get("components"), problems, is_required="library_template_name" not in body
    )
    if problems:
        raise _refused(problems)
    return TemplateDraft(
        name=str(name),
        language=str(language),
        category=str(category).upper(),
        components=components or (),
        options=_options(body),
    )


def read_edit(body: Mapping[str, object]) -> TemplateEdit:
    """Read a change of a template: components and what Meta takes beside them. Raises: TemplateInvalid."""
    problems: dict[str, str] = {}
    components = _components(body.get("components"), problems, is_required=False)
    options = _options(body)
    if components is None and not options and not problems:
        problems["components"] = "components is needed"
    if problems:
        raise _refused(problems)
    return TemplateEdit(components=components, options=options)


def _refused(problems: Mapping[str, str]) -> TemplateInvalid:
    return TemplateInvalid(
        "The template is not valid: " + "; ".join(problems.values()) + ".", fields=problems
    )


def _options(body: Mapping[str, object]) -> dict[str, object]:
    return {name: body[name] for name in _PASSED_ON if body.get(name) is not None}


def _components(sent: object, problems: dict[str, str], *, is_required: bool) -> tuple[Document, ...] | None:
    if sent is None and not is_required:
        return None
    # One typed client sends a single object where a list belongs.
    listed = [sent] if isinstance(sent, dict) else sent
    if not isinstance(listed, list) or not listed:
        problems["components"] = "components is a list of components"
        return None
    if any(not isinstance(part, dict) for part in listed):
        problems["components"] = "components is a list of objects"
        return None
    unknown = [part.get("type") for part in listed if str(part.get("type")).upper() not in _COMPONENT_TYPES]
    if unknown:
        problems["components"] = f"components have a type of {', '.join(sorted(_COMPONENT_TYPES))}"
        return None
    # Meta takes the words in either case and lists them in capitals, which is all that typed clients know.
    return tuple(
        {name: value for name, value in part.items() if value is not None} | {"type": part["type"].upper()}
        for part in listed
    )
