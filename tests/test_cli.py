"""The operator's commands, as processes of their own on a real database: what they do, say and never say."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
from psycopg import sql

from partnerhub.app import callback
from partnerhub.demo.installation import free_port
from partnerhub.identity.services import check_password
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.partners import queries as partner_queries
from partnerhub.webhooks import services as webhooks
from tests import commands
from tests.commands import Done
from tests.conftest import clone_database
from tests.gateway.stage import staged
from tests.processes import SECRET_KEYS, environment
from tests.simulator import harness
from tests.test_backup import counts, new_database

PASSWORD = "correct horse battery staple"
OTHER_KEY = base64.b64encode(bytes(range(32, 64))).decode()
SECRETS = {
    "meta_app_secrets": "an-app-secret-of-the-test",
    "meta_system_token": "EAAa-system-token-of-the-test",
    "meta_verify_token": "a-verify-token-of-the-test",
    "smtp_user": "hub@acme.example",
    "smtp_password": "a-mail-password-of-the-test",
    "metrics_token": "a-metrics-token-of-the-test",
}
NEVER_SAID = {*SECRETS.values(), SECRET_KEYS, OTHER_KEY, PASSWORD, "only-on-loopback"} - {"hub@acme.example"}


def command(*arguments: str, url: str = "", given: str = "", environ: dict[str, str] | None = None) -> Done:
    """Run `partnerhub …`; no secret may be in what it prints, and nothing expected is a traceback."""
    environ = environment(url, **SECRETS) if environ is None else environ
    done = commands.run(*arguments, environ=environ, given=given)
    said = done.out + done.err
    assert "Traceback" not in said, said
    assert [secret for secret in NEVER_SAID if secret in said] == []
    return done


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return rows as the owner of the tables sees them."""
    with psycopg.connect(url) as connection:
        connection.execute("set role hub_owner")
        return connection.execute(query.encode()).fetchall()


def make_partner(url: str, name: str = "Acme Chat") -> str:
    """Create a partner and return its id."""
    done = command("partner", "create", name, "--country", "DE", url=url)
    assert done.code == 0, done.err
    found = re.fullmatch(rf"Partner {name} has the id (\w{{6}}PA)\.", done.out)
    assert found, done.out
    return found[1]


def is_password_of(url: str, email: str) -> bool:
    """Say whether the test's password opens the person's account."""

    async def check() -> bool:
        database = Database(url, name="test")
        await database.open()
        try:
            user = await check_password(database, email=email, password=PASSWORD, ip="127.0.0.1")
        finally:
            await database.close()
        return user.email == email

    return asyncio.run(check())


def test_an_operator_is_created_with_the_password_that_was_typed(database_url: str) -> None:
    done = command("operator", "create", "ops@acme.example", url=database_url, given=f"{PASSWORD}\n")
    assert done.code == 0, done.err
    assert re.fullmatch(r"Operator ops@acme\.example has the id \w{6}U\.", done.out)
    assert rows(database_url, "select email, is_operator from hub_user") == [("ops@acme.example", True)]
    assert is_password_of(database_url, "ops@acme.example")

    again = command("operator", "create", "OPS@acme.example", url=database_url, given=f"{PASSWORD}\n")
    assert (again.code, again.out) == (1, "")
    assert "(email_taken)" in again.err
    weak = command("operator", "create", "two@acme.example", url=database_url, given="password1\n")
    assert (weak.code, "(password_weak)" in weak.err) == (1, True)
    assert len(rows(database_url, "select 1 from hub_user")) == 1


def test_a_partner_is_created_with_its_wallet_and_every_wrong_field_is_named(database_url: str) -> None:
    partner_id = make_partner(database_url)
    assert rows(database_url, "select id, country, currency from partner") == [(partner_id, "DE", "EUR")]
    assert rows(database_url, "select currency, posted from ledger_balance") == [("EUR", 0)]
    assert ("operator", "command-line", "partner.created") in rows(
        database_url, "select actor_kind, actor_id, action from audit_entry"
    )
    wrong = command("partner", "create", " ", "--country", "Germany", "--currency", "XYZ", url=database_url)
    assert wrong.code == 1
    assert "(partner_invalid)" in wrong.err
    assert {line.split(":")[0].strip() for line in wrong.err.splitlines()[1:]} >= {"brand_name", "country"}
    assert len(rows(database_url, "select 1 from partner")) == 1


