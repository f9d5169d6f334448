"""JSON text to dict and back: what is read, what is refused, and what may be shown."""

from __future__ import annotations

import json
import math

import pytest

from telephony import ProtocolError
from telephony.protocol import wire
from telephony.protocol.wire import Secrets

HUGE = 10**5000  # Python refuses to write it as text


# Whatever reads the texts, all of this holds.
pytestmark = pytest.mark.usefixtures("decoder")


# --- encode and decode -----------------------------------------------------------------


def test_a_frame_survives_the_way_there_and_back():
    """What is encoded decodes to the same."""
    frame = {"a": "é\u2028\U0001f4de", "b": 1, "c": [True, None], "d": {"e": 1.5}}
    assert frame == wire.decode(wire.encode(frame))


def test_the_text_of_a_frame_is_ascii_and_one_line():
    """Nothing in a frame can be taken for something else on the way."""
    text = wire.encode({"to": "é\n\u2028\ud800"})
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "   ",
        "not json",
        "{",
        '{"a":1',
        '{"a":1}}',
        "{'a':1}",
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":-Infinity}',
        "[]",
        '[{"event":"call_ringing"}]',
        "null",
        "true",
        "17",
        '"text"',
        '{"a":' + "9" * 5000 + "}",
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"a":"\x00"}',
        "\ufeff{}",
        b"\xff\xfe{}",
        b"{}",
        b"",
    ],
    ids=lambda message: repr(message[:12]),
)
def test_what_is_no_json_object_is_a_protocol_error(message):
    """Nothing but an object in text is taken, and nothing but ProtocolError is raised."""
    with pytest.raises(ProtocolError) as caught:
        wire.decode(message)
    assert "the CM sent" in str(caught.value)


def test_the_error_does_not_quote_the_message():
    """What cannot be read may hold a secret: the error says only how long it was."""
    with pytest.raises(ProtocolError) as caught:
        wire.decode('{"token":"top-secret-token"')
    assert "top-secret" not in str(caught.value)
    assert "27" in str(caught.value)
    assert caught.value.__cause__ is None


# --- liberal readers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, text",
    [
        ("100", "100"),
        ("", ""),
        (100, "100"),
        (100.0, "100"),
        (1.5, "1.5"),
        (-7, "-7"),
        (None, ""),
        (True, ""),
        (False, ""),
        ([], ""),
        (["a"], ""),
        ({}, ""),
        ({"a": 1}, ""),
        (HUGE, ""),
    ],
    ids=lambda value: "huge" if value == HUGE else repr(value)[:12],
)
def test_text(value, text):
    """Numbers are read as their text; what has no text is empty."""
    assert text == wire.text_of(value)


@pytest.mark.parametrize(
    "value, number",
    [
        (12, 12),
        (1.5, 1.5),
        ("12", 12),
        ("1.5", 1.5),
        ("-3", -3),
        ("", None),
        ("abc", None),
        ("12 s", None),
        ("nan", None),
        ("inf", None),
        ("9" * 5000, None),
        (HUGE, None),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        (None, None),
        ([], None),
        ({}, None),
    ],
    ids=lambda value: "huge" if value == HUGE else repr(value)[:12],
)
def test_number(value, number):
    """Numbers come as numbers or as text; the rest is None."""
    assert number == wire.number_of(value)


@pytest.mark.parametrize(
    "value, number", [("30", 30), (30, 30), ("30.9", 30), (30.9, 30), ("", None), ("x", None)]
)
def test_whole_number(value, number):
    """Durations are strings on the wire, and have been seen as numbers."""
    assert number == wire.integer_of(value)


@pytest.mark.parametrize(
    "value, flag",
    [
        (True, True),
        ("true", True),
        ("True", True),
        ("1", True),
        (1, True),
        (False, False),
        ("false", False),
        ("0", False),
        (0, False),
        ("", False),
        (None, False),
        ([True], False),
        ({"a": 1}, False),
        ("yes", False),
    ],
)
def test_flag(value, flag):
    """A flag is true when it says so in one way or another."""
    assert flag is wire.flag_of(value)


def test_no_reader_raises():
    """A number of thousands of digits is read as nothing, by every reader."""
    assert "" == wire.text_of(HUGE)
    assert wire.number_of(HUGE) is None
    assert wire.integer_of(HUGE) is None
    assert wire.flag_of(HUGE) is False


@pytest.mark.parametrize(
    "value, headers",
    [
        ({"X-A": "1", "X-B": 2}, {"X-A": "1", "X-B": "2"}),
        ({"X-A": "1", "X-B": {"no": "text"}, "X-C": None}, {"X-A": "1"}),
        ([], {}),
        ("X-A: 1", {}),
        (None, {}),
    ],
)
def test_headers(value, headers):
    """An object of strings; what in it is not text is left out."""
    assert headers == wire.headers_of(value)


