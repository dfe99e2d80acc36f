"""The access matrix, cell by cell, over HTTP against the real hub and the real gateway.

Every operation is called as every kind of caller. A caller who may pass gets a world of their own (a call
may end sessions or revoke keys), and must reach the handler: whatever it answers, it is no refusal.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest
from yarl import URL

from partnerhub.app import hub as hub_process
from partnerhub.app.operations import ANY_SETTINGS, gateway_operations, hub_operations
from partnerhub.identity import queries as identity_queries
from partnerhub.identity import services as identity
from partnerhub.identity.schemas import Hub, SessionScope
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.kit.ids import uuid7
from partnerhub.partners.services import TokenKeys, issue_token
from partnerhub.ui.frame import CSRF_HEADER
from partnerhub.web import csrf
from partnerhub.web.access import HUB_ROWS, OPEN, Caller, Outcome, Row, problems
from partnerhub.web.access_gateway import GATEWAY_ROWS
from partnerhub.web.hubs import HUBS, is_machine_path
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind
from tests import factories
from tests.factories import MadeChannel, MadeClient, MadePartner, MadeWaba
from tests.gateway.stage import staged
from tests.identity.people import CHEAP, PASSWORD
from tests.serving import serving

# Nobody listens there: what reaches Meta's client fails, which is beyond every guard.
SETTINGS = replace(ANY_SETTINGS, meta_graph_url="http://127.0.0.1:9")
GUARDS = {
    "scope_missing",
    "role_missing",
    "foreign_partner",
    "wrong_hub",
    "cross_site",
    "credential_missing",
    "credential_unknown",
    "not_signed_in",
}
# What forms are bound to where nobody is signed in, and in the popup.
MARKS = {"visitor": "a-visitor", "onboarding": "a-browser", "reset": "a-browser"}
GROUPS = {
    "api": re.compile(r"\w+ /(api|v1)/"),
    "pages of the client": re.compile(r"\w+ /client"),
    "pages of the operator": re.compile(r"\w+ /operator"),
    "onboarding": re.compile(r"\w+ /(onboarding|dashboard/app)/"),
    "other pages": re.compile(r"\w+ /(?!api|v1|client|operator|onboarding|dashboard/app)"),
}


@dataclass(frozen=True)
class Visitor:
    """What a caller sends: headers on API paths, cookies on pages, and the sessions that are theirs."""

    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    spare_session: str = ""


@dataclass(frozen=True)
class World:
    """One partner with objects, another one beside it, and everybody who may call."""

    partner: MadePartner
    other: MadePartner
    channel: MadeChannel
    waba: MadeWaba
    client: MadeClient
    template_id: str
    delivery_id: str
    visitors: Mapping[Caller, Visitor]

    def path(self, template: str, caller: Caller) -> str:
        """Fill the path with this partner's objects; of sessions, everybody has their own but strangers."""
        owner = self.visitors[Caller.OWNER].spare_session
        own = self.visitors[caller].spare_session
        partner = self.other.id if caller is Caller.CROSSED else self.partner.id
        return template.format(
            partner_id=partner,
            link_partner=self.partner.id,
            client_id=self.client.id,
            channel_id=self.channel.id,
            waba_id=self.waba.id,
            template_id=self.template_id,
            delivery_id=self.delivery_id,
            session_id=owner if caller is Caller.OTHER_OWNER else own or owner,
            action="view-secret",
            run_id=uuid7(),
            file_path="none.js",
            version="1.0.0",
            account_id="a00Kd4CH",
        )


