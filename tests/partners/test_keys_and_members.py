"""Partners, their keys and their people."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.factories import MadeMember, make_key, make_member, make_partner

from partnerhub.identity.queries import list_audit
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.ledger.queries import get_balance
from partnerhub.partners.errors import (
    KeyInvalid,
    KeyUnknown,
    LastOwner,
    MemberTaken,
    MemberUnknown,
    PartnerInvalid,
)
from partnerhub.partners.queries import find_key, list_keys, list_members, list_memberships
from partnerhub.partners.schemas import PaymentModel, Scope
from partnerhub.partners.services import (
    add_member,
    change_role,
    create_key,
    create_partner,
    note_key_use,
    remove_member,
    revoke_key,
)


async def test_a_key_is_found_by_its_secret_until_it_is_revoked(database: Database) -> None:
    partner = await make_partner(database)
    async with database.tenant(partner.id) as unit:
        key, secret = await create_key(
            unit, partner_id=partner.id, name=" CI ", scopes=["read", "write"], actor=SYSTEM
        )
        assert await list_keys(unit, partner_id=partner.id) == [key]
    async with database.system() as unit:
        assert await find_key(unit, secret=secret) == key
        assert await find_key(unit, secret=secret + "x") is None
        stored = await unit.fetch_dicts("select * from partner_key")
    assert (key.name, sorted(key.scopes), key.prefix) == ("CI", [Scope.READ, Scope.WRITE], secret[:10])
    assert secret not in str(stored)
    async with database.tenant(partner.id) as unit:
        await revoke_key(unit, partner_id=partner.id, key_id=key.id, actor=SYSTEM)
        assert await list_keys(unit, partner_id=partner.id) == []
        entries = await list_audit(unit, partner_id=partner.id)
    assert [entry.action for entry in entries] == ["partner_key.revoked", "partner_key.created"]
    assert secret not in str(entries)
    async with database.system() as unit:
        assert await find_key(unit, secret=secret) is None


async def test_keys_are_revoked_one_by_one_and_by_their_own_partner_only(database: Database) -> None:
    key, partner = await make_key(database), await make_partner(database)
    async with database.tenant(partner.id) as unit:
        for key_id in (key.id, uuid7()):
            with pytest.raises(KeyUnknown):
                await revoke_key(unit, partner_id=partner.id, key_id=key_id, actor=SYSTEM)
    async with database.system() as unit:
        assert await find_key(unit, secret=key.secret) is not None


@pytest.mark.parametrize(
    ("name", "scopes"), [("", ["read"]), ("x" * 101, ["read"]), ("CI", []), ("CI", ["admin"])]
)
async def test_a_key_needs_a_name_and_known_scopes(database: Database, name: str, scopes: list[str]) -> None:
    partner = await make_partner(database)
    async with database.tenant(partner.id) as unit:
        with pytest.raises(KeyInvalid):
            await create_key(unit, partner_id=partner.id, name=name, scopes=scopes, actor=SYSTEM)


async def test_the_use_of_a_key_is_noted_at_most_once_a_minute(database: Database) -> None:
    made = await make_key(database)
    noted = []
    for minutes in (0, 0.5, 1.5):
        with clock.moved_by(timedelta(minutes=minutes)):
            async with database.system() as unit:
                key = await find_key(unit, secret=made.secret)
                assert key is not None
                await note_key_use(unit, key=key)
                after = await find_key(unit, secret=made.secret)
                assert after is not None
                noted.append(after.last_used_at)
    assert noted[0] is not None
    assert noted[1] == noted[0]
    assert noted[2] is not None
    assert noted[2] > noted[0]


@pytest.mark.parametrize(("model", "balances"), [("partner_paid", 1), ("direct_paid", 0)])
async def test_a_partner_paid_partner_begins_with_an_empty_wallet(
    database: Database, model: PaymentModel, balances: int
) -> None:
    async with database.system() as unit:
        partner = await create_partner(
            unit, brand_name="Acme", country="DE", currency="EUR", payment_model=model, actor=SYSTEM
        )
    async with database.tenant(partner.id) as unit:
        found = await get_balance(unit, partner_id=partner.id)
        (entry,) = await list_audit(unit, partner_id=partner.id)
    assert len(found) == balances
    assert entry.action == "partner.created"
    assert (partner.legacy_token_auth_enabled, partner.mm_api_routing_enabled) == (False, True)


async def test_a_partner_with_wrong_members_is_refused_with_a_reason_each(database: Database) -> None:
    async with database.system() as unit:
        with pytest.raises(PartnerInvalid) as caught:
            await create_partner(
                unit,
                brand_name="Acme\nChat",
                country="Germany",
                currency="GBP",
                payment_model="free",  # type: ignore[arg-type]  # what a command line may hand in
                actor=SYSTEM,
            )
    assert set(caught.value.fields) == {"brand_name", "country", "currency", "payment_model"}


async def _second(database: Database, first: MadeMember, role: str) -> MadeMember:
    async with database.system() as unit:
        user_id = f"{role[:3]}abcU"
        await unit.execute(
            "insert into hub_user (id, email) values (%s, %s)", (user_id, f"{user_id}@acme.example")
        )
        member = await add_member(
            unit,
            partner_id=first.partner_id,
            user_id=user_id,
            role="owner" if role == "owner" else "member",
            actor=SYSTEM,
        )
    return MadeMember(member.user_id, member.partner_id, member.email, member.role)


async def test_people_are_listed_owners_first_and_belong_once(database: Database) -> None:
    owner = await make_member(database)
    member = await _second(database, owner, "member")
    async with database.tenant(owner.partner_id) as unit:
        people = await list_members(unit, partner_id=owner.partner_id)
        assert [one.user_id for one in people] == [owner.user_id, member.user_id]
    async with database.system() as unit:
        assert len(await list_memberships(unit, user_id=owner.user_id)) == 1
        with pytest.raises(MemberTaken):
            await add_member(
                unit, partner_id=owner.partner_id, user_id=owner.user_id, role="member", actor=SYSTEM
            )
        # The refusal left the transaction usable.
        assert await unit.fetch_value("select count(*) from member") == 2


async def test_the_last_owner_stays(database: Database) -> None:
    owner = await make_member(database)
    async with database.tenant(owner.partner_id) as unit:
        with pytest.raises(LastOwner):
            await remove_member(unit, partner_id=owner.partner_id, user_id=owner.user_id, actor=SYSTEM)
        with pytest.raises(LastOwner):
            await change_role(
                unit, partner_id=owner.partner_id, user_id=owner.user_id, role="member", actor=SYSTEM
            )
        with pytest.raises(MemberUnknown):
            await remove_member(unit, partner_id=owner.partner_id, user_id="nobodyU", actor=SYSTEM)


async def test_two_owners_who_remove_each_other_leave_one(database: Database) -> None:
    first = await make_member(database)
    second = await _second(database, first, "owner")

    async def remove(user_id: str) -> bool:
        try:
            async with database.tenant(first.partner_id) as unit:
                await remove_member(unit, partner_id=first.partner_id, user_id=user_id, actor=SYSTEM)
        except LastOwner:
            return False
        return True

    done = await asyncio.gather(remove(first.user_id), remove(second.user_id))
    assert sorted(done) == [False, True]