def test_a_partner_key_is_said_once_and_alone(database_url: str) -> None:
    partner_id = make_partner(database_url)
    done = command("partner", "key", "create", partner_id, "--scopes", "read, security", url=database_url)
    assert done.code == 0, done.err
    assert re.fullmatch(r"phk_[\w-]{40,}", done.out), "a script takes the key from standard output"
    assert done.err == ""
    assert rows(database_url, "select scopes from partner_key") == [(["read", "security"],)]
    assert all(
        done.out not in str(row) for row in rows(database_url, "select partner_key::text from partner_key")
    )

    async def is_known() -> bool:
        database = Database(database_url, name="test")
        await database.open()
        try:
            async with database.system() as unit:
                found = await partner_queries.find_key(unit, secret=done.out)
        finally:
            await database.close()
        return found is not None and found.partner_id == partner_id

    assert asyncio.run(is_known())
    wrong = command("partner", "key", "create", partner_id, "--scopes", "read,everything", url=database_url)
    assert (wrong.code, wrong.out, "(key_invalid)" in wrong.err) == (1, "", True)
    nobody = command("partner", "key", "create", "nobodyPA", url=database_url)
    assert (nobody.code, nobody.out, "(partner_not_found)" in nobody.err) == (1, "", True)

    ((key_id,),) = rows(database_url, "select id from partner_key")
    listed = command("partner", "key", "list", partner_id, url=database_url)
    assert (listed.code, str(key_id) in listed.out, done.out in listed.out) == (0, True, False)
    other = command("partner", "key", "revoke", make_partner(database_url), str(key_id), url=database_url)
    assert (other.code, "(key_not_found)" in other.err) == (1, True)
    assert asyncio.run(is_known())
    revoked = command("partner", "key", "revoke", partner_id, str(key_id), url=database_url)
    assert (revoked.code, revoked.out) == (0, f"The key {key_id} opens nothing any more.")
    assert not asyncio.run(is_known())
    assert ("partner_key.revoked",) in rows(database_url, "select action from audit_entry")


def test_a_price_rule_is_added_and_shown_and_what_cannot_hold_is_refused(database_url: str) -> None:
    partner_id = make_partner(database_url)
    add, day = ("partner", "price-rule", "add"), ("--since", "2026-12-01")
    done = command(*add, partner_id, "percent", "12.5", *day, "--category", "MARKETING", url=database_url)
    assert done.code == 0, done.err
    assert re.fullmatch(r"Price rule \S{36} holds from 2026-12-01\.", done.out)
    done = command(*add, "all", "fixed", "0.004", *day, "--currency", "eur", url=database_url)
    assert done.code == 0, done.err
    kept = rows(database_url, "select partner_id, op, value, currency, category from price_rule order by op")
    assert kept == [(None, "fixed", 4_000, "EUR", None), (partner_id, "percent", 125_000, None, "marketing")]
    assert ("price_rule.added",) in rows(database_url, "select action from audit_entry")
    shown = command("partner", "price-rule", "list", partner_id, url=database_url)
    assert shown.out.splitlines() == [
        f"{partner_id}: percent 12.5 % for marketing, from 2026-12-01, priority 100",
        "all: fixed 0.004 EUR, from 2026-12-01, priority 100",
    ]

    wrong = command(
        *add, partner_id, "floor", "0.05", *day, "--until", "2026-12-01", "--market", "Atlantis",
        "--category", "gossip", url=database_url,
    )  # fmt: skip
    assert (wrong.code, "(price_rule_invalid)" in wrong.err) == (1, True)
    named = {line.split(":")[0].strip() for line in wrong.err.splitlines()[1:]}
    assert named == {"currency", "until", "market", "category"}
    wrong = command(*add, partner_id, "percent", "1.23456", *day, url=database_url)
    assert (wrong.code, "(invalid_amount)" in wrong.err) == (1, True)
    nobody = command(*add, "nobodyPA", "percent", "1", *day, url=database_url)
    assert (nobody.code, "(partner_not_found)" in nobody.err) == (1, True)
    assert len(rows(database_url, "select 1 from price_rule")) == 2


