"""Reference pages that are read off the source: `python -m tests.reference` writes them.

`tests/test_docs.py` holds the pages against this. What the source cannot say (the meaning of a code that has
no class, what a one-time code confirms) stands here in words, and a missing word stops the writing.
"""

from __future__ import annotations

import ast
import dataclasses
import pkgutil
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import typer.main
from typer.core import TyperArgument, TyperGroup, TyperOption

import partnerhub
from partnerhub import settings
from partnerhub.cli import cli
from partnerhub.identity.schemas import CodePurpose
from partnerhub.kit.errors import HubError
from partnerhub.web import access
from partnerhub.web.access import HUB_ROWS, Caller, Outcome, Row
from partnerhub.web.access_gateway import CHANNEL_CALL, GATEWAY_ROWS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "partnerhub"
REFERENCE = ROOT / "docs" / "reference"
NAMES = ("commands.md", "errors.md", "permissions.md", "settings.md")
_MADE = "<!-- Written by `python -m tests.reference`; change the source, not this page. -->\n"


def pages() -> Mapping[str, str]:
    """Return every page by its file name."""
    texts = (commands_page(), errors_page(), permissions_page(), settings_page())
    return dict(zip(NAMES, texts, strict=True))


# --- errors ------------------------------------------------------------------------------------------------

# Codes that are given where an error is raised, without a class of their own.
CODE_WORDS: Mapping[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be read."),
    "database_refused": (503, "The database is away, or refuses; the line holds its own words."),
    "media_type_unknown": (415, "The body is of a type that is not taken here."),
    "zero_character": (400, "A value has a zero character in it; no text here holds one."),
    "route_not_found": (404, "There is nothing at this address."),
    "seal_broken": (500, "Sealed values do not open with the envelope keys; they are named."),
    "signup_cancelled": (400, "The client closed Meta's window; nothing was changed."),
    "validation_failed": (400, "The request has wrong values; `fields` names them."),
    "endpoint_blocked": (403, "The path is not one that this gateway lets through."),
    "endpoint_rate_limit": (400, "More calls than the gateway lets through for one number; wait and repeat."),
    "header_reserved": (400, "A custom header that we set ourselves or that belongs to the connection."),
    "headers_too_large": (400, "Too many custom headers, or too many bytes in them."),
    "internal": (500, "Something went wrong on our side; the request id finds it in the log."),
    "internal_error": (500, "Something went wrong on our side; the request id finds it in the log."),
    "invalid_api_key": (401, "The channel key is missing, wrong or revoked."),
    "meta_malformed": (502, "Meta's answer could not be read."),
    "meta_unclear": (502, "The call to Meta broke off: it may have been carried out, so it is not repeated."),
    "meta_unreachable": (502, "Meta could not be reached; nothing was done."),
    "method_not_allowed": (405, "The path exists, but not with this method."),
    "number_disabled": (400, "The number was cancelled."),
    "number_not_available": (502, "The number is not running yet."),
    "payment_missing": (400, "The balance does not cover the highest price of the message."),
    "unknown_object": (404, "The id is not one that this key reaches."),
    "url_credentials": (400, "A webhook URL carries no user name or password; a custom header does."),
    "url_fragment": (400, "A webhook or redirect URL has no part after `#`."),
    "url_not_https": (400, "A webhook or redirect URL starts with https://."),
    "url_port": (400, "A webhook or redirect URL has no port."),
    "url_private_address": (400, "The host is not one that the internet can reach."),
    "url_too_long": (400, "The URL is longer than is stored."),
    "url_underscore": (400, "The host has an underscore."),
}
# Where such codes are written, and how they look there.
_LITERALS = re.compile(
    r"webhooks/urls\.py:(url_\w+|headers?_\w+)|meta/errors\.py:(meta_\w+)"
    r"|web/failures\.py:(bad_request|media_type_unknown)|hosted/view\.py:(signup_cancelled)"
)
_SAID_BY_COMMANDS = re.compile(r"\(([a-z]+_[a-z_]+)\)$")
_AREAS = (
    ("Families", "What every other error belongs to; seldom seen by itself.", ("kit.errors",)),
    ("Signing in, sessions, credentials", "", ("identity", "web")),
    (
        "Partners and the Partner API",
        "",
        ("partners", "partner_api", "dashboard", "client_hub", "operator", "hub_api"),
    ),
    ("Clients, numbers, templates", "", ("channels", "support")),
    ("Onboarding", "", ("onboarding", "hosted")),
    ("Gateway and messages", "", ("gateway", "messaging")),
    ("Webhooks", "", ("webhooks",)),
    ("Money", "", ("ledger", "billing", "kit.money")),
    ("Meta and other servers", "", ("meta", "kit.http", "kit.mail")),
    ("Running an installation", "", ("app", "cli", "demo", "migrations", "kit", "worker")),
    ("The simulator", "", ("simulator",)),
)


