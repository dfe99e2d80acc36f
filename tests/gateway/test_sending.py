"""Sends over HTTP: priced, reserved, passed on, settled."""

from __future__ import annotations

from tests.gateway.stage import PARTNER, Stage
from tests.ledger.stock import figures, micros, states
from tests.simulator.harness import until


async def test_a_template_is_reserved_then_captured_and_its_statuses_reach_the_webhook(stage: Stage) -> None:
    answer = await stage.client.send_template()
    assert answer.status == 200, answer.body
    wamid = answer.json["messages"][0]["id"]
    await until(lambda: len(stage.receiver.got) == 3)

    await until(lambda: stage.is_message(wamid, "read"))
    assert await states(stage.database) == ["captured"]
    assert await figures(stage.database) == (micros("100") - micros("0.1365"), 0, 0)
    async with stage.database.tenant(PARTNER) as unit:
        rows = await unit.fetch_dicts("select wamid, type, category, template from message")
    assert rows == [{"wamid": wamid, "type": "template", "category": "marketing", "template": "news"}]
