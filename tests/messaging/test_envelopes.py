"""Callbacks taken apart and put together: every change keeps its bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerhub.messaging.envelopes import Malformed, digest_of, read_envelope


def change(phone: str, *, body: str = "hi", field: str = "messages") -> str:
    """Write a change as Meta does: escaped, with odd spacing of our own."""
    return (
        f'{{ "field":"{field}", "value" : {{"messaging_product":"whatsapp","metadata":'
        f'{{"display_phone_number":"1","phone_number_id":"{phone}"}},'
        f'"messages":[{{"id":"wamid.{phone}","text":{{"body":"{body}"}}}}]}} }}'
    )


def post(*entries: tuple[str, list[str]]) -> bytes:
    written = ", ".join(f'{{"id":"{ident}","changes":[{",".join(changes)}]}}' for ident, changes in entries)
    return f'{{"object":"whatsapp_business_account", "entry":[{written}]}}'.encode()


def test_one_numbers_callback_stays_as_it_came() -> None:
    text = post(("w1", [change("1"), change("1", body="two")]), ("w2", [change("1", body="3")]))
    envelope = read_envelope(text)
    assert envelope.assemble(envelope.changes) is text


def test_a_part_is_assembled_from_the_original_slices() -> None:
    first, second, third = change("1", body="\\u00e9 \\ud83d\\ude00"), change("2"), change("1", body="three")
    envelope = read_envelope(post(("w1", [first, second]), ("w2", [third])))
    ones = [each for each in envelope.changes if each.phone_number_id == "1"]
    assert envelope.assemble(ones) == (
        b'{"object":"whatsapp_business_account","entry":['
        b'{"id":"w1","changes":[' + first.encode() + b"]},"
        b'{"id":"w2","changes":[' + third.encode() + b"]}]}"
    )


def test_members_around_the_changes_are_kept() -> None:
    text = (
        b'{"object":"whatsapp_business_account","new":1,"entry":[{"id":"w","time":17,"more":{"a":1.50},'
        b'"changes":[' + change("1").encode() + b"," + change("2").encode() + b"]}]}"
    )
    envelope = read_envelope(text)
    assert envelope.assemble(envelope.changes[:1]) == (
        b'{"object":"whatsapp_business_account","new":1,"entry":[{"id":"w","time":17,"more":{"a":1.50},'
        b'"changes":[' + change("1").encode() + b"]}]}"
    )


numbers = st.sampled_from(["1", "2", "3"])
texts = st.text(max_size=12)


@given(
    st.lists(st.lists(st.tuples(numbers, texts), min_size=1, max_size=4), min_size=1, max_size=4),
    st.booleans(),
)
def test_no_change_is_lost_or_altered_however_a_post_is_mixed(
    entries: list[list[tuple[str, str]]], ascii_only: bool
) -> None:
    written = [
        [
            json.dumps(
                {
                    "field": "messages",
                    "value": {"metadata": {"phone_number_id": phone}, "messages": [{"t": body}]},
                },
                ensure_ascii=ascii_only,
            )
            for phone, body in entry
        ]
        for entry in entries
    ]
    text = post(*[(f"w{index}", changes) for index, changes in enumerate(written)])
    envelope = read_envelope(text)
    assert [each.text.decode() for each in envelope.changes] == [each for entry in written for each in entry]
    for phone in ("1", "2", "3"):
        part = [each for each in envelope.changes if each.phone_number_id == phone]
        if part:
            again = read_envelope(envelope.assemble(part))
            assert [each.text for each in again.changes] == [each.text for each in part]
            assert [each.digest for each in again.changes] == [each.digest for each in part]


def test_half_a_surrogate_pair_spoils_nothing() -> None:
    text = post(("w", [change("1", body="a\\ud800b \\\\ud800 \\udc00"), change("2")]))
    envelope = read_envelope(text)
    assert [each.phone_number_id for each in envelope.changes] == ["1", "2"]
    assert envelope.assemble(envelope.changes) is text
    assert (
        json.loads(envelope.assemble(envelope.changes[:1]))["entry"][0]["changes"][0]["field"] == "messages"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"entry":7}',
        b'{"entry":[]}',
        b'{"entry":[{"id":"1"}]}',
        b'{"entry":[{"id":"1","changes":{}}]}',
        b'{"entry":' + b"[" * 100_000 + b"}",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_envelope_says_so(text: bytes) -> None:
    with pytest.raises(Malformed):
        read_envelope(text)


def test_an_odd_change_does_not_spoil_its_neighbours() -> None:
    envelope = read_envelope(post(("w", ["null", "7", '{"field":3}', change("1")])))
    assert [(each.field, each.phone_number_id) for each in envelope.changes] == [
        ("", ""),
        ("", ""),
        ("3", ""),
        ("messages", "1"),
    ]


def status(**members: object) -> bytes:
    whole = {
        "id": "wamid.1",
        "status": "delivered",
        "timestamp": "1763600000",
        "recipient_id": "49151",
    } | members
    value = {"metadata": {"phone_number_id": 109}, "statuses": [whole]}
    return json.dumps(
        {"object": "o", "entry": [{"id": 1, "changes": [{"field": "messages", "value": value}]}]}
    ).encode()


def test_a_status_is_read_for_the_ledger() -> None:
    pricing = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"}
    [only] = read_envelope(status(pricing=pricing)).changes
    assert (only.phone_number_id, only.entry_id) == ("109", "1")
    [told] = only.statuses
    assert (told.wamid, told.status, told.recipient, told.participant) == (
        "wamid.1",
        "delivered",
        "49151",
        "",
    )
    assert told.at == datetime(2025, 11, 20, 0, 53, 20, tzinfo=UTC)
    assert json.loads(told.pricing or b"")["category"] == "marketing"


def test_a_group_members_status_names_the_member() -> None:
    [only] = read_envelope(
        status(recipient_type="group", recipient_id="Y2Fw", recipient_participant_id="49152")
    ).changes
    assert (only.statuses[0].recipient, only.statuses[0].participant) == ("Y2Fw", "49152")


def test_a_user_without_a_phone_number_has_a_status_too() -> None:
    [only] = read_envelope(status(recipient_id=None, recipient_user_id="US.1349")).changes
    assert only.statuses[0].recipient == "US.1349"


@pytest.mark.parametrize(("code", "read"), [(131047, 131047), ("131047", 131047), (None, None), ("x", None)])
def test_a_failure_keeps_metas_code(code: object, read: int | None) -> None:
    [only] = read_envelope(status(status="failed", errors=[{"code": code, "title": "t"}])).changes
    assert only.statuses[0].error_code == read


@pytest.mark.parametrize("broken", [{"timestamp": "soon"}, {"timestamp": None}, {"id": None}, {"id": 7}])
def test_a_status_that_cannot_be_read_is_counted_and_not_lost(broken: dict[str, object]) -> None:
    [only] = read_envelope(status(**broken)).changes
    assert (only.statuses, only.unreadable) == ((), 1)


def test_the_status_of_a_call_is_none_of_a_message() -> None:
    [only] = read_envelope(status(type="call", status="RINGING")).changes
    assert (only.statuses, only.unreadable) == ((), 0)


def test_equal_text_has_one_digest_unless_it_may_be_a_second_event() -> None:
    first, again = read_envelope(status()).changes[0], read_envelope(status()).changes[0]
    other = read_envelope(status(timestamp="1763600001")).changes[0]
    assert first.digest == again.digest != other.digest
    errors_only = post(
        ("w", ['{"field":"messages","value":{"metadata":{"phone_number_id":"1"},"errors":[{"code":1}]}}'])
    )
    assert read_envelope(errors_only).changes[0].digest is None
    assert digest_of(read_envelope(errors_only).changes) is None


def test_management_changes_are_told_apart_by_their_time() -> None:
    def at(time: int) -> bytes | None:
        told = {"field": "account_update", "value": {"event": "X"}}
        text = json.dumps({"entry": [{"id": "w", "time": time, "changes": [told]}]})
        return read_envelope(text.encode()).changes[0].digest

    assert at(1) == at(1) != at(2)


def test_a_thousand_updates_of_three_megabytes_are_read() -> None:
    changes = [change(str(number % 7), body="x" * 2_800) for number in range(1_000)]
    text = post(("w", changes))
    assert len(text) > 2_900_000
    envelope = read_envelope(text)
    assert len(envelope.changes) == 1_000
    part = [each for each in envelope.changes if each.phone_number_id == "3"]
    assert read_envelope(envelope.assemble(part)).changes[-1].text == part[-1].text


def test_bytes_that_are_no_text_are_malformed_or_spoil_their_own_part_only() -> None:
    with pytest.raises(Malformed):
        read_envelope(b'{"\xff":1,"entry":[]}')
    text = post(("w1", [change("1")])).replace(b'"w1"', b'"\xff"')
    (found,) = read_envelope(text).changes
    assert (found.entry_id, found.phone_number_id) == ("", "1")


def test_odd_digits_and_zero_characters_of_a_status_are_survived() -> None:
    statuses = (
        '[{"id":"wamid.1","status":"failed","timestamp":"1760000000","errors":[{"code":"\u00b2"}],'
        '"pricing":{"category":"a\\\\u0000","type":"regu\\u0000lar"}}]'
    )
    text = post(("w1", [change("1").replace('"messages":', f'"statuses":{statuses},"messages":')]))
    (found,) = read_envelope(text).changes[0].statuses
    assert found.error_code is None
    assert found.pricing is not None
    pricing = json.loads(found.pricing)
    assert (pricing["category"], pricing["type"]) == ("a\\u0000", "regular")
