"""IO Signature under attack: every small change of a valid pair, generated, against the check itself.

What is right is said here by a second hand: the ways of writing one signature are listed, and everything
else must be refused with one of the documented codes and no other error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partnerhub.onboarding.entry import read_entry
from partnerhub.onboarding.errors import (
    IoSignatureBad,
    IoSignatureInFuture,
    IoSignatureMalformed,
    IoSignatureMissing,
    IoSignatureRefused,
    IoSignatureTooOld,
)
from partnerhub.onboarding.io_signature import SignedLink, Window, read_signature

PARTNER, TIME, SECRET = "aAbBcCPA", "1775653748", "test-platform-secret"
VECTOR = (
    "7e44ff04747cc8cf69c0c5796df59ae783237ff912bec70f87a0a04fa7ed6a82"
    "3ff6fd521020b926cc29cb1a0a1445651da0ee8fedd0d5185b183c60e5c37b6a"
)
DIGEST = bytes.fromhex(VECTOR)
BASE64 = base64.b64encode(DIGEST).decode()
URL_SAFE = base64.urlsafe_b64encode(DIGEST).decode()
FORMS = {
    "hex": VECTOR,
    "HEX": VECTOR.upper(),
    "base64": BASE64,
    "base64url": URL_SAFE,
    "base64 without padding": BASE64.rstrip("="),
    "base64url without padding": URL_SAFE.rstrip("="),
}
FIELDS = ("io_signature", "io_timestamp")
BLANKS = (
    *("%20", "+", "%09", "%0A", "%0D", "%0D%0A", "%0B", "%0C", "%00"),
    *("%C2%A0", "%C2%AD", "%E2%80%8B", "%EF%BB%BF"),
)


def read(query: str | bytes, *, partner_id: str = PARTNER, secret: str = SECRET) -> SignedLink:
    return read_signature(partner_id=partner_id, entry=read_entry(query), secret=secret, window=Window())


def pair(signature: str = VECTOR, timestamp: str = TIME) -> str:
    """Write a link's query with both values as they are."""
    return f"io_signature={signature}&io_timestamp={timestamp}"


def signed(message: str, *, secret: str = SECRET) -> str:
    """Sign any text the way a partner's server would."""
    return hmac.new(secret.encode(), message.encode(), hashlib.sha512).hexdigest()


def refuse_all(queries: Iterable[str | bytes], *errors: type[IoSignatureRefused]) -> int:
    """Demand that every query is refused for one of these reasons and say how many there were."""
    count = 0
    for query in queries:
        try:
            read(query)
        except IoSignatureRefused as refused:
            assert not errors or type(refused) in errors  # noqa: PT017 - of many, with their number
            count += 1
        else:
            pytest.fail(f"got in: {query!r}")
    return count


def test_the_conformance_vector_holds() -> None:
    link = read(pair())
    assert link.signed_at == datetime.fromtimestamp(1775653748, UTC)
    assert signed("aAbBcCPA|1775653748") == VECTOR


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("is_encoded", [True, False])
def test_every_documented_way_of_writing_it_is_the_same_signature(form: str, is_encoded: bool) -> None:
    written = quote(form, safe="") if is_encoded else form
    assert read(pair(written)) == read(pair())


def test_the_order_of_the_parameters_and_their_neighbours_do_not_matter() -> None:
    for query in (
        f"io_timestamp={TIME}&io_signature={VECTOR}",
        f"state=a%26b&io_timestamp={TIME}&email=a@b.example&io_signature={VECTOR}&x=",
        f"redirect_url=https://x.example/cb?a=1&b=2&{pair()}",
    ):
        assert read(query) == read(pair())


