"""The demo as processes: what it tells of itself, what a kill does, stopping it, starting it again."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from tests.e2e.installation import (
    SERVICES,
    Installation,
    answers,
    data_folder,
    is_alive,
    read_pids,
    running,
    start,
    stop,
    wait_until_ready,
)

pytestmark = [pytest.mark.xdist_group("installation"), pytest.mark.slow]

# On a quiet machine each service is back within 2 seconds; a busy one must not make this a matter of luck.
BACK_WITHIN_SECONDS = 20.0
FACTS = {
    "hub_url",
    "gateway_url",
    "simulator_url",
    "mailbox_url",
    "receiver_url",
    "site_url",
    "partner_id",
    "user_email",
    "user_password",
    "partner_api_key",
    "platform_secret",
    "client_id",
    "channel_id",
    "channel_api_key",
    "phone_number_id",
    "waba_external_id",
    "template_name",
    "template_language",
}


def test_it_tells_its_processes_and_its_facts_to_its_owner_only(demo: Installation) -> None:
    assert set(read_pids(demo.folder)) == set(SERVICES)
    for service in SERVICES:
        assert demo.pids(service)
        assert all(is_alive(pid) for pid in demo.pids(service))
    assert set(demo.facts) == FACTS
    assert all(demo.facts.values())
    private = [demo.folder / name for name in ("demo.json", "installation.json", "sample.json")]
    private += demo.folder.glob("simulator.sqlite*")
    assert len(private) > 3
    assert [stat.S_IMODE(file.stat().st_mode) for file in private] == [0o600] * len(private)
    assert stat.S_IMODE((demo.folder / "mailbox").stat().st_mode) == 0o700


def test_what_it_prints_stands_on_lines_of_its_own(demo: Installation) -> None:
    lines = (demo.folder / "output.log").read_text().splitlines()
    for name in ("hub_url", "site_url", "user_password", "partner_api_key"):
        assert any(line.endswith("  " + demo[name]) for line in lines), name


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_is_back(demo: Installation, service: str) -> None:
    is_back = _check_of(demo, service)
    assert is_back()
    before = demo.pids(service)
    killed_at = time.monotonic()
    demo.kill(service)
    while any(is_alive(pid) for pid in before):
        time.sleep(0.005)
    while not (demo.pids(service) and set(demo.pids(service)).isdisjoint(before) and is_back()):
        assert time.monotonic() - killed_at < BACK_WITHIN_SECONDS
        time.sleep(0.02)
    print(f"{service} was back after {time.monotonic() - killed_at:.2f} s")
    # Whoever lost its database has found it again.
    _until(lambda: all(_check_of(demo, one)() for one in SERVICES), within_seconds=BACK_WITHIN_SECONDS)


@pytest.mark.parametrize("service", ["gateway", "hub"])
def test_who_connects_while_a_service_is_away_waits_and_is_not_refused(
    demo: Installation, service: str
) -> None:
    (before,) = demo.pids(service)
    demo.kill(service)
    while is_alive(before):
        time.sleep(0.005)
    asked_at = time.monotonic()
    with urllib.request.urlopen(  # noqa: S310 - our own http address
        f"{demo[f'{service}_url']}/healthz", timeout=BACK_WITHIN_SECONDS
    ) as answer:
        assert answer.status == 200
    print(f"{service} answered after {time.monotonic() - asked_at:.2f} s")
    assert demo.pids(service) != [before]


def test_a_port_that_another_program_has_is_named(demo: Installation) -> None:
    with data_folder() as folder:
        second = subprocess.run(
            [
                *(sys.executable, "-m", "partnerhub.cli", "run", "--demo", "--data-dir", str(folder)),
                *("--hub-port", demo["hub_url"].rpartition(":")[2]),
                *("--gateway-port", "0", "--simulator-port", "0"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert demo["hub_url"].rpartition(":")[2] in second.stderr
        assert "port_taken" in second.stderr
        assert not (folder / "run.json").exists()
    assert answers(f"{demo['hub_url']}/healthz")


def test_a_second_start_in_the_same_folder_is_refused(demo: Installation) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "partnerhub.cli", "run", "--demo", "--data-dir", str(demo.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "already_running" in second.stderr
    # The one that runs keeps its files and its processes.
    assert (demo.folder / "demo.json").exists()
    assert answers(f"{demo['hub_url']}/healthz")


def test_it_stops_whole_and_starts_again_with_what_it_had() -> None:
    with data_folder() as outer:
        folder = outer / "data"
        with running(folder) as first:
            _send(first)
            _until(lambda: first.rows("select 1 from charge where state = 'captured'") != [])
            facts, balance, pids = first.facts, _balance(first), _all_pids(folder)
            asked_at = time.monotonic()
            assert stop(first.process) == 0
            print(f"stopped {len(pids)} processes in {time.monotonic() - asked_at:.2f} s")
            _is_gone(folder, pids)
        assert balance == Decimal("4999.87")

        started_at = time.monotonic()
        with running(folder) as second:
            print(f"started again in {time.monotonic() - started_at:.2f} s")
            lasting = FACTS - {name for name in FACTS if name.endswith("_url")}
            assert {name: second[name] for name in lasting} == {name: facts[name] for name in lasting}
            assert _balance(second) == balance
            _send(second)
            _until(lambda: len(second.rows("select 1 from charge where state = 'captured'")) == 2)


def test_nothing_is_left_of_one_that_was_killed_or_stopped_while_it_started() -> None:
    with data_folder() as outer:
        folder = outer / "data"
        process = start(folder)
        wait_until_ready(folder, process)
        pids = _all_pids(folder)
        # The supervisor has no time to stop anything: the kernel ends its children.
        process.kill()
        process.wait()
        _until(lambda: not any(is_alive(pid) for pid in pids))
        assert (folder / "demo.json").exists()

        # What the dead one told is wrong now, so it goes first; then a stop in the middle of the start.
        process = start(folder)
        _until(lambda: not (folder / "demo.json").exists())
        _until(lambda: "postgres" in read_pids(folder) and not set(read_pids(folder)["postgres"]) & set(pids))
        assert stop(process) == 0
        _is_gone(folder, pids)


def _check_of(demo: Installation, service: str) -> Callable[[], bool]:
    if service == "postgres":
        return lambda: _connects(demo.database_url)
    worker = f"http://127.0.0.1:{demo.environment['PARTNERHUB_WORKER_PORT']}" if demo.pids("hub") else ""
    url = {
        "hub": f"{demo['hub_url']}/readyz",
        "gateway": f"{demo['gateway_url']}/readyz",
        "worker": f"{worker}/readyz",
        "simulator": f"{demo['simulator_url']}/healthz",
        "mailbox": f"{demo['mailbox_url']}/healthz",
        "site": demo["receiver_url"],
    }[service]
    return lambda: answers(url)


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _all_pids(folder: Path) -> list[int]:
    return [pid for pids in read_pids(folder).values() for pid in pids]


def _is_gone(folder: Path, pids: list[int]) -> None:
    assert not (folder / "demo.json").exists()
    assert not (folder / "run.json").exists()
    assert not [pid for pid in pids if is_alive(pid)]
    # Nobody works in its folders any more, the database's own children included.
    assert not [file for file in Path("/proc").glob("[0-9]*/cwd") if _leads_into(file, folder)]


def _leads_into(link: Path, folder: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(folder)
    except OSError:
        return False


def _call(url: str, headers: dict[str, str], body: Any = None) -> Any:  # Any: JSON
    request = urllib.request.Request(  # noqa: S310 - our own http address
        url,
        data=None if body is None else msgspec.json.encode(body),
        headers={**headers, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        return msgspec.json.decode(answer.read())


def _balance(demo: Installation) -> Decimal:
    url = f"{demo['hub_url']}/api/v2/partners/{demo['partner_id']}/balance"
    (one,) = _call(url, {"X-API-Key": demo["partner_api_key"]})
    return Decimal(str(one["total"]))


def _send(demo: Installation) -> None:
    message = {
        "messaging_product": "whatsapp",
        "to": "4915112345678",
        "type": "template",
        "template": {"name": demo["template_name"], "language": {"code": demo["template_language"]}},
    }
    sent = _call(f"{demo['gateway_url']}/messages", {"D360-API-KEY": demo["channel_api_key"]}, message)
    assert sent["messages"][0]["id"]


def _until(holds: Callable[[], bool], *, within_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, f"Not within {within_seconds} seconds."
        time.sleep(0.02)
