"""Lists take as many statements for many rows as for one."""

from __future__ import annotations

import pytest
from tests.factories import make_channel, make_client, make_template, make_waba
from tests.partner_api.conftest import Api
from tests.statements import Counted


async def _statements(api: Api, path: str) -> int:
    Counted.statements.clear()
    answer = await api.get(path)
    assert answer.status == 200
    return len(Counted.statements)


@pytest.mark.parametrize("path", ["clients", "channels", "waba_accounts/q1W2e3WA/waba_templates"])
async def test_a_list_of_many_rows_takes_no_more_statements_than_a_list_of_one(api: Api, path: str) -> None:
    client = await make_client(api.database, partner=api.partner)
    waba = await make_waba(api.database, client=client, id="q1W2e3WA")
    await make_channel(api.database, waba=waba)
    await make_template(api.database, waba=waba)
    async with api.database.pool.connection() as connection:
        connection.cursor_factory = Counted
    await _statements(api, path)
    few = await _statements(api, path)
    for _ in range(8):
        other = await make_client(api.database, partner=api.partner)
        await make_channel(api.database, waba=await make_waba(api.database, client=other))
        await make_template(api.database, waba=waba)
    many = await _statements(api, path)
    # Two units of two statements to open, the key, and at most three reads.
    assert 4 <= few == many <= 8
