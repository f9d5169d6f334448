"""Each command's frame, exactly, and every wrong argument refused by its name."""

from __future__ import annotations

import json

import pytest

from telephony import InvalidArgumentError
from telephony.protocol.commands import (
    Accept,
    Bridge,
    Dial,
    EndCall,
    HangUp,
    OtherCommand,
    Rebridge,
    Reject,
    SendDtmf,
    Subscribe,
    Transfer,
    Unbridge,
    checked_numbers,
    checked_seconds,
    checked_text,
    checked_wait,
    hang_up,
)

DIAL = {
    "to": "+1800",
    "from_": "+1555",
    "channel": "room",
    "uid": "100",
    "token": "t0k3n",
    "region": "AREA_CODE_NA",
}
JOIN = {"call_id": "id-1", "token": "t0k3n", "channel": "room", "uid": "100"}

DIAL_WIRE = {
    "action": "outbound",
    "to": "+1800",
    "from": "+1555",
    "channel": "room",
    "uid": "100",
    "token": "t0k3n",
    "region": "AREA_CODE_NA",
}
JOIN_WIRE = {"callid": "id-1", "token": "t0k3n", "channel": "room", "uid": "100"}

FRAMES = [
    ("dial", Dial(**DIAL), DIAL_WIRE),
    (
        "dial-everything",
        Dial(
            **DIAL,
            timeout=30,
            sip="host:5081;transport=tls",
            sip_domain="example.org",
            app_id="APP",
            video=True,
            sdk_options='{"a":1}',
            audio_scenario=10,
            prompt="beep",
            webhook_url="https://example.org/hook",
        ),
        {
            **DIAL_WIRE,
            "timeout": "30",
            "sip": "host:5081;transport=tls",
            "sip_domain": "example.org",
            "appid": "APP",
            "video": True,
            "sdk_options": '{"a":1}',
            "audio_scenario": "10",
            "prompt": "beep",
            "webhook_url": "https://example.org/hook",
        },
    ),
    ("dial-video-false", Dial(**DIAL, video=False), DIAL_WIRE),
    ("dial-integer-uid", Dial(**{**DIAL, "uid": 100}), DIAL_WIRE),
    ("dial-uid-zero", Dial(**{**DIAL, "uid": 0}), {**DIAL_WIRE, "uid": "0"}),
    ("dial-dtmf", Dial(**{**DIAL, "to": "+1800;dtmf=12#"}), {**DIAL_WIRE, "to": "+1800;dtmf=12#"}),
    ("dial-new-region", Dial(**{**DIAL, "region": "MOON"}), {**DIAL_WIRE, "region": "MOON"}),
    ("dial-scenario-zero", Dial(**DIAL, audio_scenario=0), {**DIAL_WIRE, "audio_scenario": "0"}),
    ("dial-timeout-float", Dial(**DIAL, timeout=30.0), {**DIAL_WIRE, "timeout": "30"}),
    ("dial-timeout-half", Dial(**DIAL, timeout=2.5), {**DIAL_WIRE, "timeout": "2.5"}),
    ("dial-timeout-text", Dial(**DIAL, timeout="45"), {**DIAL_WIRE, "timeout": "45"}),
    (
        "accept",
        Accept(**JOIN),
        {"action": "accept", **JOIN_WIRE},
    ),
    (
        "accept-everything",
        Accept(
            **JOIN,
            app_id="APP",
            webhook_url="https://example.org/hook",
            sdk_options={"a": 1},
            audio_scenario="10",
            video=True,
        ),
        {
            "action": "accept",
            **JOIN_WIRE,
            "appid": "APP",
            "webhook_url": "https://example.org/hook",
            "sdk_options": '{"a": 1}',
            "audio_scenario": "10",
            "video": True,
        },
    ),
    ("reject", Reject(call_id="id-1"), {"action": "reject", "callid": "id-1", "reason": ""}),
    (
        "reject-reason",
        Reject(call_id="id-1", app_id="APP", reason="busy"),
        {"action": "reject", "callid": "id-1", "appid": "APP", "reason": "busy"},
    ),
    (
        "endcall",
        EndCall(call_id="id-1", app_id="APP"),
        {"action": "endcall", "callid": "id-1", "appid": "APP"},
    ),
    (
        "hangup",
        HangUp(call_id="id-1", app_id="APP"),
        {"action": "hangup", "callid": "id-1", "appid": "APP"},
    ),
    ("hangup-bare", HangUp(call_id="id-1"), {"action": "hangup", "callid": "id-1"}),
    (
        "send_dtmf",
        SendDtmf(call_id="id-1", app_id="APP", digits="0123456789*#"),
        {"action": "send_dtmf", "callid": "id-1", "appid": "APP", "digits": "0123456789*#"},
    ),
    ("bridge", Bridge(**JOIN), {"action": "bridge", **JOIN_WIRE}),
    (
        "bridge-everything",
        Bridge(**JOIN, app_id="APP", sdk_options="{}", audio_scenario=10, video=True),
        {
            "action": "bridge",
            **JOIN_WIRE,
            "appid": "APP",
            "sdk_options": "{}",
            "audio_scenario": "10",
            "video": True,
        },
    ),
    (
        "unbridge",
        Unbridge(call_id="id-1", app_id="APP"),
        {"action": "unbridge", "callid": "id-1", "appid": "APP"},
    ),
    (
        "rebridge",
        Rebridge(**JOIN, current_channel="hall", current_uid=7),
        {"action": "rebridge", **JOIN_WIRE, "current_channel": "hall", "current_uid": "7"},
    ),
    (
        "rebridge-everything",
        Rebridge(
            **JOIN,
            app_id="APP",
            current_channel="hall",
            current_uid="7",
            sdk_options="{}",
            audio_scenario="0",
        ),
        {
            "action": "rebridge",
            **JOIN_WIRE,
            "appid": "APP",
            "current_channel": "hall",
            "current_uid": "7",
            "sdk_options": "{}",
            "audio_scenario": "0",
        },
    ),
    (
        "transfer",
        Transfer(call_id="id-1", app_id="APP", destination="+1900"),
        {"action": "transfer", "callid": "id-1", "appid": "APP", "destination": "+1900"},
    ),
    (
        "transfer-leg",
        Transfer(call_id="id-1", destination="sip:a@b", leg="B"),
        {"action": "transfer", "callid": "id-1", "destination": "sip:a@b", "leg": "B"},
    ),
    (
        "subscribe",
        Subscribe(numbers=["+1800", "+1900"]),
        {"action": "subscribe", "numbers": ["+1800", "+1900"]},
    ),
    ("subscribe-all", Subscribe(numbers=[]), {"action": "subscribe", "numbers": []}),
    (
        "other",
        OtherCommand(action="mute", fields={"callid": "id-1", "on": False, "n": 0, "x": None}),
        {"action": "mute", "callid": "id-1", "on": False, "n": 0},
    ),
]


