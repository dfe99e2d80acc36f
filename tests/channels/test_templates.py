"""Templates: read from callers, handed to Meta, compared with Meta's list, told where a word changed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from tests.channels.told import told
from tests.factories import MadeWaba, make_channel, make_partner, make_template, make_waba
from tests.simulator.harness import Meta, Shop

from partnerhub.channels.drafts import read_draft, read_edit
from partnerhub.channels.errors import (
    TemplateInvalid,
    TemplateLimited,
    TemplateNameTaken,
    TemplateRefused,
    TemplateUnknown,
    WabaUnknown,
)
from partnerhub.channels.jobs import SYNC_TEMPLATES
from partnerhub.channels.queries import list_templates
from partnerhub.channels.schemas import Listing, Template
from partnerhub.channels.services import (
    MetaAccess,
    RemoteTemplate,
    ask_for_all_templates,
    change_template_category,
    change_template_quality,
    change_template_status,
    create_template,
    delete_template,
    edit_template,
    sync_templates,
    write_templates,
)
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit.clock import now
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.meta import MetaError

ACTOR = Actor(ActorKind.USER, "Zx9Yw8U", "apiuser")
BODY = {"type": "BODY", "text": "Welcome to {{1}} at last", "example": {"body_text": [["Acme"]]}}
DRAFT: dict[str, Any] = {
    "name": "welcome_1",
    "category": "MARKETING",
    "components": [BODY],
    "language": "de",
    "allow_category_change": True,
}


def test_the_type_of_a_component_is_in_capitals_however_it_was_sent() -> None:
    sent = [{"type": "body", "text": "hi", "example": None}, {"type": "Buttons", "buttons": []}]
    said = ({"type": "BODY", "text": "hi"}, {"type": "BUTTONS", "buttons": []})
    assert read_draft({**DRAFT, "components": sent}).components == said
    assert read_edit({"components": sent}).components == said


async def _templates(database: Database, waba: MadeWaba) -> list[Template]:
    async with database.tenant(waba.partner_id) as unit:
        found = await list_templates(
            unit, partner_id=waba.partner_id, waba_id=waba.id, listing=Listing(sort=("name",))
        )
    return found.rows


async def _create(database: Database, access: MetaAccess, waba: MadeWaba, **members: object) -> Template:
    return await create_template(
        database,
        access,
        partner_id=waba.partner_id,
        waba_id=waba.id,
        body={**DRAFT, **members},
        actor=ACTOR,
    )


def test_a_draft_keeps_components_as_sent_and_hands_options_to_meta_only() -> None:
    draft = read_draft({**DRAFT, "category": "marketing", "surprise": 1})
    assert draft.components == (BODY,)
    assert draft.as_meta() == {
        "name": "welcome_1",
        "language": "de",
        "category": "MARKETING",
        "components": [BODY],
        "allow_category_change": True,
    }


def test_a_single_component_stands_for_a_list_of_one() -> None:
    """WABA360Dialog.NET sends `components` as one object, and nulls for what is unset."""
    draft = read_draft({**DRAFT, "components": {**BODY, "format": None}, "allow_category_change": None})
    assert draft.components == (BODY,)
    assert draft.options == {}


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"name": "Has Blank"}, ["name"]),
        ({"name": None, "language": None, "category": None}, ["name", "language", "category"]),
        ({"components": None}, ["components"]),
        ({"language": "german"}, ["language"]),
        ({"category": 5}, ["category"]),
        ({"components": []}, ["components"]),
        ({"components": ["BODY"]}, ["components"]),
        ({"components": [{"type": "SIDEBAR"}]}, ["components"]),
        ({"components": "BODY"}, ["components"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_draft_is_named(members: dict[str, Any], wrong: list[str]) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        read_draft({**DRAFT, **members})
    assert list(caught.value.fields) == wrong


def test_an_edit_needs_something_to_change() -> None:
    assert read_edit({"components": [BODY]}).as_meta() == {"components": [BODY]}
    assert read_edit({"allow_category_change": True}).as_meta() == {"allow_category_change": True}
    with pytest.raises(TemplateInvalid):
        read_edit({})


async def test_a_created_template_is_at_meta_and_submitted(
    database: Database, access: MetaAccess, simulator: Meta, shop: Shop
) -> None:
    waba = await make_waba(database, external_id=shop.waba_id)
    template = await _create(database, access, waba)
    assert (template.status, template.rejected_reason, template.quality_score) == ("submitted", None, None)
    assert (template.name, template.language, template.category) == ("welcome_1", "de", "MARKETING")
    assert template.components == [BODY]
    assert template.created_by == template.modified_by == {"user_id": "Zx9Yw8U", "user_name": "apiuser"}
    assert template.created_at < template.modified_at
    at_meta = await simulator.get(f"/{template.external_id}", params={"fields": "name,language"})
    assert at_meta.json == {"name": "welcome_1", "language": "de", "id": template.external_id}


async def test_a_name_that_meta_has_is_refused_in_the_words_clients_look_for(
    database: Database, access: MetaAccess, shop: Shop
) -> None:
    """100eyes matches these words in the body and goes on."""
    waba = await make_waba(database, external_id=shop.waba_id)
    await _create(database, access, waba)
    with pytest.raises(TemplateNameTaken) as caught:
        await _create(database, access, waba)
    pattern = r"you have provided is already in use\. Please choose a different name for your template\."
    assert re.search(pattern, caught.value.message)
    assert len(await _templates(database, waba)) == 1


async def test_what_meta_refuses_is_the_callers_to_mend(
    database: Database, access: MetaAccess, shop: Shop
) -> None:
    waba = await make_waba(database, external_id=shop.waba_id)
    with pytest.raises(TemplateRefused) as caught:
        await _create(
            database, access, waba, components=[{"type": "BODY", "text": "{{1}} begins with a variable"}]
        )
    assert caught.value.status == 400
    assert caught.value.upstream_code is not None
    assert caught.value.trace_id
    assert await _templates(database, waba) == []


@pytest.mark.parametrize(
    ("fault", "error", "was_made"),
    [
        ({"action": "error", "code": 80007}, TemplateLimited, False),
        ({"action": "error", "code": 190}, MetaError, False),
        ({"action": "reset_before"}, MetaError, False),
        ({"action": "html_error", "http_status": 502}, MetaError, True),
        ({"action": "reset_after"}, MetaError, True),
    ],
)
async def test_a_failure_at_meta_leaves_no_row_and_the_next_comparison_finds_what_was_made(
    database: Database,
    access: MetaAccess,
    simulator: Meta,
    *,
    shop: Shop,
    fault: dict[str, Any],
    error: type[Exception],
    was_made: bool,
) -> None:
    waba = await make_waba(database, external_id=shop.waba_id)
    await simulator.admin("POST", "/faults", {**fault, "method": "POST", "path": "/*/message_templates"})
    with pytest.raises(error):
        await _create(database, access, waba)
    assert await _templates(database, waba) == []
    await sync_templates(database, access, partner_id=waba.partner_id, waba_id=waba.id)
    names = ["news", "welcome_1"] if was_made else ["news"]
    assert [template.name for template in await _templates(database, waba)] == names


async def test_a_row_that_meta_has_forgotten_gives_its_name_away(
    database: Database, access: MetaAccess, shop: Shop
) -> None:
    waba = await make_waba(database, external_id=shop.waba_id)
    old = await make_template(database, waba=waba, name="welcome_1", language="de")
    new = await _create(database, access, waba)
    assert [template.id for template in await _templates(database, waba)] == [new.id]
    assert old.id != new.id


async def test_a_deleted_template_is_gone_here_and_at_meta(
    database: Database, access: MetaAccess, simulator: Meta, shop: Shop
) -> None:
    waba = await make_waba(database, external_id=shop.waba_id)
    template = await _create(database, access, waba)
    for external_id in (template.external_id, "1949000000000009"):
        made = await make_template(database, waba=waba, external_id="1949000000000009", name="forgotten")
        wanted = template.id if external_id == template.external_id else made.id
        gone = await delete_template(
            database,
            access,
            partner_id=waba.partner_id,
            waba_id=waba.id,
            template_id=wanted,
            actor=ACTOR,
        )
        assert gone.external_id == external_id
        async with database.system() as unit:
            await unit.execute("delete from template where name = 'forgotten'")
    assert await _templates(database, waba) == []
    assert (await simulator.get(f"/{template.external_id}")).status == 400
    with pytest.raises(TemplateUnknown):
        await delete_template(
            database,
            access,
            partner_id=waba.partner_id,
            waba_id=waba.id,
            template_id=template.id,
            actor=ACTOR,
        )


async def test_an_edited_template_is_under_review_again(
    database: Database, access: MetaAccess, shop: Shop
) -> None:
    waba = await make_waba(database, external_id=shop.waba_id)
    await sync_templates(database, access, partner_id=waba.partner_id, waba_id=waba.id)
    (news,) = await _templates(database, waba)
    new_body = {"type": "BODY", "text": "Our winter news are out."}
    edited = await edit_template(
        database,
        access,
        partner_id=waba.partner_id,
        waba_id=waba.id,
        template_id=news.id,
        body={"components": [new_body]},
        actor=ACTOR,
    )
    assert (edited.status, edited.components) == ("submitted", [new_body])


async def test_the_accounts_own_token_is_used_before_the_installations(
    database: Database, access: MetaAccess, shop: Shop, keyring: Keyring
) -> None:
    wrong = await make_waba(
        database, external_id=shop.waba_id, access_token="EAA-not-a-token", keyring=keyring
    )
    with pytest.raises(MetaError) as caught:
        await _create(database, access, wrong)
    assert caught.value.upstream_code == 190


async def test_another_partners_account_does_not_exist(
    database: Database, access: MetaAccess, shop: Shop
) -> None:
    waba, partner = await make_waba(database, external_id=shop.waba_id), await make_partner(database)
    with pytest.raises(WabaUnknown):
        await create_template(
            database, access, partner_id=partner.id, waba_id=waba.id, body=DRAFT, actor=ACTOR
        )


def _remote(**members: Any) -> RemoteTemplate:
    standard: dict[str, Any] = {
        "external_id": "1949000000000001",
        "name": "promo_1",
        "language": "en",
        "category": "MARKETING",
        "status": "APPROVED",
        "components": [BODY],
        "quality": "UNKNOWN",
        "rejected_reason": "NONE",
    }
    return RemoteTemplate(**{**standard, **members})


async def test_rows_follow_metas_list_and_changed_words_are_told(database: Database) -> None:
    waba = await make_waba(database)

    async def write(*remote: RemoteTemplate) -> tuple[int, int, int]:
        async with database.tenant(waba.partner_id) as unit:
            done = await write_templates(
                unit, partner_id=waba.partner_id, waba_id=waba.id, remote=list(remote)
            )
        return done.added, done.changed, done.removed

    other = _remote(external_id="1949000000000002", name="other")
    assert await write(_remote(status="PENDING", quality=None, rejected_reason=None), other) == (2, 0, 0)
    assert await write(_remote(status="PENDING", quality=None, rejected_reason=None), other) == (0, 0, 0)
    assert await write(_remote(category="UTILITY")) == (0, 1, 1)
    (template,) = await _templates(database, waba)
    assert (template.status, template.category, template.rejected_reason) == ("approved", "UTILITY", "NONE")
    assert template.quality_score == {"reasons": None, "score": "UNKNOWN"}
    assert template.modified_by == {"user_id": "system", "user_name": "system"}
    identity = {"id": template.id, "external_id": "1949000000000001", "name": "promo_1", "language": "en"}
    said = [
        ("waba_template_status_changed", {"new_status": "APPROVED", "rejected_reason": "NONE"}),
        (
            "waba_template_category_changed",
            {"new_category": "UTILITY", "previous_category": "MARKETING"},
        ),
    ]
    assert await told(database, waba.partner_id) == [
        (name, {"id": waba.external_id, "template": {**identity, **words}}) for name, words in said
    ]


async def test_a_template_made_anew_under_its_old_name_replaces_the_row(database: Database) -> None:
    waba = await make_waba(database)
    await make_template(database, waba=waba, external_id="1949000000000001", name="promo_1", language="en")
    async with database.tenant(waba.partner_id) as unit:
        done = await write_templates(
            unit,
            partner_id=waba.partner_id,
            waba_id=waba.id,
            remote=[_remote(external_id="1949000000000009")],
        )
    assert (done.added, done.removed) == (1, 1)


async def test_a_row_that_changed_after_meta_was_asked_knows_more_than_the_list(database: Database) -> None:
    waba = await make_waba(database)
    asked_at = now()
    made = await make_template(database, waba=waba, created_at=asked_at + timedelta(seconds=1))
    moved = await make_template(
        database, waba=waba, external_id="1949000000000001", created_at=asked_at + timedelta(seconds=1)
    )
    old = await make_template(database, waba=waba, created_at=asked_at - timedelta(seconds=1))
    async with database.tenant(waba.partner_id) as unit:
        done = await write_templates(
            unit,
            partner_id=waba.partner_id,
            waba_id=waba.id,
            remote=[_remote(status="PENDING")],
            asked_at=asked_at,
        )
    assert (done.added, done.changed, done.removed) == (0, 0, 1)
    left = {template.id: template.status for template in await _templates(database, waba)}
    assert left == {made.id: "approved", moved.id: "approved"}
    assert old.id not in left


async def test_every_account_in_use_is_compared_by_the_clock(database: Database) -> None:
    used, left, empty = [await make_waba(database) for _ in range(3)]
    await make_channel(database, waba=used)
    await make_channel(database, waba=used)
    await make_channel(database, waba=left, hub_status="terminated")
    for _ in range(2):
        await ask_for_all_templates(database)
    assert await _asked_for(database) == [used.id]
    assert empty.id


async def test_words_on_a_template_that_we_do_not_know_ask_for_the_list_once(database: Database) -> None:
    waba = await make_waba(database)
    async with database.system() as unit:
        said = {"waba_external_id": waba.external_id, "template_external_id": "1949000000000099"}
        assert not await change_template_status(unit, **said, meta_status="DELETED", reason=None)
    assert await _asked_for(database) == []
    async with database.system() as unit:
        assert not await change_template_status(unit, **said, meta_status="APPROVED", reason=None)
        assert not await change_template_category(unit, **said, category="UTILITY")
        assert not await change_template_quality(unit, **said, score="GREEN")
    assert await _asked_for(database) == [waba.id]


async def _asked_for(database: Database) -> list[str]:
    """Return the accounts whose list is asked for."""
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select args->>'waba_id' from procrastinate_jobs where task_name = %s order by id",
            (SYNC_TEMPLATES,),
        )
        return [str(waba_id) async for (waba_id,) in rows]


async def test_metas_word_on_a_review_is_told_once_in_capitals(database: Database) -> None:
    waba = await make_waba(database)
    template = await make_template(database, waba=waba, status="submitted", rejected_reason=None)
    done = []
    for _ in range(2):
        async with database.system() as unit:
            done.append(
                await change_template_status(
                    unit,
                    waba_external_id=waba.external_id,
                    template_external_id=template.external_id,
                    meta_status="REJECTED",
                    reason="INVALID_FORMAT",
                )
            )
    assert done == [True, False]
    (row,) = await _templates(database, waba)
    assert (row.status, row.rejected_reason) == ("rejected", "INVALID_FORMAT")
    ((name, data),) = await told(database, waba.partner_id)
    assert name == "waba_template_status_changed"
    assert data == {
        "id": waba.external_id,
        "template": {
            "id": template.id,
            "external_id": template.external_id,
            "name": template.name,
            "language": "de",
            "new_status": "REJECTED",
            "rejected_reason": "INVALID_FORMAT",
        },
    }


async def test_a_deletion_at_meta_removes_the_row_and_is_told(database: Database) -> None:
    waba = await make_waba(database)
    template = await make_template(database, waba=waba)
    async with database.system() as unit:
        await change_template_status(
            unit,
            waba_external_id=waba.external_id,
            template_external_id=template.external_id,
            meta_status="DELETED",
            reason=None,
        )
    assert await _templates(database, waba) == []
    assert [data["template"]["new_status"] for _, data in await told(database, waba.partner_id)] == [
        "DELETED"
    ]


async def test_a_new_category_and_score_are_taken_once(database: Database) -> None:
    waba = await make_waba(database)
    template = await make_template(database, waba=waba)
    done = []
    for _ in range(2):
        async with database.system() as unit:
            where = {
                "waba_external_id": waba.external_id,
                "template_external_id": template.external_id,
            }
            done.append(await change_template_category(unit, **where, category="UTILITY"))
            done.append(await change_template_quality(unit, **where, score="GREEN"))
    assert done == [True, True, False, False]
    (row,) = await _templates(database, waba)
    assert (row.category, row.quality_score) == ("UTILITY", {"reasons": None, "score": "GREEN"})
    assert [name for name, _ in await told(database, waba.partner_id)] == ["waba_template_category_changed"]


async def test_words_on_a_template_that_is_not_ours_change_nothing(database: Database) -> None:
    waba = await make_waba(database)
    async with database.system() as unit:
        for account in (waba.external_id, "0"):
            assert not await change_template_status(
                unit, waba_external_id=account, template_external_id="0", meta_status="APPROVED", reason=None
            )
    assert await told(database, waba.partner_id) == []


async def test_gateways_hear_that_templates_changed(database: Database) -> None:
    waba = await make_waba(database)
    template = await make_template(database, waba=waba)
    async with database.listen("templates") as connection:
        async with database.system() as unit:
            await change_template_category(
                unit,
                waba_external_id=waba.external_id,
                template_external_id=template.external_id,
                category="UTILITY",
            )
        heard = [note.payload async for note in connection.notifies(timeout=2, stop_after=1)]
    assert heard == [waba.id]