@pytest.mark.parametrize("blank", ["+", "%20", "%0D", "\r", "\t", "%C2%A0"])
def test_no_blank_beside_a_name_is_overlooked(blank: str) -> None:
    refuse_all(
        f"{before}io_signature{after}={VECTOR}&{other_before}io_timestamp{other_after}={TIME}"
        for before, after, other_before, other_after in (
            (blank, "", "", ""),
            ("", blank, "", ""),
            ("", "", blank, ""),
            ("", "", "", blank),
        )
    )


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_single_bit_may_change(form: str) -> None:
    query = pair(form).encode()
    is_hex = form.lower() == VECTOR
    start, end = query.index(b"=") + 1, query.index(b"&")
    same, refused = 0, 0
    for position in range(len(query)):
        for bit in range(8):
            changed = bytearray(query)
            changed[position] ^= 1 << bit
            # A hexadecimal letter in the other case is the same letter.
            if is_hex and start <= position < end and bytes(changed).lower() == query.lower():
                assert read(bytes(changed)) == read(query)
                same += 1
            else:
                refused += refuse_all([bytes(changed)])
    letters = sum(character.isalpha() for character in VECTOR) if is_hex else 0
    assert (same, refused) == (letters, 8 * len(query) - letters)


def test_no_bit_of_the_decoded_signature_may_change() -> None:
    for bit in range(512):
        other = bytearray(DIGEST)
        other[bit // 8] ^= 1 << bit % 8
        for text in (other.hex(), base64.b64encode(other).decode(), base64.urlsafe_b64encode(other).decode()):
            refuse_all([pair(text)], IoSignatureBad)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_character_may_be_missing_added_or_moved(form: str) -> None:
    others = {text for text in FORMS.values() if text != form}

    def changed(text: str) -> Iterator[str]:
        for position in range(len(text) + 1):
            head, tail = text[:position], text[position:]
            yield head
            yield tail
            yield head + tail[1:]
            yield from (head + extra + tail for extra in "0aAfgz9-_=/%")
            yield head + tail[1:2] + tail[:1] + tail[2:]
            yield tail + head

    signatures = {one for one in changed(form) if one not in {form, *others}}
    assert refuse_all(pair(one) for one in signatures) > 1000
    times = {one for one in changed(TIME) if one != TIME}
    assert refuse_all(pair(form, one) for one in times) > 100
    assert refuse_all([pair(form * 2), pair(form * 20), pair("0" * 5000), pair(form, "1" * 5000)]) == 4


def test_the_case_of_base64_and_of_names_counts() -> None:
    for form in (BASE64, URL_SAFE):
        refuse_all([pair(form.swapcase()), pair(form.lower()), pair(form.upper())], IoSignatureBad)
    mixed = "".join(
        one.upper() if number % 2 else one for number, one in enumerate(VECTOR)
    )  # the one encoding that has no case
    assert read(pair(mixed)) == read(pair())
    refuse_all(
        [pair().upper(), pair().replace("io_s", "IO_S"), pair().replace("io_t", "Io_t")], IoSignatureMissing
    )


def test_the_two_alphabets_of_base64_do_not_mix() -> None:
    assert "+" in BASE64
    assert "/" in BASE64
    half = BASE64.replace("+", "-")
    refuse_all([pair(half), pair(BASE64.replace("/", "_")), pair(BASE64[:-1])], IoSignatureMalformed)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_blank_gets_in_anywhere(form: str) -> None:
    def everywhere(text: str) -> Iterator[str]:
        for blank in BLANKS:
            for position in range(len(text) + 1):
                if blank != "+" or "+" not in text:
                    yield text[:position] + blank + text[position:]

    assert refuse_all(pair(quoted) for quoted in everywhere(form)) > 1000
    assert refuse_all((pair(form, text) for text in everywhere(TIME)), IoSignatureMalformed) > 100
    for left, right in (('"', '"'), ("'", "'"), ("[", "]"), ("%22", "%22")):
        refuse_all(
            [pair(left + form + right), pair(form, left + TIME + right)],
            IoSignatureMalformed,
        )


@pytest.mark.parametrize(
    "message",
    [
        f"{TIME}|{PARTNER}",
        f"{PARTNER}{TIME}",
        f"{PARTNER}||{TIME}",
        f"{PARTNER}:{TIME}",
        f"{PARTNER}&{TIME}",
        f"{PARTNER} | {TIME}",
        f"{PARTNER}|{TIME}|",
        f"|{PARTNER}|{TIME}",
        f"{PARTNER}|{TIME}\n",
        f"{PARTNER}\x00|{TIME}",
        f"{PARTNER}|{TIME}000",
        f"{PARTNER}|",
        TIME,
        PARTNER,
        "",
        f"{PARTNER.lower()}|{TIME}",
        f"{PARTNER.upper()}|{TIME}",
        f"zZbBcCPA|{TIME}",
        f"{PARTNER}|{int(TIME) + 1}",
        f"{PARTNER}|{int(TIME) - 1}",
    ],
)
def test_only_the_one_message_is_signed(message: str) -> None:
    refuse_all([pair(signed(message))], IoSignatureBad)


def test_only_the_current_secret_signs_and_only_with_this_algorithm() -> None:
    message = f"{PARTNER}|{TIME}"
    secrets = [
        SECRET[:-1],
        SECRET + " ",
        SECRET + "\n",
        SECRET.upper(),
        "",
        SECRET.encode().hex(),
        SECRET[::-1],
    ]
    secrets += [
        (SECRET.encode()[:n] + bytes([SECRET.encode()[n] ^ 1 << bit]) + SECRET.encode()[n + 1 :]).decode()
        for n in range(len(SECRET))
        for bit in range(7)
    ]
    assert refuse_all([pair(signed(message, secret=secret)) for secret in secrets], IoSignatureBad) > 100
    for algorithm in ("md5", "sha1", "sha256", "sha384", "sha3_512", "blake2b"):
        refuse_all([pair(hmac.new(SECRET.encode(), message.encode(), algorithm).hexdigest())])
    refuse_all(
        [
            pair(hashlib.sha512((SECRET + message).encode()).hexdigest()),
            pair(hmac.new(message.encode(), SECRET.encode(), "sha512").hexdigest()),
            pair("0" * 128),
            pair("f" * 128),
        ],
        IoSignatureBad,
    )


def test_a_signature_is_for_its_own_partner() -> None:
    with pytest.raises(IoSignatureBad):
        read(pair(), partner_id="zZbBcCPA")
    with pytest.raises(IoSignatureBad):
        read(pair(), secret="another")


@pytest.mark.parametrize(
    "query",
    [
        f"{pair()}&{pair()}",
        f"{pair()}&io_timestamp={TIME}",
        f"{pair()}&io_signature={VECTOR}",
        f"{pair()}&io_signature=",
        f"io_signature=&{pair()}",
        f"io_timestamp&{pair()}",
        f"{pair()}&io_timestamp=1",
        f"io_signature=0&{pair()}",
        f"{pair()}&%69o_signature={VECTOR}",
        f"{pair()}&+io_timestamp={TIME}",
    ],
)
def test_nothing_is_there_twice(query: str) -> None:
    refuse_all([query], IoSignatureMalformed)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&&&",
        f"io_signature={VECTOR}",
        f"io_timestamp={TIME}",
        f"io_signature=&io_timestamp={TIME}",
        f"io_signature={VECTOR}&io_timestamp=",
        f"io_signature&io_timestamp={TIME}",
        f"io-signature={VECTOR}&io-timestamp={TIME}",
        f"signature={VECTOR}&timestamp={TIME}",
        f"io_signature[]={VECTOR}&io_timestamp[]={TIME}",
        f"io_signature={VECTOR};io_timestamp={TIME}",
        f"state={quote('&' + pair(), safe='')}",
    ],
)
def test_what_is_not_there_is_missing(query: str) -> None:
    refuse_all([query], IoSignatureMissing)