@pytest.mark.parametrize(
    "command, frame", [case[1:] for case in FRAMES], ids=[case[0] for case in FRAMES]
)
def test_the_frame(command, frame):
    """Exactly these fields with exactly these types: what is None is left out."""
    assert json.dumps(frame, sort_keys=True) == json.dumps(command.to_wire(), sort_keys=True)


@pytest.mark.parametrize(
    "direction, action",
    [("outbound", "endcall"), ("outbound_sip", "endcall"), ("inbound", "hangup"), ("", "hangup")],
)
def test_a_call_is_ended_by_its_direction(direction, action):
    """``endcall`` for what was dialled, ``hangup`` for the rest."""
    frame = hang_up("id-1", direction, "APP").to_wire()
    assert {"action": action, "callid": "id-1", "appid": "APP"} == frame


@pytest.mark.parametrize("kind", [Dial, Accept, Bridge, Rebridge])
def test_no_command_shows_its_secrets(kind):
    """Neither the RTC token nor the trunk's credentials are in a repr."""
    fields = dict(DIAL if kind is Dial else JOIN)
    if kind is Rebridge:
        fields.update(current_channel="hall", current_uid="7")
    if kind is Dial:
        fields.update(sip="host;username=u53r;password=s3cret")
    shown = repr(kind(**fields))
    assert "room" in shown
    for secret in ("t0k3n", "s3cret", "u53r"):
        assert secret not in shown


# --- bad input ---------------------------------------------------------------------------

NOT_TEXT = ["", "   ", None, 5, b"x", [], "a\nb", "a\rb", "a\x00b"]
NOT_A_WORD = ["", " ", None, 1.5, True, b"x", [], "a\nb"]
NOT_A_FLAG = [None, "true", 1, 0, "", []]
NOT_OPTIONS = ["", 5, [], True, {"x": object()}]
NOT_DIGITS = ["", "12a", "+1", "1 2", "A", "12\n", "١", "²", None, 12, ["1"]]
NOT_SECONDS = [-1, -0.1, "-1", "soon", "", float("nan"), float("inf"), "nan", "inf", True, []]

JOIN_KINDS = {
    "accept": (Accept, JOIN),
    "bridge": (Bridge, JOIN),
    "rebridge": (Rebridge, {**JOIN, "current_channel": "hall", "current_uid": "7"}),
}