def test_a_person_of_two_partners_is_one_person_and_asked_for_one_password(database_url: str) -> None:
    first, second = make_partner(database_url), make_partner(database_url, "Beta Chat")
    person = "owner@acme.example"
    done = command(
        "user", "create", first, person, "--name", "Owner", url=database_url, given=f"{PASSWORD}\n"
    )
    assert (done.code, done.out) == (0, f"{person} is owner of {first}.")
    assert is_password_of(database_url, person)
    done = command("user", "create", second, person, "--role", "member", url=database_url)
    assert (done.code, done.out) == (0, f"{person} is member of {second}.")
    found = rows(database_url, "select partner_id, role from member order by role desc")
    assert found == [(first, "owner"), (second, "member")]
    assert len(rows(database_url, "select 1 from hub_user")) == 1

    again = command("user", "create", first, person, url=database_url)
    assert (again.code, "(member_exists)" in again.err) == (1, True)
    wrong = command(
        "user", "create", first, "two@acme.example", "--role", "king", url=database_url, given=PASSWORD
    )
    assert wrong.code == 1
    assert len(rows(database_url, "select 1 from hub_user")) == 1, "nobody is made for a role that is none"


def test_a_repeated_top_up_moves_money_once(database_url: str) -> None:
    partner_id = make_partner(database_url)
    for _ in range(2):
        done = command(
            "wallet", "top-up", partner_id, "99.50", "--key", "transfer 1", "--note", "R-1", url=database_url
        )
        assert (done.code, done.out) == (0, "Available: 99.5 EUR.")
    assert rows(database_url, "select posted from ledger_balance") == [(99_500_000,)]
    other = command("wallet", "top-up", partner_id, "50", "--key", "transfer 1", url=database_url)
    assert (other.code, other.out, "(key_reused)" in other.err) == (1, "", True)
    for _ in range(2):
        assert command("wallet", "top-up", partner_id, "0.25", url=database_url).code == 0
    wrong = command("wallet", "top-up", partner_id, "ten", url=database_url)
    assert (wrong.code, "(invalid_amount)" in wrong.err) == (1, True)
    shown = command("wallet", "show", partner_id, url=database_url)
    assert shown.code == 0
    assert re.search(r"100\s+│ 0\s+│ 100\s+│ EUR", shown.out), shown.out
    nobody = command("wallet", "show", "nobodyPA", url=database_url)
    assert (nobody.code, "(partner_not_found)" in nobody.err) == (1, True)


def test_rates_are_imported_whole_or_not_at_all(database_url: str, tmp_path: Path) -> None:
    markets, rates, broken = (tmp_path / f"{name}.csv" for name in ("markets", "rates", "broken"))
    markets.write_text(
        "effective_date,prefix,market,country\n2025-07-01,49,Germany,DE\n2025-07-01,33,France,FR\n"
    )
    header = "effective_date,currency,market,category,rate\n"
    rates.write_text(
        f"{header}2026-10-01,EUR,Germany,marketing,0.1365\n2026-10-01,EUR,France,marketing,0.0773\n"
    )
    broken.write_text(
        f"{header}2026-10-01,EUR,Germany,utility,0.0550\n2026-10-01,EUR,France,utility,cheap\n"
        "2026-13-01,EUR,France,service,0.01\n"
    )
    assert command("rates", "import", "--markets", str(markets), url=database_url).code == 0

    dry = command("rates", "import", "--dry-run", str(rates), url=database_url)
    assert dry.code == 0, dry.err
    assert "2 prices or prefixes read, 2 changed, 0 as before." in dry.out
    assert "line 2: EUR Germany marketing from 2026-10-01: none → 0.1365" in dry.out
    assert dry.out.endswith("Nothing was written (dry run).")
    assert rows(database_url, "select 1 from rate") == []

    assert command("rates", "import", str(rates), url=database_url).code == 0
    again = command("rates", "import", str(rates), url=database_url)
    assert "0 changed, 2 as before." in again.out
    wrong = command("rates", "import", str(broken), url=database_url)
    assert (wrong.code, wrong.out) == (1, "")
    assert wrong.err.startswith("2 lines cannot be taken; nothing was imported. (rates_refused)")
    assert "line 3:" in wrong.err
    assert "line 4:" in wrong.err
    assert rows(database_url, "select micros from rate order by 1") == [(77_300,), (136_500,)]
    broken.write_text(f"{header}2026-10-01,EUR,France,utility,cheap\n")
    wrong = command("rates", "import", str(broken), url=database_url)
    assert wrong.err.startswith("1 line cannot be taken; nothing was imported. (rates_refused)")
    broken.write_text(f"{header}2026-10-01,EUR,Atlantis,utility,0.01\n")
    wrong = command("rates", "import", str(broken), url=database_url)
    assert wrong.err.startswith("1 line names an unknown market; nothing was imported. (rates_refused)")
    missing = command("rates", "import", str(tmp_path / "none.csv"), url=database_url)
    assert missing.code == 2


