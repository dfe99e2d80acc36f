"""The legacy token flow: who gets a token, how long it works, and what ends it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import LiteralString

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import RSAKey
from tests.factories import MadeMember, MadePartner, make_member, make_partner
from tests.identity.people import mails_to

from partnerhub.identity import queries as identity_queries
from partnerhub.identity import services as identity
from partnerhub.identity.errors import NoPlace, SignInRefused
from partnerhub.identity.passwords import Passwords
from partnerhub.identity.schemas import SYSTEM, Hub, SessionScope
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.partners.errors import LegacyTokensOff, TokenInvalid
from partnerhub.partners.queries import list_token_uses
from partnerhub.partners.schemas import IssuedToken, TokenHolder
from partnerhub.partners.services import TokenKeys, check_token, drop_old_tokens, issue_token, refresh_token

CHEAP = Passwords(time_cost=1, memory_kib=8)
PASSWORD = "correct horse battery"
NEW_PASSWORD = "green-harbour-42"


@pytest.fixture
def keys(keyring: Keyring) -> TokenKeys:
    return TokenKeys(keyring)


async def _member(database: Database, *, is_on: bool = True) -> MadeMember:
    partner = await make_partner(database, legacy_token_auth_enabled=is_on)
    return await make_member(database, partner=partner, password_hash=await CHEAP.hash(PASSWORD))


async def _issue(
    database: Database,
    keys: TokenKeys,
    member: MadeMember,
    *,
    password: str = PASSWORD,
    at: str | None = None,
) -> IssuedToken:
    return await issue_token(
        database,
        email=member.email.upper(),
        password=password,
        ip="192.0.2.1",
        keys=keys,
        partner_id=at,
        passwords=CHEAP,
    )


async def _check(database: Database, keys: TokenKeys, token: IssuedToken) -> TokenHolder:
    return await check_token(database, access_token=token.access_token, keys=keys)


async def test_a_token_stands_for_the_person_and_the_partner_for_a_day(
    database: Database, keys: TokenKeys
) -> None:
    member = await _member(database)
    token = await _issue(database, keys, member)
    holder = await _check(database, keys, token)
    assert (holder.partner_id, holder.user_id, holder.user_name, holder.role) == (
        member.partner_id,
        member.user_id,
        "Owner",
        "owner",
    )
    assert token.expires_in_seconds == 86400
    header = json.loads(base64.urlsafe_b64decode(token.access_token.split(".")[0] + "=="))
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    assert token.access_token not in repr(token)
    with clock.moved_by(timedelta(hours=23, minutes=59)):
        await _check(database, keys, token)
    with clock.moved_by(timedelta(hours=24, seconds=1)), pytest.raises(TokenInvalid):
        await _check(database, keys, token)


async def test_issuing_and_refreshing_is_in_the_partners_log(database: Database, keys: TokenKeys) -> None:
    member = await _member(database)
    token = await _issue(database, keys, member)
    await refresh_token(
        database, refresh=token.refresh_token, keys=keys, ip="203.0.113.7", user_agent="crm/1"
    )
    async with database.tenant(member.partner_id) as unit:
        log = await identity_queries.list_audit(unit, partner_id=member.partner_id)
    assert [(entry.action, entry.actor_id, entry.ip, entry.user_agent) for entry in log] == [
        ("legacy_token.refreshed", member.user_id, "203.0.113.7", "crm/1"),
        ("legacy_token.issued", member.user_id, "192.0.2.1", ""),
    ]


async def test_every_process_signs_with_the_same_key(database: Database, keyring: Keyring) -> None:
    member = await _member(database)
    token = await _issue(database, TokenKeys(keyring), member)
    assert (await _check(database, TokenKeys(keyring), token)).user_id == member.user_id
    await _issue(database, TokenKeys(keyring), member)
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from token_key") == 1


async def test_a_wrong_password_gets_no_token(database: Database, keys: TokenKeys) -> None:
    member = await _member(database)
    with pytest.raises(SignInRefused):
        await _issue(database, keys, member, password="wrong")


async def test_with_the_switch_off_nobody_gets_a_token_and_old_ones_stop(
    database: Database, keys: TokenKeys
) -> None:
    with pytest.raises(LegacyTokensOff):
        await _issue(database, keys, await _member(database, is_on=False))
    member = await _member(database)
    token = await _issue(database, keys, member)
    async with database.system() as unit:
        await unit.execute("update partner set legacy_token_auth_enabled = false")
    with pytest.raises(LegacyTokensOff):
        await _check(database, keys, token)
    with pytest.raises(LegacyTokensOff):
        await refresh_token(database, refresh=token.refresh_token, keys=keys)


@pytest.mark.parametrize(
    "ended_by",
    [
        "select 1",
        "update hub_user set disabled_at = now()",
        "delete from member",
        "delete from legacy_token",
    ],
)
async def test_with_the_switch_off_a_token_of_ours_is_never_merely_invalid(
    database: Database, keys: TokenKeys, ended_by: LiteralString
) -> None:
    token = await _issue(database, keys, await _member(database))
    async with database.system() as unit:
        await unit.execute(ended_by)
        await unit.execute("update partner set legacy_token_auth_enabled = false")
    for days in (0, 2, 70):
        with clock.moved_by(timedelta(days=days)), pytest.raises(LegacyTokensOff):
            await _check(database, keys, token)


@pytest.mark.parametrize(
    "ended_by",
    [
        "update hub_user set disabled_at = now()",
        "delete from member",
        "delete from legacy_token",
    ],
)
async def test_a_token_ends_with_the_person(
    database: Database, keys: TokenKeys, ended_by: LiteralString
) -> None:
    token = await _issue(database, keys, await _member(database))
    async with database.system() as unit:
        await unit.execute(ended_by)
    with pytest.raises(TokenInvalid):
        await _check(database, keys, token)
    with pytest.raises(TokenInvalid):
        await refresh_token(database, refresh=token.refresh_token, keys=keys)


async def _reset(database: Database, member: MadeMember) -> None:
    base = "https://hub.example/reset"
    await identity.send_reset_link(database, email=member.email, link_base=base)
    link = re.search(r"\?token=(\S+)", (await mails_to(database, member.email))[-1])
    assert link
    await identity.reset_password(
        database,
        link_token=link[1],
        password=NEW_PASSWORD,
        ip="",
        user_agent="",
        link_base=base,
        passwords=CHEAP,
    )


async def _change(database: Database, member: MadeMember) -> None:
    async with database.system() as unit:
        user = await identity_queries.get_user(unit, user_id=member.user_id)
        session = await identity.start_session(
            unit, user=user, hub=Hub.PARTNER, scope=SessionScope(member.partner_id), ip="", user_agent=""
        )
    await identity.change_password(
        database,
        user_id=member.user_id,
        current=PASSWORD,
        new=NEW_PASSWORD,
        keep=session.session_id,
        actor=SYSTEM,
        link_base="https://hub.example/forgot",
        passwords=CHEAP,
    )


async def _disable_and_enable(database: Database, member: MadeMember) -> None:
    async with database.system() as unit:
        await identity.disable_user(unit, user_id=member.user_id)
        await identity.enable_user(unit, user_id=member.user_id)


async def _void(database: Database, member: MadeMember) -> None:
    async with database.system() as unit:
        await identity.void_password(unit, user_id=member.user_id)


@pytest.mark.parametrize("end", [_reset, _change, _disable_and_enable, _void])
async def test_tokens_end_with_the_password_they_were_issued_for(
    database: Database, keys: TokenKeys, end: Callable[[Database, MadeMember], Awaitable[None]]
) -> None:
    member = await _member(database)
    first = await _issue(database, keys, member)
    refreshed = await refresh_token(
        database, refresh=(await _issue(database, keys, member)).refresh_token, keys=keys
    )
    await end(database, member)
    for token in (first, refreshed):
        with pytest.raises(TokenInvalid):
            await _check(database, keys, token)
        with pytest.raises(TokenInvalid):
            await refresh_token(database, refresh=token.refresh_token, keys=keys)
    if end in (_reset, _change):
        fresh = await _issue(database, keys, member, password=NEW_PASSWORD)
        assert (await _check(database, keys, fresh)).user_id == member.user_id


async def test_a_person_of_several_partners_gets_the_one_asked_for(
    database: Database, keys: TokenKeys
) -> None:
    member = await _member(database)
    second = await make_partner(database, legacy_token_auth_enabled=True)
    off = await make_partner(database)
    async with database.system() as unit:
        for partner in (second, off):
            await unit.execute(
                "insert into member (partner_id, user_id, role) values (%s, %s, 'member')",
                (partner.id, member.user_id),
            )

    async def partner_of(at: str | None) -> str:
        return (await _check(database, keys, await _issue(database, keys, member, at=at))).partner_id

    assert await partner_of(None) == member.partner_id
    assert await partner_of(second.id) == second.id
    with pytest.raises(LegacyTokensOff):
        await partner_of(off.id)
    for foreign in ((await make_partner(database, legacy_token_auth_enabled=True)).id, "nobodyPA"):
        with pytest.raises(NoPlace, match="do not belong"):
            await partner_of(foreign)


async def test_a_refresh_token_works_once_and_replaces_the_pair(database: Database, keys: TokenKeys) -> None:
    old = await _issue(database, keys, await _member(database))
    new = await refresh_token(database, refresh=old.refresh_token, keys=keys)
    await _check(database, keys, new)
    with pytest.raises(TokenInvalid):
        await _check(database, keys, old)
    with pytest.raises(TokenInvalid):
        await refresh_token(database, refresh=old.refresh_token, keys=keys)
    with clock.moved_by(timedelta(days=31)), pytest.raises(TokenInvalid):
        await refresh_token(database, refresh=new.refresh_token, keys=keys)


async def test_who_still_uses_tokens_is_known_to_their_partner(database: Database, keys: TokenKeys) -> None:
    member = await _member(database)
    token = await _issue(database, keys, member)
    since = clock.now() - timedelta(days=30)

    async def uses(partner_id: str) -> list[str]:
        async with database.tenant(partner_id) as unit:
            return [use.email for use in await list_token_uses(unit, partner_id=partner_id, since=since)]

    assert await uses(member.partner_id) == []
    await _check(database, keys, token)
    assert await uses(member.partner_id) == [member.email]
    assert await uses((await make_partner(database)).id) == []
    async with database.tenant(member.partner_id) as unit:
        (use,) = await list_token_uses(unit, partner_id=member.partner_id)
    await refresh_token(database, refresh=token.refresh_token, keys=keys)
    async with database.tenant(member.partner_id) as unit:
        assert await list_token_uses(unit, partner_id=member.partner_id) == [use]
        with clock.moved_by(timedelta(days=30, minutes=1)):
            assert await list_token_uses(unit, partner_id=member.partner_id) == []
    assert await drop_old_tokens(database) == 0
    with clock.moved_by(timedelta(days=61)):
        assert await drop_old_tokens(database) == 1


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_a_token_that_we_did_not_sign_is_refused(database: Database, keys: TokenKeys) -> None:
    member = await _member(database)
    token = (await _issue(database, keys, member)).access_token
    header, claims, signature = token.split(".")
    key = await keys.newest(database)
    read = json.loads(base64.urlsafe_b64decode(claims + "=="))
    stranger = RSAKey.generate_key(2048)
    forged = {
        "other key": jwt.encode({"alg": "RS256", "kid": key.kid}, read, stranger, algorithms=["RS256"]),
        "no algorithm": f"{_encoded({'alg': 'none', 'kid': key.kid})}.{claims}.",
        "public key as secret": _signed_with_the_public_key(key, claims),
        "other claims": f"{header}.{_encoded({**read, 'partner_id': 'otherPA'})}.{signature}",
        "no kid": f"{_encoded({'alg': 'RS256'})}.{claims}.{signature}",
        "unknown kid": f"{_encoded({'alg': 'RS256', 'kid': str(read['jti'])})}.{claims}.{signature}",
        "kid of another type": f"{_encoded({'alg': 'RS256', 'kid': 5})}.{claims}.{signature}",
        "header is a list": f"{_encoded([])}.{claims}.{signature}",
        "claims are a list": jws.serialize_compact(
            {"alg": "RS256", "kid": key.kid}, b"[]", key, algorithms=["RS256"]
        ),
        "cut": token[:-4],
        "empty": "",
        "a partner key": "phk_abcdefghij",
    }
    assert [name for name, text in forged.items() if await _is_taken(database, keys, text)] == []
    assert await _is_taken(database, keys, token)


async def _is_taken(database: Database, keys: TokenKeys, token: str) -> bool:
    try:
        await check_token(database, access_token=token, keys=keys)
    except TokenInvalid:
        return False
    return True


def _signed_with_the_public_key(key: RSAKey, claims: str) -> str:
    signed = f"{_encoded({'alg': 'HS256', 'kid': key.kid})}.{claims}"
    digest = hmac.new(key.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,9}")
)
async def test_any_text_as_a_token_is_refused(text: str) -> None:
    class NoDatabase(Database):
        """Refuses to be opened: nothing here gets as far as the database."""

    with pytest.raises(TokenInvalid):
        await check_token(
            NoDatabase("postgresql://nowhere", name="none"),
            access_token=text,
            keys=TokenKeys(Keyring([bytes(32)])),
        )


async def test_a_partner_without_members_gives_no_tokens(database: Database, keys: TokenKeys) -> None:
    member = await _member(database)
    other = MadePartner((await make_partner(database, legacy_token_auth_enabled=True)).id)
    with pytest.raises(NoPlace):
        await _issue(database, keys, member, at=other.id)
