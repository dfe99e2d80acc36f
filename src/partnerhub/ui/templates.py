"""The Jinja environment of all pages.

Templates are named by their package (`ui/layout.html`, `dashboard/accounts.html`). A rendering always carries
a `frame`; language and time zone come from it, so words and formats need no further argument.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from gettext import NullTranslations
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from jinja2.utils import missing
from markupsafe import Markup

from partnerhub.ui import formats
from partnerhub.ui.assets import asset, icon
from partnerhub.ui.frame import CSRF_FIELD, CSRF_HEADER, Frame, LinkGroup
from partnerhub.ui.languages import LANGUAGES, NAMES, Language, load_catalogues

_OWN = Path(__file__).parent
_FORBIDDEN_ATTRIBUTES = ("on", "hx-on", "style", "srcdoc")
# htmx answers to the policy: no indicator style element, no evaluated attributes. Server errors that are not
# ours are kept out by the script, which tells them in a toast.
HTMX_CONFIG = json.dumps(
    {
        "includeIndicatorCSS": False,
        "mode": "same-origin",
        "defaultTimeout": 15000,
        "noSwap": [204, 304],
    }
)


class UnsafeAttribute(ValueError):
    """A template asked for an attribute that runs code or styles; the content policy would refuse it."""


def environment(packages: Mapping[str, Path], *, auto_reload: bool = False) -> Environment:
    """Make the environment for the packages given by name and folder (the folder of the Python package).

    Templates lie in `<folder>/templates`, catalogues in `<folder>/locale`; `ui` itself is always present.
    """
    folders = _with_own(packages)
    env = Environment(
        loader=PrefixLoader(
            {name: FileSystemLoader(folder / "templates") for name, folder in folders.items()}
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=auto_reload,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    catalogues = catalogues_of(packages)

    @pass_context
    def gettext(context: Context, message: str) -> str:
        return catalogues[_language(context)].gettext(message)

    @pass_context
    def ngettext(context: Context, one: str, many: str, count: int) -> str:
        return catalogues[_language(context)].ngettext(one, many, count)

    @pass_context
    def pgettext(context: Context, about: str, message: str) -> str:
        return catalogues[_language(context)].pgettext(about, message)

    @pass_context
    def npgettext(context: Context, about: str, one: str, many: str, count: int) -> str:
        return catalogues[_language(context)].npgettext(about, one, many, count)

    env.install_gettext_callables(  # type: ignore[attr-defined]  # added by the i18n extension
        gettext, ngettext, newstyle=True, pgettext=pgettext, npgettext=npgettext
    )
    env.policies["ext.i18n.trimmed"] = True
    env.globals.update(
        asset=asset,
        icon=icon,
        csrf_field=CSRF_FIELD,
        csrf_header=CSRF_HEADER,
        htmx_config=HTMX_CONFIG,
        palette_items=palette_items,
        languages=[(language, NAMES[language]) for language in LANGUAGES],
    )
    env.filters.update(_FILTERS)
    return env


def catalogues_of(packages: Mapping[str, Path]) -> Mapping[Language, NullTranslations]:
    """Return the words of these packages and of `ui`."""
    return load_catalogues(*(folder / "locale" for folder in _with_own(packages).values()))


def _with_own(packages: Mapping[str, Path]) -> dict[str, Path]:
    return {"ui": _OWN, **packages}


def render(env: Environment, template: str, /, *, frame: Frame, **values: object) -> str:
    """Render a page or a part of one for a request."""
    return env.get_template(template).render(frame=frame, **values)


def palette_items(groups: Iterable[LinkGroup]) -> list[dict[str, str]]:
    """Return the entries of the palette as its script reads them."""
    return [
        {
            "label": link.label,
            "href": link.href,
            **({"keys": link.keys} if link.keys else {}),
            **({"press": link.press} if link.press else {}),
            **({"group": group.label} if group.label else {}),
        }
        for group in groups
        for link in group.links
    ]


def _frame(context: Context) -> Frame:
    found = context.resolve_or_missing("frame")
    if found is missing:
        raise LookupError('No frame here: write {% import "ui/ui.html" as ui with context %}.')
    return cast("Frame", found)


def _language(context: Context) -> Language:
    return _frame(context).language


def attributes(values: Mapping[str, object] | None) -> Markup:
    """Write attributes: True alone, None and False not at all; refuse what the content policy forbids.

    Raises: UnsafeAttribute.
    """
    written = []
    for name, value in (values or {}).items():
        lower = name.lower()
        # htmx reads its attributes with `data-` before them too; other `data-` names do nothing.
        bare = lower.removeprefix("data-") if lower.startswith("data-hx-") else lower
        if bare.startswith(_FORBIDDEN_ATTRIBUTES) or (
            bare == "hx-vals" and str(value).startswith(("js:", "javascript:"))
        ):
            raise UnsafeAttribute(f"The attribute “{name}” is not allowed by the content policy.")
        if value is None or value is False:
            continue
        written.append(
            Markup(" {}").format(name) if value is True else Markup(' {}="{}"').format(name, value)
        )
    return Markup("").join(written)


@pass_context
def _number(context: Context, value: float | Decimal) -> str:
    return formats.number(value, _language(context))


@pass_context
def _percent(context: Context, value: float | Decimal, digits: int = 1) -> str:
    return formats.percent(value, _language(context), digits=digits)


@pass_context
def _money(context: Context, micros: int, currency: str) -> str:
    return formats.amount(micros, currency, _language(context))


@pass_context
def _exact_money(context: Context, micros: int, currency: str) -> str:
    return formats.exact_amount(micros, currency, _language(context))


@pass_context
def _date(context: Context, value: date | datetime) -> str:
    return formats.day(value, _language(context), _frame(context).timezone)


@pass_context
def _datetime(context: Context, value: datetime, seconds: bool = False) -> str:
    return formats.moment(value, _language(context), _frame(context).timezone, seconds=seconds)


@pass_context
def _full_datetime(context: Context, value: datetime) -> str:
    return formats.full_moment(value, _language(context), _frame(context).timezone)


@pass_context
def _ago(context: Context, value: datetime) -> str:
    return formats.ago(value, _language(context))


@pass_context
def _duration(context: Context, milliseconds: float) -> str:
    return formats.duration(milliseconds, _language(context))


@pass_context
def _size(context: Context, count: int) -> str:
    return formats.size(count, _language(context))


def _json(value: Any) -> str:
    """Write JSON for an attribute; the template's escaping does the rest."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_FILTERS = {
    "attrs": attributes,
    "number": _number,
    "percent": _percent,
    "money": _money,
    "exact_money": _exact_money,
    "date": _date,
    "datetime": _datetime,
    "full_datetime": _full_datetime,
    "ago": _ago,
    "duration": _duration,
    "size": _size,
    "phone": formats.phone,
    "breakable": formats.breakable,
    "initials": formats.initials,
    "whatsapp": formats.whatsapp_text,
    "json": _json,
}