def test_a_card_without_dates_holds_from_the_day_that_is_named(database_url: str, tmp_path: Path) -> None:
    markets, card = tmp_path / "markets.csv", tmp_path / "card.csv"
    markets.write_text("prefix,market,country\n49,Germany,DE\n")
    card.write_text("Market,Currency,Marketing,Utility\nGermany,EUR,0.1131,0.0456\n")
    since = ("--since", "2026-10-01")
    assert command("rates", "import", "--markets", *since, str(markets), url=database_url).code == 0
    undated = command("rates", "import", str(card), url=database_url)
    assert (undated.code, "name one for the whole file (since)" in undated.err) == (1, True)
    done = command("rates", "import", *since, str(card), url=database_url)
    assert "line 2: EUR Germany marketing from 2026-10-01: none → 0.1131" in done.out
    held = rows(database_url, "select distinct lower(valid)::text from rate")
    assert held == [("2026-10-01",)]
    wrong = command("rates", "import", "--since", "October", str(card), url=database_url)
    assert wrong.code == 2


def test_a_database_is_migrated_from_nothing_and_again_without_harm() -> None:
    url = new_database("cli_migrate")
    for _ in range(2):
        done = command("migrate", url=url)
        assert (done.code, done.out) == (0, "The database is at revision 0001.")
    partner_id = make_partner(url)
    assert command("migrate", url=url).code == 0
    assert rows(url, "select id from partner") == [(partner_id,)]


def test_an_administrator_is_told_only_what_is_still_missing() -> None:
    url = new_database("cli_roles")
    login = sql.Identifier("hub_without_rights")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop role if exists {}").format(login))
        connection.execute(sql.SQL("create role {} login password 'only-on-loopback'").format(login))
    poor = url.replace("hub_test:", "hub_without_rights:")
    done = command("migrate", url=poor)
    assert (done.code, done.out, "(roles_missing)" in done.err) == (1, "", True)
    assert "create role" not in done.err, "the roles are there already, by another installation"
    assert done.err.count('to "hub_without_rights" with inherit') == 4
    assert f'grant create on database "{url.rpartition("/")[2]}" to hub_owner' in done.err


@contextmanager
def old_server(version: str) -> Iterator[int]:
    """Greet like a PostgreSQL of the version, as far as a client looks before it asks anything."""

    def said(kind: bytes, body: bytes) -> bytes:
        return kind + (len(body) + 4).to_bytes(4, "big") + body

    def greet() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    while int.from_bytes(connection.recv(8)[4:], "big") != 196_608:
                        connection.sendall(b"N")  # neither TLS nor GSS
                    connection.recv(4096)
                    about = {"server_version": version, "client_encoding": "UTF8"}
                    parts = [said(b"S", f"{key}\0{value}\0".encode()) for key, value in about.items()]
                    connection.sendall(said(b"R", bytes(4)) + b"".join(parts) + said(b"Z", b"I"))
                    connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=10)


def test_an_older_postgresql_is_refused_before_anything_is_asked() -> None:
    with old_server("15.12 (Debian 15.12-0+deb12u2)") as port:
        done = command("migrate", url=f"postgresql://hub:only-on-loopback@127.0.0.1:{port}/hub")
    assert (done.code, done.out) == (1, "")
    words = "The database is PostgreSQL 15: PostgreSQL 16 or newer is needed. (database_too_old)"
    assert done.err == words


