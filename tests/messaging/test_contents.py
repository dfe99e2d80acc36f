"""What a log says of a body: the first thing in it, by Meta's own words."""

from __future__ import annotations

import json

import pytest

from partnerhub.messaging.contents import Content, ContentKind, read_content


def _body(*values: object) -> bytes:
    changes = [{"field": "messages", "value": value} for value in values]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": changes}]}).encode()


_STATUS = {"id": "wamid.A", "status": "delivered", "recipient_id": "4915112345678", "timestamp": "1"}
_MESSAGE = {"id": "wamid.B", "type": "image", "from": "4915112345678", "image": {"id": "1"}}


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (
            {"statuses": [_STATUS]},
            Content(ContentKind.STATUS, "delivered", "4915112345678", False, "wamid.A"),
        ),
        (
            {"statuses": [{**_STATUS, "recipient_id": "", "recipient_user_id": "US.1"}]},
            Content(ContentKind.STATUS, "delivered", "US.1", False, "wamid.A"),
        ),
        ({"messages": [_MESSAGE]}, Content(ContentKind.MESSAGE, "image", "4915112345678", True, "wamid.B")),
        (
            {"messages": [{"id": "wamid.C", "type": "text", "from_user_id": "US.1"}], "contacts": [{}]},
            Content(ContentKind.MESSAGE, "text", "US.1", True, "wamid.C"),
        ),
        (
            {"message_echoes": [{"id": "wamid.D", "type": "text", "from": "49301", "to": "49151"}]},
            Content(ContentKind.ECHO, "text", "49151", False, "wamid.D"),
        ),
        (
            {
                "calls": [
                    {
                        "id": "wacid.E",
                        "event": "connect",
                        "from": "1",
                        "to": "2",
                        "direction": "USER_INITIATED",
                    }
                ]
            },
            Content(ContentKind.CALL, "connect", "1", True, "wacid.E"),
        ),
        (
            {"statuses": [{"id": "wacid.F", "type": "call", "status": "RINGING", "recipient_id": "2"}]},
            Content(ContentKind.CALL, "RINGING", "2", False, "wacid.F"),
        ),
    ],
)
def test_each_kind_of_thing_is_told_by_its_word_and_the_other_side(value: object, content: Content) -> None:
    assert read_content(_body(value)) == content


def test_of_several_things_the_first_is_told_and_how_many_more_there_are() -> None:
    found = read_content(_body({"statuses": [_STATUS, _STATUS]}, {"messages": [_MESSAGE], "statuses": None}))
    assert found == Content(ContentKind.STATUS, "delivered", "4915112345678", False, "wamid.A", further=2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"id":"1","event":"channel_live","data":{}}',
        b'{"entry":[{"changes":[{"value":[]}]}]}',
        b'{"entry":[{"changes":[{"field":"x"}]}]}',
        b"[" * 5000,
    ],
)
def test_of_a_body_in_another_form_nothing_is_told(body: bytes) -> None:
    assert read_content(body) is None
