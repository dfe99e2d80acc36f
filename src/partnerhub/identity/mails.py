"""The mails of this package; their words stand in `mails.toml`, one section per language and mail."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from partnerhub.identity.schemas import CodePurpose

LOCALES = ("en", "de", "pt-BR", "es")


@dataclass(frozen=True)
class MailText:
    """What one mail says."""

    subject: str
    text: str


def code_mail(*, locale: str, purpose: CodePurpose, code: str, minutes: int) -> MailText:
    """Say the code and what it confirms."""
    # A new visitor has no account yet that somebody else could be signed in to.
    name = "code_for_visitor" if purpose is CodePurpose.CONFIRM_EMAIL else "code"
    goal = _words(locale)["purposes"][purpose.value]
    return _fill(locale, name, code=code, purpose=goal, minutes=minutes)


def reset_mail(*, locale: str, link: str, minutes: int) -> MailText:
    """Hand over the link that sets a new password."""
    return _fill(locale, "reset", link=link, minutes=minutes)


def invitation_mail(*, locale: str, place: str, link: str, days: int) -> MailText:
    """Invite a person to `place` (the name of a partner or of the hub)."""
    # A name may not break the subject line.
    return _fill(locale, "invitation", place=" ".join(place.split()), link=link, days=days)


def changed_mail(*, locale: str, link: str) -> MailText:
    """Tell the owner of an account that its password is another one now."""
    return _fill(locale, "changed", link=link)


def _fill(locale: str, name: str, **values: str | int) -> MailText:
    form = _words(locale)[name]
    return MailText(form["subject"].format(**values), form["text"].format(**values))


def _words(locale: str) -> dict[str, Any]:  # Any: nested tables of one file of our own
    return _file()[locale if locale in LOCALES else LOCALES[0]]


@cache
def _file() -> dict[str, dict[str, Any]]:  # Any: see above
    return tomllib.loads(resources.files(__package__).joinpath("mails.toml").read_text("utf-8"))