def test_a_reader_that_leaves_early_ends_nothing(database_url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "partnerhub.cli", "doctor"],
        env=environment(database_url, **SECRETS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "database_schema" not in process.stdout.readline():
            assert process.poll() is None
        process.stdout.close()  # as `| head` does
        said = process.stderr.read()
    assert (process.returncode, said) == (1, ""), "1 is what the checks came to"


def test_every_wrong_setting_is_listed_at_once_by_every_command() -> None:
    environ = {
        **environment("postgresql://hub:only-on-loopback@h/d", **SECRETS, hub_port="99999"),
        "PARTNERHUB_SECRET_KEYS": "c2hvcnQ=",
        "PARTNERHUB_HUB_PROT": "8082",
    }
    del environ["PARTNERHUB_META_APP_ID"]
    listed = [
        "PARTNERHUB_HUB_PROT",
        "PARTNERHUB_SECRET_KEYS",
        "PARTNERHUB_HUB_PORT",
        "PARTNERHUB_META_APP_ID",
    ]
    for arguments in (["migrate"], ["wallet", "show", "onePA"], ["serve", "worker"]):
        done = command(*arguments, environ=environ)
        assert done.code != 0
        assert [name for name in listed if f"{name}: " not in done.err] == [], arguments
        assert "c2hvcnQ=" not in done.err
    looked = command("doctor", environ=environ)
    assert (looked.code, looked.out.count("failed   settings")) == (1, len(listed))


def test_a_database_that_is_away_is_one_line() -> None:
    url = "postgresql://hub_test:only-on-loopback@127.0.0.1:9/hub"
    done = command("migrate", url=url)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].endswith("(database_refused)")
    done = command("wallet", "show", "onePA", url=url)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].endswith("(database_refused)")


def test_keys_are_made_and_rotated(database_url: str) -> None:
    made = [command("keys", "new", url=database_url).out for _ in range(2)]
    assert made[0] != made[1]
    assert [len(base64.b64decode(key, validate=True)) for key in made] == [32, 32]

    async def seal() -> None:
        database = Database(database_url, name="test")
        await database.open()
        async with database.tenant("onePA") as unit:
            await webhooks.add_signing_key(
                unit, partner_id="onePA", secret="s", overlap_hours=0, keyring=Keyring.from_text(SECRET_KEYS)
            )
        await database.close()

    asyncio.run(seal())
    both = environment(database_url, **SECRETS, secret_keys=f"{OTHER_KEY},{SECRET_KEYS}")
    done = command("keys", "rotate", environ=both)
    assert (done.code, done.out) == (0, "1 value is under the newest key now.")
    again = command("keys", "rotate", environ=both)
    assert (again.code, again.out) == (0, "Nothing to do: everything is under the newest key already.")
    # With the wrong ring nothing opens, nothing is changed, and it is said.
    done = command("keys", "rotate", url=database_url)
    assert (done.code, done.out) == (1, "Nothing was sealed anew.")
    assert "signing_key.secret_sealed" in done.err
    assert done.err.endswith("1 value does not open and stays as it is (seal_broken)")
    assert command("keys", "rotate", environ=both).code == 0


def test_a_backup_is_written_restored_and_never_in_the_way(database_url: str, tmp_path: Path) -> None:
    make_partner(database_url)
    file = tmp_path / "hub.backup"
    done = command("backup", str(file), url=database_url)
    assert done.code == 0, done.err
    assert "revision 0001." in done.out
    assert "PARTNERHUB_SECRET_KEYS" in done.out, "what is not in the file is said"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = command("backup", str(file), url=database_url)
    assert (again.code, "(backup_exists)" in again.err) == (1, True)

    url = new_database("cli_restore")
    done = command("restore", str(file), url=url)
    assert done.code == 0, done.err
    assert done.out.endswith("The books add up, and every secret opens.")
    assert counts(url) == counts(database_url)
    over = command("restore", str(file), url=url)
    assert (over.code, "(database_not_empty)" in over.err) == (1, True)
    noise = tmp_path / "noise"
    noise.write_text("not a backup")
    wrong = command("restore", str(noise), url=new_database("cli_restore"))
    assert (wrong.code, "(backup_unusable)" in wrong.err) == (1, True)


def test_the_doctor_leaves_with_1_and_says_what_failed() -> None:
    # A database of its own: on the common one another test's worker may have left its sign of life.
    done = command("doctor", url=clone_database("cli_doctor"))
    assert done.code == 1
    lines = [line.split(maxsplit=2) for line in done.out.splitlines()[:-1]]
    found = {code: level for level, code, _ in lines}
    assert found["database_schema"] == "ok"
    assert found["jobs_worker"] == found["mail_server"] == found["meta_app"] == "failed"
    assert re.fullmatch(r"\d+ checks: \d+ ok, \d+ warning, \d+ failed\.", done.out.splitlines()[-1])