class WorldMaker:
    """Makes worlds in one database."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._token_keys = TokenKeys(keyring)

    async def make(self) -> World:
        """Make a fresh world."""
        db = self._database
        partner = await factories.make_partner(db, legacy_token_auth_enabled=True)
        other = await factories.make_partner(db)
        client = await factories.make_client(db, partner=partner)
        waba = await factories.make_waba(db, client=client)
        channel = await factories.make_channel(db, waba=waba)
        template = await factories.make_template(db, waba=waba)
        channel_key = await factories.make_channel_key(db, channel=channel)
        hashed = await CHEAP.hash(PASSWORD)
        owner = await factories.make_member(db, partner=partner, password_hash=hashed)
        member = await factories.make_member(db, partner=partner, role="member", password_hash=hashed)
        stranger = await factories.make_member(db, partner=other)
        person = await factories.make_member(db, partner=other)
        async with db.system() as unit:
            await unit.execute("update client set user_id = %s where id = %s", (person.user_id, client.id))
            await unit.execute("update hub_user set is_operator = true where id = %s", (person.user_id,))
        other_key = await self._key(other, "read", "write", "security")
        visitors = {
            Caller.ANONYMOUS: Visitor({}, {}),
            Caller.OWNER: await self._person(owner.user_id, SessionScope(partner.id)),
            Caller.MEMBER: await self._person(member.user_id, SessionScope(partner.id)),
            Caller.OTHER_OWNER: await self._person(stranger.user_id, SessionScope(other.id)),
            Caller.CLIENT: await self._person(
                person.user_id, SessionScope(partner.id, client.id), hub=Hub.CLIENT
            ),
            Caller.OPERATOR: await self._person(person.user_id, SessionScope(), hub=Hub.OPERATOR),
            Caller.KEY_READ: await self._key(partner, "read"),
            Caller.KEY_WRITE: await self._key(partner, "write"),
            Caller.KEY_SECURITY: await self._key(partner, "security"),
            Caller.OWNER_TOKEN: await self._token(partner, owner.email),
            Caller.MEMBER_TOKEN: await self._token(partner, member.email),
            Caller.CHANNEL_KEY: Visitor({"d360-api-key": channel_key.secret}, {}),
            Caller.OTHER_KEY: other_key,
            Caller.CROSSED: other_key,
        }
        delivery_id = await self._delivery(channel)
        return World(partner, other, channel, waba, client, template.id, delivery_id, visitors)

    async def _delivery(self, channel: MadeChannel) -> str:
        """Publish an event to the number's webhook, which nobody delivers here."""
        async with self._database.tenant(channel.partner_id) as unit:
            await webhooks.set_endpoint(
                unit,
                partner_id=channel.partner_id,
                owner_kind=OwnerKind.CHANNEL,
                owner_id=channel.id,
                url="https://acme.example/hook",
                headers={},
                keyring=self._keyring,
            )
            await webhooks.publish(
                unit,
                partner_id=channel.partner_id,
                owner_kind=OwnerKind.CHANNEL,
                owner_id=channel.id,
                name="channel_live",
                data={},
            )
            return str(await unit.fetch_value("select id from delivery limit 1"))

    async def _key(self, partner: MadePartner, *scopes: str) -> Visitor:
        made = await factories.make_key(self._database, partner=partner, scopes=scopes)
        return Visitor({"x-api-key": made.secret}, {})

    async def _token(self, partner: MadePartner, email: str) -> Visitor:
        # Each world signs in from an address of its own: one address may not sign in so often.
        issued = await issue_token(
            self._database,
            email=email,
            password=PASSWORD,
            ip=partner.id,
            keys=self._token_keys,
            passwords=CHEAP,
        )
        return Visitor({"authorization": f"Bearer {issued.access_token}"}, {})

    async def _person(self, user_id: str, scope: SessionScope, *, hub: Hub = Hub.PARTNER) -> Visitor:
        async with self._database.system() as unit:
            user = await identity_queries.get_user(unit, user_id=user_id)
            first, second = [
                await identity.start_session(unit, user=user, hub=hub, scope=scope, ip="", user_agent="")
                for _ in range(2)
            ]
        return Visitor({}, {HUBS[hub].cookie: first.token}, str(second.session_id))


@dataclass(frozen=True)
class Got:
    """An answer, as far as access goes."""

    status: int
    code: str

    def outcome(self, *, may_miss: bool) -> Outcome | None:
        """Return the outcome this answer stands for, or None when it stands for none."""
        if self.status == 303 and self.code == "not_signed_in":
            return Outcome.SIGN_IN
        if self.status == 401 and self.code in GUARDS:
            return Outcome.UNAUTHENTICATED
        if self.status == 403 and self.code in GUARDS - {"cross_site"}:
            return Outcome.FORBIDDEN
        if self.status == 404 and self.code != "route_not_found" and not may_miss:
            return Outcome.MISSING
        is_reached = self.code not in GUARDS and self.status not in {405, 500, 503}
        return Outcome.PASSES if is_reached else None


class Calls:
    """Calls the hub as somebody."""

    def __init__(self, http: aiohttp.ClientSession, form_key: bytes) -> None:
        self._http = http
        self._form_key = form_key

    async def call(self, operation: str, world: World, caller: Caller) -> Got:
        """Call an operation without a body, as a browser or a client of this caller would."""
        method, _, template = operation.partition(" ")
        visitor, path = world.visitors[caller], world.path(template, caller)
        headers, cookies = dict(visitor.headers), {**visitor.cookies, **MARKS}
        if not is_machine_path(path):
            others = (hub for hub in (Hub.CLIENT, Hub.OPERATOR) if path.startswith(f"/{hub}"))
            bound_to = cookies.get(HUBS[next(others, Hub.PARTNER)].cookie, MARKS["visitor"])
            if template.startswith("/onboarding/"):
                bound_to = MARKS["onboarding"]
            headers[CSRF_HEADER] = csrf.make_token(self._form_key, bound_to=bound_to)
        own = world.other.id if caller is Caller.OTHER_OWNER else world.partner.id
        data = {"partner_id": own} if operation == "POST /switch" else None
        async with self._http.request(
            method, path, headers=headers, cookies=cookies, data=data, allow_redirects=False
        ) as answer:
            return Got(
                answer.status,
                answer.headers.get("x-error-code", ""),
            )