def error_classes() -> list[type[HubError]]:
    """Return every expected error of the source."""
    for module in pkgutil.walk_packages(partnerhub.__path__, "partnerhub."):
        if not re.search(r"__main__|migrations\.(env|versions)", module.name):
            import_module(module.name)
    return sorted(_below(HubError), key=lambda one: (one.code, one.__module__))


def _below(family: type[HubError]) -> set[type[HubError]]:
    children = {child for child in family.__subclasses__() if child.__module__.startswith("partnerhub.")}
    return children.union(*(_below(child) for child in children))


def literal_codes() -> dict[str, str]:
    """Return the codes given as text where an error is made, each with the module that does."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith(("simulator/", "ui/")):  # Meta's own codes, and the gallery's examples
            continue
        module = "partnerhub." + name.removesuffix(".py").replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text())):
            for text in _codes_in(node, name):
                found.setdefault(text, module)
    return found


def _codes_in(node: ast.AST, name: str) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if _LITERALS.fullmatch(f"{name}:{node.value}"):
            yield node.value
        if name.startswith(("app/", "cli/")):
            yield from _SAID_BY_COMMANDS.findall(node.value)
        return
    if not isinstance(node, ast.Call):
        return
    if isinstance(node.func, ast.Name) and node.func.id == "Failure" and len(node.args) > 1:
        yield from _text_of(node.args[1])
    for word in node.keywords:
        if word.arg == "code":
            yield from _text_of(word.value)


def _text_of(node: ast.expr) -> Iterator[str]:
    parts = (node.body, node.orelse) if isinstance(node, ast.IfExp) else (node,)
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
            yield part.value


_ERRORS = f"""\
# Error codes
{_MADE}
Every error carries a stable code. The Partner API says it in `meta`, the gateway in the body that
`PARTNERHUB_ERROR_STYLE` chooses, a page beside its words; the hub also in the header `x-error-code`, with the
request id in `x-request-id`. Commands put it at the end of the line. 429 and 503 come with `Retry-After`.
An answer of Meta's own is passed on as Meta wrote it.
"""


def errors_page() -> str:
    """Return `errors.md`."""
    lines = [_ERRORS]
    rows = _error_rows()
    for title, words, packages in _AREAS:
        mine = {code: row for code, row in rows.items() if _area_of(row[2]) == packages}
        if not mine:
            continue
        lines += [
            f"## {title}",
            *([words] if words else []),
            "",
            "| code | status | meaning |",
            "| --- | --- | --- |",
        ]
        lines += [f"| `{code}` | {status} | {text} |" for code, (status, text, _) in sorted(mine.items())]
        lines.append("")
    return "\n".join(lines)


def _error_rows() -> dict[str, tuple[int, str, str]]:
    rows: dict[str, tuple[int, str, str]] = {}
    for one in error_classes():
        doc = " ".join((one.__doc__ or "").split("\n\n")[0].split())
        if "code" not in vars(one):
            continue  # it only narrows what its parent means
        status, text, _ = rows.get(one.code, (one.status, "", ""))
        rows[one.code] = (status, f"{text} {doc}".strip() if doc not in text else text, one.__module__)
    for code, module in literal_codes().items():
        if code not in rows:
            if code not in CODE_WORDS:
                raise SystemExit(
                    f"The error code “{code}” of {module} needs a line in CODE_WORDS of this module."
                )
            status, text = CODE_WORDS[code]
            rows[code] = (status, text, module)
    return rows


def _area_of(module: str) -> tuple[str, ...]:
    name = module.removeprefix("partnerhub.")
    fitting = [
        (len(package), packages)
        for _, _, packages in _AREAS
        for package in packages
        if name == package or name.startswith(f"{package}.")
    ]
    return max(fitting)[1]


# --- commands ----------------------------------------------------------------------------------------------


_COMMANDS = f"""\
# Commands
{_MADE}
Commands read the settings of the environment (see [Settings](settings.md)), or, with `--data-dir`, the
installation that `partnerhub run` made there, whether it runs or not. They leave with 0 when done, 1 when
something did not work (told in a line with its [code](errors.md)), and 2 for wrong settings or wrong use.
What is printed never holds a secret, except the key that `partner key create` and `keys new` are asked for.
"""


def commands_page() -> str:
    """Return `commands.md`."""
    lines = [_COMMANDS]
    root = typer.main.get_command(cli)
    assert isinstance(root, TyperGroup)
    for path, command in _commands(root, ("partnerhub",)):
        lines += _command(path, command)
    return "\n".join(lines)


def _commands(group: TyperGroup, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _command(path: tuple[str, ...], command: Any) -> list[str]:  # Any: typer brings a click of its own
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [one for one in command.params if isinstance(one, TyperOption) and one.name != "help"]
    usage = " ".join([*path, *(_metavar(one) for one in arguments)])
    lines = [f"## `{usage}`", "", " ".join((command.help or "").split()), ""]
    rows = [(f"`{_metavar(one)}`", "*needed*" if one.required else "", one.help or "") for one in arguments]
    rows += [(f"`{', '.join(one.opts)}`", _default(one), one.help or "") for one in options]
    if rows:
        lines += ["| | default | meaning |", "| --- | --- | --- |"]
        lines += [f"| {name} | {default} | {words} |" for name, default, words in rows]
        lines.append("")
    return lines


def _metavar(argument: TyperArgument) -> str:
    return (argument.name or "").upper()


def _default(option: TyperOption) -> str:
    if option.required:
        return "*needed*"
    if option.is_flag or option.default in (None, ""):
        return ""
    return f"`{option.default}`"


# --- permissions -------------------------------------------------------------------------------------------

PURPOSE_WORDS: Mapping[CodePurpose, str] = {
    CodePurpose.VIEW_SECRET: "see the platform secret again",
    CodePurpose.GENERATE_SECRET: "generate or replace the platform secret",
    CodePurpose.CREATE_KEY: "create a partner key",
    CodePurpose.ADD_MEMBER: "add a person to the partner",
    CodePurpose.REMOVE_MEMBER: "remove a person from the partner",
    CodePurpose.IO_SIGNATURE_OFF: "turn IO Signature off",
    CodePurpose.LEGACY_TOKENS_ON: "turn legacy tokens on",
    CodePurpose.NUMBER_WEBHOOK: "change a number's webhook in the Client Hub",
    CodePurpose.PAYMENT_DATA: "change payment data",
    CodePurpose.CONFIRM_EMAIL: "confirm an e-mail address",
}
_OUTCOMES = {
    Outcome.PASSES: "yes",
    Outcome.SIGN_IN: "sign-in",
    Outcome.UNAUTHENTICATED: "401",
    Outcome.FORBIDDEN: "403",
    Outcome.MISSING: "404",
}


_PERMISSIONS = f"""\
# Permissions
{_MADE}
Read off the access matrix, which a test calls cell by cell over HTTP. Tenants are kept apart twice: every
query runs inside its partner's scope, and PostgreSQL's row-level security checks it again.

