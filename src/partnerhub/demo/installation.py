"""One data folder: generated secrets, ports, the embedded database, and the environment of its services.

Secrets are made once and kept in `installation.json`, readable by its owner alone. Whatever the operator
sets in the environment wins over what is generated here.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from partnerhub.kit.crypto import new_key
from partnerhub.kit.errors import Conflict, NotFound
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.settings import PREFIX, environment_name

LOGIN = "partnerhub"
DATABASE = "partnerhub"
SETTINGS = "settings.json"
"""The environment that the services of a running installation have."""
_SECRETS = "installation.json"
META_APP_ID = "104104104104104"
SIGNUP_CONFIG_ID = "208208208208208"


class InstallationMissing(NotFound):
    """There is no installation in this folder."""

    code = "installation_missing"


class AlreadyRunning(Conflict):
    """Another supervisor works in this data folder."""

    code = "already_running"


@dataclass(frozen=True)
class Secrets:
    """What is generated once for an installation."""

    secret_keys: str = field(default_factory=new_key, repr=False)
    database_password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    meta_app_secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    meta_system_token: str = field(default_factory=lambda: "SYS" + secrets.token_urlsafe(32), repr=False)
    meta_verify_token: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)


@dataclass(frozen=True)
class Opened:
    """Where an installation's database answers, and the keys of what is sealed in it."""

    database_url: str = field(repr=False)
    secret_keys: str = field(repr=False)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the data folder for the length of the block.

    Raises: AlreadyRunning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"Another Partner Hub runs in {folder}. Stop it first.") from error
        yield


def write_private(path: Path, content: object) -> None:
    """Write JSON that only its owner may read; the file is whole or not there."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        json.dump(content, handle, indent=1)
    draft.replace(path)


def read_secrets(folder: Path) -> Secrets:
    """Return the installation's secrets; make them on first use."""
    path = folder / _SECRETS
    if not path.exists():
        write_private(path, asdict(Secrets()))
    return Secrets(**json.loads(path.read_text()))


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare_database(server: EmbeddedPostgres, password: str) -> str:
    """Make the login and the database in a running embedded server where they are missing; return the URL."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        known = connection.execute("select 1 from pg_roles where rolname = %s", (LOGIN,)).fetchone()
        verb = sql.SQL("alter" if known else "create")
        connection.execute(
            sql.SQL("{} role {} login createrole password {}").format(
                verb, sql.Identifier(LOGIN), sql.Literal(password)
            )
        )
        if not connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
            connection.execute(
                sql.SQL("create database {} owner {}").format(sql.Identifier(DATABASE), sql.Identifier(LOGIN))
            )
    return server.url(user=LOGIN, password=password, database=DATABASE)


@contextmanager
def opened(folder: Path, *, make: bool = False) -> Iterator[Opened]:
    """Give the installation's database for the length of the block: the running one, else its own start.

    With `make`, a folder without an installation gets one. What the environment sets wins.

    Raises: InstallationMissing, DatabaseUnavailable.
    """
    folder = folder.absolute()
    if not make and not (folder / _SECRETS).exists():
        raise InstallationMissing(f"There is no installation in {folder}.")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except AlreadyRunning:
            is_ours = False
        else:
            is_ours = True
        made = read_secrets(folder)
        keys = os.environ.get(environment_name("secret_keys")) or made.secret_keys
        if outside := os.environ.get(environment_name("database_url")):
            yield Opened(outside, keys)
            return
        server = EmbeddedPostgres(folder / "postgres")
        if is_ours:
            stack.enter_context(server.running())
            url = prepare_database(server, made.database_password)
        else:
            server.find_running()
            server.wait_until_ready(timeout_seconds=10)
            url = server.url(user=LOGIN, password=made.database_password, database=DATABASE)
        yield Opened(url, keys)


def write_environment(folder: Path, environ: Mapping[str, str]) -> None:
    """Write the settings of a running installation down, for commands that look at it from outside."""
    names = {"DATABASE_URL"} | {name for name in environ if name.startswith(PREFIX)}
    write_private(folder / SETTINGS, {name: environ[name] for name in sorted(names & set(environ))})


def running_environment(folder: Path) -> dict[str, str]:
    """Return the environment of the services that run in this folder. Raises: InstallationMissing."""
    try:
        found: dict[str, str] = json.loads((folder / SETTINGS).read_text())
    except FileNotFoundError as error:
        raise InstallationMissing(f"Nothing runs in {folder.absolute()}.") from error
    return found


def environment_of(values: Mapping[str, object]) -> dict[str, str]:
    """Return settings as environment variables; what the operator set already stays."""
    named = {environment_name(name): str(value) for name, value in values.items()}
    return {name: os.environ.get(name) or value for name, value in named.items()}