@pytest.mark.parametrize(
    "number, digits",
    [
        ("+1 (800) 555-1234", "18005551234"),
        ("18005551234", "18005551234"),
        ("sip:+1800@host", "1800"),
        ("", ""),
        ("anonymous", ""),
    ],
)
def test_digits(number, digits):
    """Numbers are compared by their digits alone."""
    assert digits == wire.digits_of(number)


# --- what may be shown -------------------------------------------------------------------


@pytest.mark.parametrize("key", ["token", "auth_token", "Authorization", "password", "sip"])
def test_redact_masks_secrets_by_their_names(key):
    """At any depth, in objects and in lists of them."""
    frame = {key: "s3cret", "data": {key: "s3cret", "list": [{key: "s3cret"}]}, "callid": "id"}
    shown = wire.redact(frame)
    assert "s3cret" not in json.dumps(shown)
    assert "id" == shown["callid"]
    assert "s3cret" == frame[key], "the frame itself is left as it is"


def test_redact_cuts_deep_nesting_off():
    """It can be told of any frame without running out of stack."""
    deep: dict = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert len(repr(wire.redact(deep))) < 200
    while deep:  # taken apart by hand: the interpreter's own way is recursive
        deep = deep["a"]


def test_our_own_secrets_are_masked():
    """The credentials of the connection, with and without their scheme, and RTC tokens."""
    secrets = Secrets("Basic c2VjcmV0LXRva2Vu")
    secrets.add(token="rtc-token-1")
    text = "bad Basic c2VjcmV0LXRva2Vu / c2VjcmV0LXRva2Vu / xrtc-token-1x / Basic"
    assert "bad *** / *** / x***x / Basic" == secrets.mask(text)


def test_a_secret_is_masked_from_when_it_is_known():
    """Also after others were masked; and where it is all of the text."""
    secrets = Secrets("Basic x")
    for number in range(3):
        token = f"rtc-token-{number}"
        assert token == secrets.mask(token)
        secrets.add(token=token)
        assert "***" == secrets.mask(token)
        assert {"a": ["***", "tc-token"]} == secrets.redact({"a": [token, "tc-token"]})


@pytest.mark.parametrize(
    "sip",
    [
        "host:5081;transport=tls;username=alice;password=wonderland",
        "sip:alice:wonderland@host:5081",
        "alice:wonderland@host",
        "host;Password=wonderland&user=alice",
    ],
)
def test_a_trunks_credentials_are_masked(sip):
    """In the URI as it was given and anywhere else in a text."""
    secrets = Secrets("Basic x")
    secrets.add(sip=sip)
    text = secrets.mask(f"no route to {sip}: wonderland is no password for alice")
    assert "wonderland" not in text
    assert "alice" not in text
    assert text.startswith("no route to ***")


def test_a_trunk_without_credentials_is_no_secret():
    """Its host is what one needs to read in an error."""
    secrets = Secrets("Basic x")
    secrets.add(sip="host:5081;transport=tls")
    assert "host:5081;transport=tls is down" == secrets.mask("host:5081;transport=tls is down")


def test_short_secrets_are_masked_as_whole_words_only():
    """Else a password such as ``call`` would make ``callid`` unreadable."""
    secrets = Secrets("Basic x")
    secrets.add(token="call")
    assert "callid of *** not found" == secrets.mask("callid of call not found")


def test_the_longest_secret_goes_first():
    """One secret within another leaves no rest of the longer one."""
    secrets = Secrets("Basic x")
    secrets.add(token="abcdefgh")
    secrets.add(token="abcdefghijklmnop")
    assert "***" == secrets.mask("abcdefghijklmnop")


def test_only_the_last_secrets_are_kept_and_the_credentials_always():
    """Memory does not grow with the number of commands."""
    secrets = Secrets("Basic credentials", limit=2)
    for i in range(1000):
        secrets.add(token=f"rtc-token-{i:04}")
    text = "credentials rtc-token-0001 rtc-token-0998 rtc-token-0999"
    assert "*** rtc-token-0001 *** ***" == secrets.mask(text)


def test_secrets_do_not_show_in_their_own_repr():
    """Only how many there are."""
    secrets = Secrets("Basic credentials")
    secrets.add(token="rtc-token-1")
    assert "rtc" not in repr(secrets)
    assert "credentials" not in repr(secrets)


