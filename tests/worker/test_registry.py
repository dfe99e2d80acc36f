"""Every job that is deferred anywhere has a handler that takes just what it is given."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from partnerhub.app import mail_server_of, meta_client
from partnerhub.app.operations import ANY_SETTINGS
from partnerhub.channels.access import MetaAccess
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import HttpClient
from partnerhub.kit.jobs import Queue
from partnerhub.messaging.services import RouteBook
from partnerhub.worker.registry import Means, register_all

SOURCE = Path(__file__).parents[2] / "src" / "partnerhub"
# What `defer` takes for itself; everything else is an argument of the job.
OWN = {"key", "lock", "at"}


@dataclass(frozen=True)
class Deferral:
    """One place that asks for a job."""

    where: str
    name: str | None
    arguments: frozenset[str]


def deferrals(tree: ast.Module, module: str) -> Iterator[Deferral]:
    """Yield every call of `jobs.defer` in a module, with the value of the constant that names the job."""
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "partnerhub.kit.jobs"
        for alias in node.names
        if alias.name == "defer"
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        is_ours = (isinstance(called, ast.Attribute) and called.attr == "defer") or (
            isinstance(called, ast.Name) and called.id in aliases
        )
        if is_ours:
            given = frozenset(word.arg for word in node.keywords if word.arg is not None)
            name = node.args[1] if len(node.args) > 1 else None
            yield Deferral(f"{module}:{node.lineno}", _value(name, module), given - OWN)


def _value(node: ast.expr | None, module: str) -> str | None:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return str(getattr(import_module(module), node.id))
    return None


def in_source() -> list[Deferral]:
    """Return every deferral of the source."""
    found: list[Deferral] = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path == SOURCE / "kit" / "jobs.py":
            continue
        module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        found.extend(deferrals(ast.parse(path.read_text()), module))
    return found


@pytest.fixture
def queue(keyring: Keyring) -> Queue:
    """Give a queue with everything registered; nothing of it is opened."""
    database = Database(ANY_SETTINGS.database_url, name="none")
    made = Queue(database)
    means = Means(
        database=database,
        mail_server=mail_server_of(ANY_SETTINGS),
        meta=MetaAccess(meta=meta_client(ANY_SETTINGS, HttpClient()), keyring=keyring, system_token=""),
        routes=RouteBook(database, keyring, system_token=""),
        hub_url=ANY_SETTINGS.hub_url,
    )
    register_all(made, means)
    return made


def test_the_scan_finds_the_jobs_we_know() -> None:
    names = {one.name for one in in_source()}
    assert {"mail.send", "messaging.route_change", "billing.renew", "webhooks.endpoint_notice"} <= names


def test_every_deferral_names_its_job_by_a_constant() -> None:
    assert [one.where for one in in_source() if one.name is None] == []


def test_every_deferred_job_has_a_handler(queue: Queue) -> None:
    assert [(one.where, one.name) for one in in_source() if one.name not in queue.names] == []


def test_every_handler_takes_just_what_its_deferrals_give(queue: Queue) -> None:
    wrong = []
    for one in in_source():
        handler = inspect.signature(queue._app.tasks[str(one.name)].func)
        wanted = {
            name
            for name, parameter in handler.parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        if not wanted <= one.arguments <= set(handler.parameters):
            wrong.append((one.where, one.name, sorted(one.arguments), sorted(handler.parameters)))
    assert wrong == []


def test_what_the_house_promises_runs_by_the_clock(queue: Queue) -> None:
    scheduled = {name for name, _ in queue._app.periodic_registry.periodic_tasks}
    assert {
        "kit.keep_partitions",
        "ledger.check_books",
        "messaging.release_stale",
        "partners.drop_old_tokens",
        "identity.tidy",
        "channels.ask_for_all_templates",
        "channels.terminate_due",
        "onboarding.tidy_links",
        "onboarding.tidy_runs",
        "webhooks.expire_overdue",
    } <= scheduled


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("", "jobs.defer(unit, 'a.job', key='k', thing_id='1')"),
        ("from partnerhub.kit.jobs import defer", "defer(unit, 'a.job', thing_id='1')"),
        ("from partnerhub.kit.jobs import defer as ask", "ask(unit, 'a.job', thing_id='1')"),
    ],
)
def test_the_scan_sees_a_deferral_however_it_is_written(imports: str, call: str) -> None:
    code = f"{imports}\nasync def do(unit):\n    await {call}"
    (found,) = deferrals(ast.parse(code), "partnerhub.kit.jobs")
    assert (found.name, set(found.arguments)) == ("a.job", {"thing_id"})