async def test_the_callback_is_set_once_meta_was_answered(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring, with_webhook=False) as stage:
        environ = environment(
            database.url,
            gateway_url=stage.config.gateway_url,
            meta_graph_url=stage.meta.url,
            meta_app_id=harness.APP_ID,
            meta_app_secrets=harness.APP_SECRET,
            meta_verify_token=harness.VERIFY_TOKEN,
        )
        done = await asyncio.to_thread(command, "subscribe", environ=environ)
        assert done.code == 0, done.err
        kept = await stage.meta.get(
            f"/{harness.APP_ID}/subscriptions", token=f"{harness.APP_ID}|{harness.APP_SECRET}"
        )
        (subscription,) = kept.json["data"]
        assert subscription["callback_url"] == f"{stage.config.gateway_url}/meta/webhook"
        carried = {one["name"] for one in subscription["fields"]}
        assert carried == {*callback.NEEDED_FIELDS, *callback.PASSED_ON_FIELDS}
        wrong = {**environ, "PARTNERHUB_META_VERIFY_TOKEN": "not-the-token"}
        done = await asyncio.to_thread(command, "subscribe", environ=wrong)
        assert (done.code, "(meta_refused)" in done.err) == (1, True)


@contextmanager
def started(*arguments: str, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command that goes on until it is told to stop."""
    process = subprocess.Popen(
        [sys.executable, "-m", "partnerhub.cli", *arguments],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def wait_until(is_so: Any, *, seconds: float = 60.0) -> None:  # Any: a condition
    """Wait for a process outside."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Tell whether a process answers there with 200."""
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http address
            return bool(answer.status == 200)
    except OSError:
        return False


def test_serve_becomes_the_service(database_url: str) -> None:
    port = free_port()
    environ = environment(database_url, **SECRETS, worker_port=port, log_level="warning")
    with started("serve", "worker", environ=environ) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        name = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert b"partnerhub.app.worker" in name, "no wrapper stays between the service and its manager"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert command("serve", "coffee", url=database_url).code == 2


def test_one_machine_runs_on_its_own_database_and_is_reached_by_its_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder, ports = tmp_path / "data", (free_port(), free_port())
    environ = environment("", **SECRETS, worker_port=free_port(), log_level="error")
    for generated in ("DATABASE_URL", "PARTNERHUB_SECRET_KEYS"):
        del environ[generated]
    for name, port in zip(("HUB", "GATEWAY"), ports, strict=True):
        environ[f"PARTNERHUB_{name}_URL"] = f"http://127.0.0.1:{port}"
    data_dir = ("--data-dir", str(folder))
    run = ("run", *data_dir, "--hub-port", str(ports[0]), "--gateway-port", str(ports[1]))
    file = tmp_path / "hub.backup"
    with started(*run, environ=environ) as process:
        wait_until(lambda: (folder / "settings.json").exists() and "Running" in _head(process), seconds=90)
        pids = json.loads((folder / "run.json").read_text())["pids"]
        assert set(pids) == {"postgres", "gateway", "hub", "worker"}
        assert stat.S_IMODE((folder / "settings.json").stat().st_mode) == 0o600
        bare = {"PATH": environ["PATH"], "HOME": environ["HOME"]}
        made = command("partner", "create", "Acme Chat", "--country", "DE", *data_dir, environ=bare)
        assert made.code == 0, made.err
        looked = command("doctor", *data_dir, environ=bare)
        for code in ("database_schema", "jobs_worker", "public_hub", "public_gateway", "callback_handshake"):
            assert f"ok       {code} " in looked.out, looked.out
        assert command("backup", str(file), *data_dir, environ=bare).code == 0
        second = command(*run, environ=environ)
        assert (second.code, "(already_running)" in second.err) == (1, True)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert not (folder / "settings.json").exists()
    assert not (folder / "run.json").exists()
    assert all(not Path(f"/proc/{pid}").exists() for listed in pids.values() for pid in listed)
    # The database is started for a command where nothing runs.
    shown = command("wallet", "show", made.out.split()[-1].rstrip("."), *data_dir, environ=bare)
    assert shown.code == 0, shown.err
    over = command("restore", str(file), *data_dir, environ=bare)
    assert (over.code, "(database_not_empty)" in over.err) == (1, True)


def _head(process: subprocess.Popen[str]) -> str:
    """Return the next line of what a process prints."""
    assert process.poll() is None, process.communicate()[0]
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("arguments", [["brew"], ["wallet", "drain"], ["wallet", "top-up", "onePA"]])
def test_what_is_no_command_is_told(arguments: list[str]) -> None:
    done = command(*arguments, environ={"PATH": os.environ["PATH"]})
    assert (done.code, done.out) == (2, "")
    assert "Usage:" in done.err