@pytest.mark.parametrize(
    "number, expected",
    [
        ("+18005551234", "+18005551234"),
        ("+1800;dtmf=12#", "+1800;dtmf=12#"),
        ("sip:alice@host:5081", "sip:alice@host:5081"),
        ("sip:alice:pa55@host:5081", "sip:***@host:5081"),
        ("alice:pa55@host", "***@host"),
        ("host;username=u1;password=pa55", "host;username=***;password=***"),
        ("no way to sip:alice:pa55@host:5081 now", "no way to sip:***@host:5081 now"),
        ("https://example.org/x?key=pa55&y=1", "https://example.org/x?***"),
        ("see https://u:pa55@example.org/x now", "see https://***@example.org/x now"),
    ],
)
def test_numbers_are_shown_without_credentials(number, expected):
    """A callee can be a SIP URI, and that can hold a password."""
    assert expected == wire.shown(number)


def test_secrets_are_masked_wherever_they_stand():
    """The CM may repeat a token in the midst of what it says."""
    secrets = wire.Secrets("Basic c2VjcmV0LXRva2Vu")
    secrets.add(token="rtc-token-100")
    said = {"reason": "bad rtc-token-100", "more": ["c2VjcmV0LXRva2Vu", 1], "token": "x"}
    assert {"reason": "bad ***", "more": ["***", 1], "token": "***"} == secrets.redact(said)


@pytest.mark.parametrize(
    "frame",
    [
        {"sdk_options": '{"token": "pa55", "deep": [{"Password": "pa55"}]}'},
        {"sdk_options": '{"not json": pa55'},
        {"webhook_url": "https://example.org/hook?key=pa55"},
        {"rtc_token": "pa55", "x": {"accessToken": "pa55", "client_secret": "pa55"}},
        {"sip_headers": {"Proxy-Authorization": "Digest pa55"}},
        {"reason": "no route to sip:alice:pa55@host"},
    ],
)
def test_nothing_of_it_is_in_a_frame_for_the_log(frame):
    """Under whatever key it stands, in JSON as text, and in the query of a URL."""
    text = wire.loggable(wire.encode(frame), wire.Secrets("Basic c2VjcmV0LXRva2Vu"))
    assert "pa55" not in text
    assert set(frame) == set(wire.decode(text))


def test_a_refusals_reason_holds_no_password_of_a_trunk():
    """Also of one that is not ours."""
    secrets = wire.Secrets("Basic c2VjcmV0LXRva2Vu")
    assert "bad sip:***@host" == secrets.mask("bad sip:alice:pa55word@host")


def test_what_is_kept_of_a_refusal_is_bounded():
    """Deep, long and wide data costs no more than little."""
    deep: list = []
    for _ in range(900):
        deep = [deep]
    secrets = wire.Secrets("Basic c2VjcmV0LXRva2Vu")
    kept = secrets.redact({"deep": deep, "long": ["a"] * 10_000, "last": "x"})
    assert "[[[[[[…]" in str(kept).replace("'", "")[:60]
    assert 50 == len(kept["long"])
    wide = secrets.redact({str(number): ["a", "b"] for number in range(100_000)})
    assert wire.SHOWN_MOST >= sum(1 + len(items) for items in wide.values())


@pytest.mark.parametrize(
    "text, sound",
    [
        ("4f1c", True),
        ("room 1", True),
        ("café\u00a0☎", True),
        ("x" * wire.ID_MOST, True),
        ("x" * wire.ID_MOST + "x", False),
        ("", False),
        (" \t", False),
        ("a\r\nb", False),
        ("a\x7f", False),
        ("a\ud800", False),
    ],
)
def test_what_can_be_an_id(text, sound):
    """An id goes back in commands: what those would refuse is none."""
    assert sound is wire.is_id(text)


def test_headers_are_bounded():
    """A snapshot keeps the first of them, up to 32 KiB."""
    headers = {f"X-{number:06d}": "v" * 992 for number in range(1000)}
    kept = wire.headers_of(headers)
    assert list(headers)[:32] == list(kept)


def test_a_frame_for_the_log():
    """One line, in which no secret is left and which has an end."""
    secrets = wire.Secrets("Basic c2VjcmV0LXRva2Vu")
    secrets.add(token="rtc-token-100")
    frame = {
        "token": "rtc-token-200",
        "to": "sip:alice:pa55@host",
        "note": ["said rtc-token-100\nBasic c2VjcmV0LXRva2Vu"],
    }
    text = wire.loggable(wire.encode(frame), secrets)
    assert '{"token":"***","to":"sip:***@host","note":["said ***\\n***"]}' == text
    long = wire.loggable(wire.encode({"text": "x" * 10_000}), secrets)
    assert long.endswith("… (10011 characters)")
    assert wire.LOGGED_MOST + 30 > len(long)
    assert "(the CM sent 2 characters that are not JSON" in wire.loggable("no", secrets)


def test_words_can_be_printed():
    """Half a surrogate pair, which JSON can hold, is spelt out; the rest is as it was."""
    assert "no \\ud800 café" == wire.words_of("no \ud800 café")
    assert wire.ID_MOST == len(wire.words_of("x" * 5000))