## Roles and scopes

| who | may |
| --- | --- |
| **owner** of a partner | everything of the Partner Hub |
| **member** of a partner | all but people, partner keys and integration settings, which are read only |
| **client** | its own numbers in the Client Hub |
| **operator** | the operator's pages and the command line |
| partner key with `read` | read through the Partner API |
| partner key with `write` | change through the Partner API |
| partner key with `security` | what a page guards by a one-time code |
| legacy token | what a key with `read` and `write` may, a member's no more than the member |
| channel key | the Messaging API of its one number |

Another partner's id in a path answers 403, whether that partner exists or not. Another partner's object under
one's own partner id answers 404.

## One-time codes

A person confirms these by a code from the mail. A key needs the scope `security` for the same.

| purpose | confirms that one may |
| --- | --- |"""
_PROFILES = """
## Profiles

`other_owner` and `other_key` belong to another partner than the one in the path; `crossed` is another
partner's (or number's) key that asks for this one's object.
"""


def permissions_page() -> str:
    """Return `permissions.md`."""
    profiles = {
        name: value
        for name, value in [*vars(access).items(), ("CHANNEL_CALL", CHANNEL_CALL)]
        if isinstance(value, Row)
    }
    lines = [
        _PERMISSIONS,
        *(f"| `{purpose.value}` | {PURPOSE_WORDS[purpose]} |" for purpose in CodePurpose),
        _PROFILES,
        "| | " + " | ".join(caller.value for caller in Caller) + " |",
        "| --- |" + " --- |" * len(Caller),
    ]
    lines += [
        f"| `{name}` | " + " | ".join(_OUTCOMES[row.expected(caller)] for caller in Caller) + " |"
        for name, row in profiles.items()
    ]
    for title, rows in (("Hub", HUB_ROWS), ("Gateway", GATEWAY_ROWS)):
        lines += ["", f"## {title}", "", "| operation | profile |", "| --- | --- |"]
        lines += [
            f"| `{operation}` | {_profile(row, profiles)} |"
            for operation, row in sorted(rows.items(), key=lambda one: one[0].split(" ")[::-1])
        ]
    return "\n".join([*lines, ""])


def _profile(row: Row, profiles: Mapping[str, Row]) -> str:
    """Name a row's profile, or the nearest one and where the row differs."""

    def differences(profile: Row) -> list[Caller]:
        return [caller for caller in Caller if row.expected(caller) is not profile.expected(caller)]

    name, nearest = min(profiles.items(), key=lambda one: len(differences(one[1])))
    changed = [f"{caller.value} {_OUTCOMES[row.expected(caller)]}" for caller in differences(nearest)]
    return f"`{name}`" + (f", but {', '.join(changed)}" if changed else "")


# --- settings ----------------------------------------------------------------------------------------------

_SETTINGS = f"""\
# Settings
{_MADE}
Read once at start from the environment, or from the TOML file that `PARTNERHUB_CONFIG` names (there the
names are in lower case and without the prefix). The environment wins. A wrong start lists every problem.
`partnerhub doctor` checks what the settings point to.

| name | default | meaning |
| --- | --- | --- |"""


def settings_page() -> str:
    """Return `settings.md`."""
    rows = [
        f"| `{settings.environment_name(item.name)}` | {_default_of(item.default)} | "
        f"{item.metadata['help']}{' Secret.' if item.metadata['secret'] else ''} |"
        for item in dataclasses.fields(settings.Settings)
    ]
    return "\n".join([_SETTINGS, *rows, ""])


def _default_of(value: object) -> str:
    """Say a default as it would stand in the environment."""
    match value:
        case dataclasses.MISSING:
            return "*needed*"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`{','.join(value)}`" if value else ""
        case _:
            return "" if value == "" else f"`{value}`"


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
