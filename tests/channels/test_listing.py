"""Lists by the Partner API's rules: filters of every kind, sorting, paging, a fixed number of statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from tests.factories import (
    MadePartner,
    make_channel,
    make_client,
    make_partner,
    make_template,
    make_waba,
)

from partnerhub.channels.errors import ListingInvalid
from partnerhub.channels.queries import (
    as_partner_api,
    list_channels,
    list_clients,
    list_templates,
)
from partnerhub.channels.schemas import Listing
from partnerhub.kit.database import Database


async def _client_ids(database: Database, partner: MadePartner, listing: Listing) -> list[str]:
    async with database.tenant(partner.id) as unit:
        found = await list_clients(unit, partner_id=partner.id, listing=listing)
    return [client.id for client in found.rows]


async def _channel_ids(
    database: Database, partner: MadePartner, filters: Mapping[str, object], *sort: str
) -> list[str]:
    async with database.tenant(partner.id) as unit:
        found = await list_channels(
            unit, partner_id=partner.id, listing=Listing(filters=filters, sort=sort or ("id",))
        )
    return [channel.id for channel in found.rows]


async def test_ids_are_ordered_without_regard_to_case_digits_first(database: Database) -> None:
    partner = await make_partner(database)
    for client_id in ("bbCL", "Aacl", "AaCL", "1zCL", "BaCL", "aaCL"):
        await make_client(database, partner=partner, id=client_id)
    assert await _client_ids(database, partner, Listing()) == [
        "1zCL", "AaCL", "Aacl", "aaCL", "BaCL", "bbCL",
    ]  # fmt: skip
    assert await _client_ids(database, partner, Listing(sort=("-id",))) == [
        "bbCL", "BaCL", "aaCL", "Aacl", "AaCL", "1zCL",
    ]  # fmt: skip


@pytest.mark.parametrize("sort", [("colour",), ("-account_mode",), ("-colour", "status")])
async def test_rows_that_are_equal_otherwise_are_in_the_order_of_ids(
    database: Database, sort: tuple[str, ...]
) -> None:
    partner = await make_partner(database)
    waba = await make_waba(database, client=await make_client(database, partner=partner))
    for channel_id in ("bbCH", "aach", "aaCH", "AaCH", "BaCH"):
        await make_channel(database, waba=waba, id=channel_id)
    assert await _channel_ids(database, partner, {}, *sort) == ["AaCH", "aaCH", "aach", "BaCH", "bbCH"]


async def test_several_sort_fields_apply_in_turn(database: Database) -> None:
    partner = await make_partner(database)
    await make_client(database, partner=partner, id="1CL", name="Beta", organisation="x")
    await make_client(database, partner=partner, id="2CL", name="alpha", organisation="x")
    await make_client(database, partner=partner, id="3CL", name="Beta", organisation="y")
    assert await _client_ids(database, partner, Listing(sort=("-name", "-id"))) == ["3CL", "1CL", "2CL"]
    assert await _client_ids(database, partner, Listing(sort=("organisation", "name"))) == [
        "2CL",
        "1CL",
        "3CL",
    ]


async def test_total_counts_what_matches_and_paging_takes_a_part(database: Database) -> None:
    partner = await make_partner(database)
    for number in range(7):
        await make_client(
            database, partner=partner, id=f"{number}CL", name="even" if number % 2 == 0 else "odd"
        )
    async with database.tenant(partner.id) as unit:
        found = await list_clients(
            unit, partner_id=partner.id, listing=Listing(limit=2, offset=1, filters={"name": "even"})
        )
        beyond = await list_clients(unit, partner_id=partner.id, listing=Listing(offset=50))
    assert ([client.id for client in found.rows], found.total) == (["2CL", "4CL"], 4)
    assert (beyond.rows, beyond.total) == ([], 7)


async def test_a_filter_that_matches_nothing_gives_an_empty_list(database: Database) -> None:
    partner = await make_partner(database)
    await make_client(database, partner=partner)
    assert await _client_ids(database, partner, Listing(filters={"id": "nobodyCL"})) == []


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({"id": "k9Lm2NCH"}, True),
        ({"id": "K9Lm2NCH"}, False),
        ({"client.contact_info.email": "OPS@client.example"}, True),
        ({"client.name": "Client GmbH", "account_mode": "live"}, True),
        ({"client.name": "Client GmbH", "account_mode": "sandbox"}, False),
        ({"setup_info.phone_number": "4930000000"}, True),
        ({"setup_info.phone_number": "+49 30 000000"}, True),
        ({"setup_info.phone_number": 4930000000}, True),
        ({"setup_info.was_in_use": False}, True),
        ({"setup_info.was_in_use": "true"}, False),
        ({"waba_account.timezone_id": 42}, True),
        ({"waba_account.timezone_id": "43"}, False),
        ({"waba_account.fb_account_status": "verified"}, True),
        ({"waba_account.status": "approved", "status": "ready", "hub_status": "live"}, True),
        ({"integration.enabled": True, "integration.state": "running"}, True),
        ({"created_at": "2024-01-01T10:00:00Z"}, True),
        ({"created_at": "2024-01-01T11:00:00+01:00"}, True),
        ({"created_at": "2024-01-01T10:00:01Z"}, False),
        ({"setup_info.ivr": False}, True),
        ({"setup_info.ivr": True}, False),
        ({"setup_info.has_integration_layer": "false"}, False),
        ({"setup_info.shards_number": 2}, False),
        ({"type": "x"}, False),
        ({"version": 2}, False),
        ({"project.id": "x"}, False),
        ({"project.name": "x"}, False),
        ({"project.license_model": "x"}, False),
        ({"project.id": None}, True),
        ({"waba_account.on_behalf_of_business_info.id": "7"}, False),
        ({"terminated_at": None}, True),
        ({"current_limit": None}, False),
        ({"current_quality_rating": "GREEN"}, True),
        ({"status": None}, True),
        ({"no_such_field": "x"}, True),
        ({"q": "30000"}, True),
        ({"q": "client"}, True),
        ({"q": "k9lm"}, True),
        ({"q": "%"}, False),
        ({"q": "  "}, True),
        ({"q": "+4930000000"}, True),
        ({"q": "+49 (30) 000-000"}, True),
        ({"q": "30.000/000"}, True),
        ({"q": "+49 30 000 001"}, False),
        ({"q": "+-"}, False),
        ({"q": None}, True),
    ],
)
async def test_a_channel_is_found_by_its_filters(
    database: Database, filters: dict[str, object], matches: bool
) -> None:
    partner = await make_partner(database)
    waba = await make_waba(database, client=await make_client(database, partner=partner))
    await make_channel(
        database,
        waba=waba,
        id="k9Lm2NCH",
        phone_number="4930000000",
        created_at=datetime(2024, 1, 1, 10, 0, 0, 123456, UTC),
    )
    assert await _channel_ids(database, partner, filters) == (["k9Lm2NCH"] if matches else [])


def _leaves(shown: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in shown.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}", value


async def test_every_value_that_a_channel_shows_is_found_by_it_and_can_be_sorted_by(
    database: Database,
) -> None:
    partner = await make_partner(database)
    waba = await make_waba(database, client=await make_client(database, partner=partner))
    made = await make_channel(database, waba=waba)
    async with database.tenant(partner.id) as unit:
        (channel,) = (await list_channels(unit, partner_id=partner.id, listing=Listing())).rows
    shown = dict(_leaves(as_partner_api(channel)))
    assert shown["client.contact_info.street_name"] == ""
    for name, value in shown.items():
        assert await _channel_ids(database, partner, {name: value}, name) == [made.id], name
        other = not value if isinstance(value, bool) else 479 if isinstance(value, int) else "2001-01-01"
        assert await _channel_ids(database, partner, {name: other}, f"-{name}") == [], name


async def test_every_value_that_a_client_shows_is_found_by_it(database: Database) -> None:
    partner = await make_partner(database)
    made = await make_client(database, partner=partner)
    async with database.tenant(partner.id) as unit:
        (client,) = (await list_clients(unit, partner_id=partner.id, listing=Listing())).rows
    shown = dict(_leaves(as_partner_api(client)))
    assert (shown["contact_user.phone"], shown["contact_info.zip_code"]) == ("", "")
    for name, value in shown.items():
        # Who wrote a client is nothing that its closed list of names has.
        if not name.startswith(("created_by", "modified_by")) and name != "suspicious":
            found = await _client_ids(database, partner, Listing(filters={name: value}, sort=(name,)))
            assert found == [made.id], name


@pytest.mark.parametrize(
    "filters",
    [
        {"id": ["a", "b"]},
        {"id": {"in": ["a"]}},
        {"id": True},
        {"id": 1.5},
        {"id": "nul\x00"},
        {"created_at": "yesterday"},
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"created_at": 5},
        {"setup_info.was_in_use": "perhaps"},
        {"waba_account.timezone_id": "many"},
        {"waba_account.timezone_id": 2**70},
        {"q": {}},
    ],
)
async def test_a_filter_value_of_the_wrong_type_is_refused(
    database: Database, filters: dict[str, object]
) -> None:
    partner = await make_partner(database)
    with pytest.raises(ListingInvalid) as caught:
        await _channel_ids(database, partner, filters)
    assert list(caught.value.fields) == list(filters)


async def test_the_client_list_refuses_unknown_names_and_the_channel_list_passes_over_them(
    database: Database,
) -> None:
    partner = await make_partner(database)
    for listing in (Listing(filters={"colour": "red"}), Listing(sort=("colour",))):
        with pytest.raises(ListingInvalid, match="colour"):
            await _client_ids(database, partner, listing)
    assert await _channel_ids(database, partner, {"colour": "red"}, "-colour") == []


@pytest.mark.parametrize("name", ["name", "business_templates.name"])
async def test_templates_are_found_by_both_spellings_of_the_name(database: Database, name: str) -> None:
    waba = await make_waba(database)
    wanted = await make_template(database, waba=waba, name="promo_1")
    await make_template(database, waba=waba, name="promo_2")
    async with database.tenant(waba.partner_id) as unit:
        found = await list_templates(
            unit,
            partner_id=waba.partner_id,
            waba_id=waba.id,
            listing=Listing(filters={name: "promo_1"}, sort=("-business_templates.name", "status")),
        )
    assert [template.id for template in found.rows] == [wanted.id]


async def test_an_unset_status_and_language_of_a_typed_client_filter_nothing(database: Database) -> None:
    waba = await make_waba(database)
    await make_template(database, waba=waba, status="rejected", language="pt_BR")
    async with database.tenant(waba.partner_id) as unit:
        found = await list_templates(
            unit,
            partner_id=waba.partner_id,
            waba_id=waba.id,
            listing=Listing(filters={"status": "unknown", "language": "unknown", "category": "MARKETING"}),
        )
    assert found.total == 1


@pytest.mark.parametrize("rows", [1, 5])
async def test_a_list_takes_two_statements_whatever_its_length(database: Database, rows: int) -> None:
    partner = await make_partner(database)
    for _ in range(rows):
        await make_channel(
            database, waba=await make_waba(database, client=await make_client(database, partner=partner))
        )
    async with database.tenant(partner.id) as unit:
        statements: list[str] = []
        cursor = unit.connection.cursor_factory

        class Counting(cursor):  # type: ignore[misc, valid-type]  # the driver's own class, chosen at run time
            async def execute(self, query: object, *args: object, **named: object) -> object:
                statements.append(str(query))
                return await super().execute(query, *args, **named)

        unit.connection.cursor_factory = Counting
        found = await list_channels(unit, partner_id=partner.id, listing=Listing())
        unit.connection.cursor_factory = cursor
    assert (len(found.rows), len(statements)) == (rows, 2)


async def test_another_partners_rows_are_never_listed(database: Database) -> None:
    partner, other = await make_partner(database), await make_partner(database)
    await make_channel(
        database, waba=await make_waba(database, client=await make_client(database, partner=other))
    )
    assert await _channel_ids(database, partner, {}) == []
    async with database.tenant(partner.id) as unit:
        assert (await list_channels(unit, partner_id=other.id, listing=Listing())).total == 0
