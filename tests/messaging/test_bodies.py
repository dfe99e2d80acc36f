"""Reading sends: tolerant of what clients leave out, and never rewriting what they wrote."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerhub.messaging.bodies import read_send
from partnerhub.messaging.errors import InvalidMessage
from partnerhub.messaging.recipients import canonical

TEXT = '{"messaging_product":"whatsapp","to":"+49 151 12345678","type":"text","text":{"body":"hé"}}'


def test_a_whole_body_goes_to_meta_as_it_came() -> None:
    raw = b' {\n "messaging_product" : "whatsapp", "to":"49151", "type":"text", "text":{"body":"\xc3\xa9"} } '
    assert read_send(raw).forward == raw


def test_a_missing_product_is_put_in_front_and_nothing_else_is_touched() -> None:
    message = read_send(b'{ "to": 4915112345678, "type":"text"}')
    assert message.forward == b'{"messaging_product":"whatsapp", "to": 4915112345678, "type":"text"}'
    assert (message.to, message.recipient) == ("4915112345678", "4915112345678")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"to":"1","text":{"body":"x"}}', "text"),
        ('{"to":"1","template":{"name":"n","language":{"code":"de"}}}', "template"),
        ('{"to":"1","type":"interactive"}', "interactive"),
    ],
)
def test_a_missing_type_is_read_as_meta_reads_it(body: str, kind: str) -> None:
    assert read_send(body.encode()).type == kind


@pytest.mark.parametrize(
    ("language", "code"), [('{"code":"de_AT"}', "de_AT"), ('"de"', "de"), ("null", ""), ("7", "")]
)
def test_a_template_is_named_by_name_and_language(language: str, code: str) -> None:
    body = f'{{"to":"1","type":"template","template":{{"name":"news","language":{language}}}}}'
    message = read_send(body.encode())
    # A language of a wrong type makes the template unknown; Meta will say what is wrong with it.
    assert (message.template, message.language) == (("news", code) if language != "7" else ("", ""))


@pytest.mark.parametrize("extra", ["", ',"typing_indicator":{"type":"text"}'])
def test_a_read_receipt_is_a_signal(extra: str) -> None:
    body = f'{{"messaging_product":"whatsapp","status":"read","message_id":"wamid.x"{extra}}}'
    assert read_send(body.encode()).is_signal


def test_a_status_beside_a_recipient_is_still_a_message() -> None:
    assert not read_send(b'{"status":"read","to":"49151","type":"template","template":{}}').is_signal


def test_a_business_scoped_id_may_stand_alone_and_a_phone_number_wins() -> None:
    alone = read_send(b'{"recipient":"US.13491208655302741918","type":"text"}')
    both = read_send(b'{"recipient":"US.1349","to":"+1 202 555 0100","type":"text"}')
    assert alone.recipient == "US.13491208655302741918"
    assert both.recipient == "12025550100"


def test_a_group_is_known_by_its_recipient_type() -> None:
    assert read_send(b'{"recipient_type":"group","to":"Y2FwaV9ncm91cDox","type":"text"}').is_group


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'"text"',
        b'{"to":["1"],"type":"text"}',
        b'{"to":"","type":"text"}',
        b'{"to":"  ","type":"text"}',
        b'{"type":"text"}',
        b"\xff\xfe",
        b'{"to":"1","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_send(body)
    assert refused.value.code == "invalid_message"


@pytest.mark.parametrize(
    ("text", "half"), [(r"\ud83d", r"\ud83d"), (r"a\udE00b", r"\udE00"), (r"\ud83dx", r"\ud83d")]
)
def test_half_a_character_is_named(text: str, half: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_send(b'{"to":"1","type":"text","text":{"body":"%b"}}' % text.encode())
    assert f"the escape {half} is half of a character" in refused.value.message


def test_an_escaped_backslash_is_no_half_of_a_character() -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_send(rb'{"to":"1","text":"\\ud83d","type":7}')
    assert "half" not in refused.value.message


members = st.dictionaries(
    st.text(max_size=8).filter(
        lambda name: name not in {"to", "type", "messaging_product", "template", "status"}
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3),
    ),
    max_size=4,
)


@given(members, st.booleans())
def test_unknown_members_always_pass_through(extra: dict[str, object], with_product: bool) -> None:
    wanted = {**extra, "to": "49151", "type": "text"} | (
        {"messaging_product": "whatsapp"} if with_product else {}
    )
    if {"recipient", "recipient_type", "message_id"} & extra.keys():
        return
    sent = json.loads(read_send(json.dumps(wanted).encode()).forward)
    assert sent == {**wanted, "messaging_product": "whatsapp"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("+49 (151) 123-456.78", "4915112345678"),
        ("5215512345678", "525512345678"),
        ("525512345678", "525512345678"),
        ("5491123456789", "541123456789"),
        ("5511987654321", "551187654321"),
        ("551187654321", "551187654321"),
        ("5511887654321", "5511887654321"),
        ("US.13491208655302741918", "US.13491208655302741918"),
        ("Y2FwaV9ncm91cDox", "Y2FwaV9ncm91cDox"),
        ("a\x00b", "ab"),
    ],
)
def test_a_recipient_has_one_spelling(written: str, read: str) -> None:
    assert canonical(written) == read
    assert canonical(read) == read


@pytest.mark.parametrize("kind", ["TEMPLATE", "Template", " template "])
def test_a_type_is_priced_as_graph_reads_it_whatever_its_case(kind: str) -> None:
    raw = {"to": "1", "type": kind, "template": {"name": "n", "language": {"code": "de"}}}
    message = read_send(json.dumps(raw).encode())
    assert (message.type, message.template, message.language) == ("template", "n", "de")
    group = read_send(json.dumps({"to": "g", "recipient_type": "GROUP", "type": "TEXT"}).encode())
    assert (group.is_group, group.type) == (True, "text")