DIGITS = [chr(point) for point in range(128, sys.maxunicode + 1) if chr(point).isdigit()]


def test_digits_of_other_scripts_are_none_even_when_they_are_signed() -> None:
    assert len(DIGITS) > 600
    for digit in DIGITS:
        for position in (0, 4, 9):
            time = TIME[:position] + digit + TIME[position + 1 :]
            refuse_all(
                [pair(timestamp=quote(time)), pair(signed(f"{PARTNER}|{time}"), quote(time))],
                IoSignatureMalformed,
            )
    refuse_all(
        [pair(VECTOR[:position] + quote("\uff10") + VECTOR[position + 1 :]) for position in range(128)]
    )


@pytest.mark.parametrize(
    "time",
    [
        f"+{TIME}",
        f"-{TIME}",
        "-0",
        "-1",
        f"{TIME}.0",
        f"{TIME}.",
        f"{TIME},0",
        f"{TIME}e0",
        "1.775653748e9",
        f"0{TIME}",
        f"00{TIME}",
        "00",
        "1_775_653_748",
        "1,775,653,748",
        hex(int(TIME)),
        f"{int(TIME):x}",
        oct(int(TIME)),
        f"{TIME}L",
        f"{TIME}s",
        "NaN",
        "Infinity",
        "null",
        "2026-04-08T13:09:08Z",
        f"{TIME}000",
        f"{TIME}123",
        f"{TIME}000000",
        *(str(2**power + more) for power in (40, 63, 64, 128) for more in (-1, 0, 1)),
        str(10**11),
        str(10**400),
        "9" * 4300,
    ],
)
def test_a_time_is_whole_unix_seconds_even_when_something_else_is_signed(time: str) -> None:
    whole = quote(time, safe="")
    refuse_all([pair(timestamp=whole), pair(signed(f"{PARTNER}|{time}"), whole)], IoSignatureMalformed)