def bad_input():
    for name in ("to", "from_", "channel", "token", "region"):
        yield from ((Dial, DIAL, name, value) for value in NOT_TEXT)
    for name in ("sip", "sip_domain", "app_id", "prompt", "webhook_url"):
        yield from ((Dial, DIAL, name, value) for value in NOT_TEXT if value is not None)
    for kind, fields in ((Dial, DIAL), *JOIN_KINDS.values()):
        yield from ((kind, fields, "uid", value) for value in NOT_A_WORD)
        yield from ((kind, fields, "sdk_options", value) for value in NOT_OPTIONS)
        values = [value for value in NOT_A_WORD if value is not None]
        yield from ((kind, fields, "audio_scenario", value) for value in values)
    for kind, fields in ((Dial, DIAL), (Accept, JOIN), (Bridge, JOIN)):
        yield from ((kind, fields, "video", value) for value in NOT_A_FLAG)
    for kind, fields in JOIN_KINDS.values():
        for name in ("call_id", "channel", "token"):
            yield from ((kind, fields, name, value) for value in NOT_TEXT)
        yield from ((kind, fields, "app_id", value) for value in NOT_TEXT if value is not None)
    rebridge = JOIN_KINDS["rebridge"]
    yield from ((*rebridge, "current_channel", value) for value in NOT_TEXT)
    yield from ((*rebridge, "current_uid", value) for value in NOT_A_WORD)
    yield from ((Dial, DIAL, "timeout", value) for value in NOT_SECONDS)
    of_a_call = {"call_id": "id-1"}
    for kind, fields in (
        (EndCall, of_a_call),
        (HangUp, of_a_call),
        (Unbridge, of_a_call),
        (Reject, of_a_call),
        (SendDtmf, {**of_a_call, "digits": "1"}),
        (Transfer, {**of_a_call, "destination": "+1"}),
    ):
        yield from ((kind, fields, "call_id", value) for value in NOT_TEXT)
    sending = {**of_a_call, "digits": "1"}
    yield from ((SendDtmf, sending, "digits", value) for value in NOT_DIGITS)
    yield from ((Reject, of_a_call, "reason", value) for value in (None, 5, b"busy", []))
    transfer = {**of_a_call, "destination": "+1"}
    yield from ((Transfer, transfer, "destination", value) for value in NOT_TEXT)
    yield from ((Transfer, transfer, "leg", value) for value in ("", "C", "a b", 1, []))
    lists = ("+1800", b"+1800", 5, None, [""], ["+1", 5], ["+1", None], ["a\nb"])
    yield from ((Subscribe, {}, "numbers", value) for value in lists)
    yield from ((OtherCommand, {}, "action", value) for value in NOT_TEXT)


CASES = [
    pytest.param(*case, id=f"{case[0].__name__}-{case[2]}-{case[3]!r:.20}") for case in bad_input()
]


@pytest.mark.parametrize("kind, fields, name, value", CASES)
def test_a_wrong_argument_is_refused_by_its_name(kind, fields, name, value):
    """The command is never made, and the error begins with the argument's name."""
    with pytest.raises(InvalidArgumentError) as caught:
        kind(**{**fields, name: value})
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize("name", ["timeout", "uid"])
def test_a_number_too_large_to_write_is_refused(name):
    """As any other wrong argument, not with the interpreter's own error."""
    with pytest.raises(InvalidArgumentError) as caught:
        Dial(**{**DIAL, name: 10**5000})
    assert str(caught.value).startswith(name)


def test_sdk_options_that_json_has_no_word_for_are_refused():
    """NaN would be written as a word that no other JSON reader takes."""
    with pytest.raises(InvalidArgumentError) as caught:
        Dial(**DIAL, sdk_options={"gain": float("nan")})
    assert str(caught.value).startswith("sdk_options")


def test_a_wrong_secret_is_not_shown():
    """The error about a token with a line break does not quote it."""
    with pytest.raises(InvalidArgumentError) as caught:
        Dial(**{**DIAL, "token": "t0k3n-1234\n"})
    assert "t0k3n" not in str(caught.value)


# --- the checks that the client's other arguments share -----------------------------------


@pytest.mark.parametrize("value", [0, -1, -0.5, float("nan"), float("inf"), True, "5", None, []])
def test_seconds_above_zero(value):
    """Options and command timeouts are finite and positive."""
    with pytest.raises(InvalidArgumentError, match="^connect_timeout must be"):
        checked_seconds("connect_timeout", value)


@pytest.mark.parametrize("value", [0.001, 1, 3600])
def test_seconds_as_given(value):
    """What is good is returned as it is."""
    assert value == checked_seconds("x", value)


@pytest.mark.parametrize("value", [-1, -0.001, float("nan"), True, "5", []])
def test_a_wait_is_not_negative(value):
    """A wait may be 0, or None for ever."""
    with pytest.raises(InvalidArgumentError, match="^timeout must be"):
        checked_wait("timeout", value)
    assert 0 == checked_wait("timeout", 0)
    assert checked_wait("timeout", None) is None


def test_checks_name_the_list_entry():
    """In a list of numbers the wrong one is pointed at."""
    with pytest.raises(InvalidArgumentError, match=r"^numbers\[1\] must not be empty"):
        checked_numbers("numbers", ["+1", ""])
    assert ("+1", "+2") == checked_numbers("numbers", iter(["+1", "+2"]))


def test_text_is_left_as_it_is():
    """Nothing is trimmed or changed in what is good."""
    assert " a b " == checked_text("x", " a b ")
