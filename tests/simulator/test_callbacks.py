"""Callbacks are never lost: retries, restarts, kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives import serialization

from tests.kit.http.test_tls import Authority
from tests.simulator.harness import (
    APP_ID,
    APP_SECRET,
    CONFIG,
    SYSTEM_TOKEN,
    Meta,
    Receiver,
    Shop,
    listening,
    running,
    seed_shop,
    subscribe,
    try_to_subscribe,
    until,
)


async def test_a_callback_is_retried_until_it_is_answered_200(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    receiver.answers = [500, 201, 302, 204]
    injected = await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": "4915", "text": "hi"})
    await until(lambda: len(receiver.messages) == 1)
    callback = (await meta.admin("GET", "/callbacks"))[0]
    assert callback["state"] == "acked"
    found = await meta.admin("GET", f"/callbacks/{injected['callbacks'][0]}")
    assert [attempt["status"] for attempt in found["attempt_log"]] == [500, 201, 302, 204, 200]
    events = await meta.admin("GET", "/events", is_acked="true")
    assert [(event["kind"], event["id"]) for event in events] == [("message", injected["wamid"])]


async def test_non_ascii_is_signed_in_metas_escaped_form(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "messages")
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": "4915", "text": "Grüße €"})
    await until(lambda: len(receiver.messages) == 1)
    assert b"Gr\\u00fc\\u00dfe \\u20ac" in receiver.bodies[0]
    assert receiver.signatures_ok == [True]


async def test_an_https_receiver_is_verified(authority: Authority) -> None:
    ca_file = authority.folder / "ca.pem"
    ca_file.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    for trusted in (None, ca_file):
        async with (
            listening(tls=authority.serving("127.0.0.1")) as secure,
            running(replace(CONFIG, callback_ca_file=trusted)) as meta,
        ):
            answer = await try_to_subscribe(meta, secure, "messages")
            if trusted is None:
                assert (answer.status, answer.error["code"]) == (400, 2200)
                continue
            shop = await seed_shop(meta)
            await meta.admin("POST", "/faults", {"action": "drop"})
            await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": "4915", "text": "hi"})
            await until(lambda: len(secure.messages) == 1)


async def test_a_restart_keeps_assets_rules_time_and_debts(data_file: Path, receiver: Receiver) -> None:
    config = replace(CONFIG, data_file=data_file)
    async with running(config) as meta:
        shop = await seed_shop(meta)
        await subscribe(meta, receiver, "messages")
        await meta.admin("PATCH", "/rules", {"delivered_after_seconds": 3_600.0, "read_probability": 0.0})
        await meta.admin("POST", "/clock", {"advance_seconds": 86_400})
        await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": "491511", "text": "hi"})
        sent = await meta.send(shop.number_id, "491511")
        await until(lambda: len(receiver.statuses) == 1)
        ids = {shop.number_id, sent.json["messages"][0]["id"]}
    async with running(config) as meta:
        state = await meta.admin("GET", "/state")
        assert state["rules"]["delivered_after_seconds"] == 3_600.0
        assert state["clock"]["shift_seconds"] == 86_400
        assert state["owed"]["messages_and_reviews"] == 1
        again = await meta.send(shop.number_id, "491511")
        assert again.json["messages"][0]["id"] not in ids
        await meta.admin("POST", "/clock", {"advance_seconds": 3_601})
        await until(lambda: len(receiver.statuses) == 4)
        assert [status["status"] for status in receiver.statuses].count("delivered") == 2


_PROGRAM = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from partnerhub.simulator import Rules, SimulatorConfig
    from partnerhub.simulator.server import run
    run(SimulatorConfig(app_id=sys.argv[3], app_secret=sys.argv[4], system_user_token=sys.argv[5],
        data_file=Path(sys.argv[1]), callback_retry_seconds=(0.05,), callback_retry_after_seconds=0.05,
        rules=Rules(sent_after_seconds=0.0, delivered_after_seconds=0.05, read_probability=0.0,
                    throughput=False, messaging_limit="off")),
        port=int(sys.argv[2]))
    """
)


async def _start(data_file: Path, port: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, str(data_file), str(port), APP_ID, APP_SECRET, SYSTEM_TOKEN
    )

    async def is_up() -> bool:
        assert process.returncode is None, "the simulator did not start"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{port}/healthz") as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await until(is_up, 30.0, every=0.1)
    return process


async def test_nothing_accepted_is_lost_when_the_simulator_is_killed(
    data_file: Path, receiver: Receiver
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    accepted: set[str] = set()
    process = await _start(data_file, port)
    try:
        async with aiohttp.ClientSession() as session:
            meta = Meta(f"http://127.0.0.1:{port}", session)
            shop = await seed_shop(meta)
            await subscribe(meta, receiver, "messages")

            async def send_some(first: int) -> None:
                for customer in range(first, first + 80):
                    try:
                        answer = await meta.send_template(shop.number_id, str(4_915_000_000 + customer))
                    except aiohttp.ClientError:
                        return
                    if answer.status == 200:
                        accepted.add(answer.json["messages"][0]["id"])

            senders = [asyncio.create_task(send_some(80 * lane)) for lane in range(4)]
            await until(lambda: len(accepted) >= 200, 20.0)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await asyncio.gather(*senders)
            process = await _start(data_file, port)

            def is_complete() -> bool:
                if len(receiver.changes) < 2 * len(accepted):
                    return False
                told = {status["id"] for status in receiver.statuses if status["status"] == "delivered"}
                return accepted <= told

            await until(is_complete, 20.0, every=0.05)

            async def is_settled() -> bool:
                counts = await meta.admin("GET", "/counts")
                return bool(counts["owed"] == 0)

            await until(is_settled, 20.0, every=0.05)
            acked = {
                (event["id"], event["what"]) for event in await meta.admin("GET", "/events", is_acked="true")
            }
            got = {(status["id"], status["status"]) for status in receiver.statuses}
            assert acked == got
    finally:
        process.terminate()
        assert await process.wait() == 0
    print(f"accepted {len(accepted)}, callbacks {len(receiver.bodies)}")
    assert len(accepted) >= 200
    assert all(receiver.signatures_ok)