@pytest.mark.parametrize(
    ("time", "error"),
    [
        ("0", IoSignatureTooOld),
        ("1", IoSignatureTooOld),
        (str(2**31), IoSignatureInFuture),
        (str(2**32), IoSignatureInFuture),
        ("99999999999", IoSignatureInFuture),
    ],
)
def test_a_signed_time_far_away_is_out_of_the_window(time: str, error: type[IoSignatureRefused]) -> None:
    link = read(pair(signed(f"{PARTNER}|{time}"), time))
    with pytest.raises(error):
        link.window.check(link.signed_at, now=datetime(2026, 11, 20, tzinfo=UTC))


@given(seconds=st.integers(-900, 900), milliseconds=st.integers(0, 999))
@example(seconds=300, milliseconds=0)
@example(seconds=300, milliseconds=1)
@example(seconds=-60, milliseconds=0)
@example(seconds=-61, milliseconds=999)
def test_the_window_is_five_minutes_back_and_one_forward(seconds: int, milliseconds: int) -> None:
    link = read(pair())
    passed = timedelta(seconds=seconds, milliseconds=milliseconds)
    now = link.signed_at + passed
    if passed > timedelta(minutes=5):
        with pytest.raises(IoSignatureTooOld):
            link.window.check(link.signed_at, now=now)
    elif passed < -timedelta(minutes=1):
        with pytest.raises(IoSignatureInFuture):
            link.window.check(link.signed_at, now=now)
    else:
        link.window.check(link.signed_at, now=now)


@given(st.text(max_size=200), st.text(max_size=30))
def test_no_text_gets_in_by_itself(signature: str, timestamp: str) -> None:
    refuse_all([pair(quote(signature, safe=""), quote(timestamp, safe="")), pair(signature, timestamp)])


@given(st.binary(max_size=400))
def test_no_query_is_an_accident(query: bytes) -> None:
    refuse_all([query])


@given(st.data())
def test_no_few_edits_get_in(data: st.DataObject) -> None:
    text = pair(data.draw(st.sampled_from(list(FORMS.values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        dropped = data.draw(st.integers(0, 2))
        text = text[:at] + data.draw(st.text(max_size=2)) + text[at + dropped :]
    value = dict(part.partition("=")[::2] for part in text.split("&"))
    signature = value.get("io_signature", "")
    is_same = value.get("io_timestamp") == TIME and (
        signature in FORMS.values() or signature.lower() == VECTOR
    )
    try:
        link = read(text)
    except IoSignatureRefused:
        # Beside a right pair there may only be a second one.
        assert not is_same or text.count("io_") > 2
    else:
        assert is_same
        assert link == read(pair())