@asynccontextmanager
async def calling(database: Database, keyring: Keyring) -> AsyncIterator[Calls]:
    """Serve the real hub."""
    async with HttpClient(policy=AddressPolicy.TRUSTED) as to_meta:
        hub = hub_process.create_hub(
            SETTINGS,
            database=database,
            keyring=keyring,
            to_meta=to_meta,
            outbound=to_meta,
            passwords=CHEAP,
        )
        async with (
            serving(hub.wrapper) as url,
            aiohttp.ClientSession(URL(url), cookie_jar=aiohttp.DummyCookieJar()) as http,
        ):
            yield Calls(http, hub_process.form_key_of(SETTINGS))


def group_of(operation: str) -> str:
    """Return the group an operation is tested with."""
    return next(name for name, pattern in GROUPS.items() if pattern.match(operation))


async def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    assert problems(await hub_operations(), HUB_ROWS) == []
    assert problems(gateway_operations(), GATEWAY_ROWS) == []


@pytest.mark.parametrize("group", GROUPS)
async def test_every_cell_of_the_hub_holds(database: Database, keyring: Keyring, group: str) -> None:
    maker = WorldMaker(database, keyring)
    wrong: list[str] = []
    async with calling(database, keyring) as calls:
        for operation, row in HUB_ROWS.items():
            if group_of(operation) == group:
                wrong += await _check_row(calls, maker, operation, row)
    assert not wrong, "\n".join(wrong)


async def _check_row(calls: Calls, maker: WorldMaker, operation: str, row: Row) -> list[str]:
    wrong = []
    world = await maker.make()
    # Refusals change nothing, so one world does for all of them.
    for caller in sorted(Caller, key=lambda one: row.expected(one) is Outcome.PASSES):
        expected = row.expected(caller)
        got = await calls.call(operation, world, caller)
        if got.outcome(may_miss=row == OPEN) is not expected:
            wrong.append(f"{operation} as {caller}: expected {expected.value}, got {got}")
        if expected is Outcome.PASSES and row != OPEN and not operation.startswith("GET "):
            world = await maker.make()
    return wrong


async def test_every_cell_of_the_gateway_holds(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring) as stage, aiohttp.ClientSession() as http:
        partner_key = await factories.make_key(database)
        second = await factories.make_channel_key(database)
        ids = {
            "version": "v25.0",
            "group_id": "Y2FwaV9ncm91cDo",
            "session_id": "upload:abc",
            "code": "ABCDEF12345678",
            "user_id": "4915112345678",
            "name": "news",
        }
        callers = {
            Caller.ANONYMOUS: {},
            Caller.KEY_READ: {"d360-api-key": partner_key.secret},
            Caller.OTHER_KEY: {"authorization": f"Bearer {partner_key.secret}"},
            Caller.OWNER: {"cookie": "partner_session=anything"},
            Caller.CHANNEL_KEY: {"d360-api-key": stage.client.key},
            Caller.CROSSED: {"d360-api-key": second.secret},
        }
        wrong = []
        for operation, row in GATEWAY_ROWS.items():
            method, _, template = operation.partition(" ")
            is_wabas = "message_templates" in template
            own = stage.shop.waba_id if is_wabas else stage.shop.number_id
            path = template.format(**ids, object_id=stage.config.app_id if "uploads" in template else own)
            names_own_object = bool(re.search(r"\{object_id\}/(?!uploads)", template))
            for caller, headers in callers.items():
                expected = row.expected(caller)
                if expected is Outcome.MISSING and not names_own_object:
                    expected = Outcome.PASSES
                async with http.request(method, stage.client.url + path, headers=headers) as answer:
                    outcome = _gateway_outcome(answer.status, row)
                if outcome is not expected and (outcome, expected) != (Outcome.MISSING, Outcome.PASSES):
                    wrong.append(f"{operation} as {caller}: expected {expected.value}, got {answer.status}")
    assert not wrong, "\n".join(wrong)


def _gateway_outcome(status: int, row: Row) -> Outcome | None:
    if row == OPEN:
        # Meta's callback refuses what is not signed in its own way.
        return Outcome.PASSES if status in {200, 401, 403} else None
    match status:
        case 401:
            return Outcome.UNAUTHENTICATED
        case 404:
            return Outcome.MISSING
        case 405 | 500 | 503:
            return None
        case _:
            return Outcome.PASSES
