"""Mails to a partner's owners about what stopped working."""

from __future__ import annotations

from tests.factories import make_member, make_partner

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.partners.notices import warn_of_endpoint
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.services import disable_endpoint, set_endpoint


async def test_every_owner_hears_of_a_paused_webhook_whatever_the_partners_name(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database, brand_name="Acme\n\x07Chat")
    for role in ("owner", "owner", "member"):
        await make_member(database, partner=partner, role=role)
    async with database.tenant(partner.id) as unit:
        await set_endpoint(
            unit,
            partner_id=partner.id,
            owner_kind=OwnerKind.PARTNER,
            owner_id=partner.id,
            url="https://acme.example/h",
            headers={},
            keyring=keyring,
        )
    async with database.system() as unit:
        endpoint_id = str(await unit.fetch_value("select id from endpoint"))
    works = await warn_of_endpoint(database, endpoint_id=endpoint_id, reason="gone", hub_url="https://hub")
    async with database.system() as unit:
        await disable_endpoint(unit, owner_kind=OwnerKind.PARTNER, owner_id=partner.id)
    paused = await warn_of_endpoint(database, endpoint_id=endpoint_id, reason="gone", hub_url="https://hub")
    assert (works, paused) == (0, 2)
    async with database.system() as unit:
        mails = await unit.fetch_dicts("select subject, body_text from mail")
    assert [mail["subject"] for mail in mails] == ["Acme Chat: A webhook is paused"] * 2
    assert "https://acme.example/h" in mails[0]["body_text"]
