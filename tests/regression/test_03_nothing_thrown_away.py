"""Fault 3: what the Go SDK throws away of what the CM says."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from telephony import (
    BridgeFailed,
    CallEvent,
    CallHangup,
    CallIncoming,
    CallInitiated,
    DtmfReceived,
    ErrorOccurred,
    ProtocolError,
    UnknownEvent,
)
from tests.conftest import DIAL
from tests.regression.conftest import JOIN, Story, answered, dialled, settled, synced
from tests.scripted import SECONDS, Recorded, Running


def test_an_unknown_event_of_a_call(connected):
    """It comes as ``UnknownEvent`` with its call, its name and all its fields."""
    client, line = connected()
    call, seen = dialled(client, line), Recorded()
    client.on(UnknownEvent, seen)
    line.event("call_transcribed", "call-1", text="hello", words=[1, 2], extra={"a": None})
    event = seen.next()
    assert ("call_transcribed", call, 1_700_000_000) == (event.name, event.call, event.timestamp)
    assert ("hello", [1, 2], {"a": None}) == tuple(event.raw[k] for k in ("text", "words", "extra"))


def test_an_unknown_event_of_no_call(connected):
    """One that names no call comes all the same, with no call."""
    client, line = connected()
    seen = Recorded()
    client.on(UnknownEvent, seen)
    line.event("maintenance_soon", minutes=5)
    event = seen.next()
    assert ("maintenance_soon", None, 5) == (event.name, event.call, event.raw["minutes"])


def test_new_fields_are_passed_on(connected):
    """A known event with a field nobody has heard of has it in ``raw``."""
    client, line = connected()
    dialled(client, line)
    story = Story(client)
    line.event("call_answered", "call-1", codec="opus")
    settled(client, line)
    assert ["opus"] == [event.raw["codec"] for event in story.named("call_answered")]


def test_a_failed_bridge_is_not_bridged(connected):
    """``agora_bridge_failed`` leaves the call unbridged, and tells why."""
    client, line = connected()
    call, failed = answered(client, line), Recorded()
    client.on(BridgeFailed, failed)
    line.event("agora_bridge_start", "call-1")
    call.wait_bridged(SECONDS)
    line.event("agora_bridge_failed", "call-1", rebridge=True, reason="join failed: timeout")
    event = failed.next()
    assert "join failed: timeout" == event.reason
    assert ("unbridged", "unbridged") == (event.info.state, call.state)
    assert [call] == client.calls()


def test_a_failed_rebridge_is_told_when_unbridged_already(cm, client):
    """The CM takes the audio out first; ``BridgeFailed`` comes then, from unbridged."""
    story, failed = Story(client), Recorded()
    client.on(BridgeFailed, failed)
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    cm.fail_rebridge("join failed: no such channel")
    with pytest.raises(Exception, match="no such channel"):
        call.rebridge(token="t", channel="other", uid="300")
    event = failed.next()
    assert "join failed: no such channel" == event.reason
    assert ("unbridged", "room", "100") == (call.state, call.channel, call.uid)
    assert ["agora_bridge_start", "agora_bridge_end", "agora_bridge_failed"] == [
        name for name in story.of(call.call_id) if name.startswith("agora")
    ]


def test_a_failed_rebridge_can_be_mended(cm, client):
    """After it the call can be bridged again, and a second failure is told like the first."""
    failed = Recorded()
    client.on(BridgeFailed, failed)
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    for channel in ("second", "third"):
        cm.fail_rebridge()
        with pytest.raises(Exception, match="join failed"):
            call.rebridge(token="t", channel="nowhere", uid="300")
        assert "unbridged" == failed.next().info.state
        call.bridge(token="t", channel=channel, uid="300")
        info = call.wait_bridged(SECONDS)
        assert (channel, "300") == (info.channel, info.uid)


def test_call_initiated_reaches_its_callback(connected):
    """With its empty ``callid`` it is known by its route, before the dial was answered."""
    client, line = connected()
    initiated = Recorded()
    client.on(CallInitiated, initiated)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_initiated", "", appid="APP", channel="room", uid="100", direction="outbound")
    event = initiated.next()
    assert "ringing" == event.info.state
    line.answer(command, callid="call-1")
    assert event.call is dialling.result()


def test_call_initiated_of_an_incoming_call(connected):
    """On an inbound call it brings the headers, which stay with the call."""
    client, line = connected()
    initiated = Recorded()
    client.on(CallInitiated, initiated)
    client.on(CallIncoming, lambda event: True)
    line.event("call_incoming", "call-9", direction="inbound")
    line.event("call_initiated", "call-9", pin="1234", sip_headers={"X-Account": "42"})
    event = initiated.next()
    assert "1234" == event.raw["pin"]
    assert {"X-Account": "42"} == dict(event.call.sip_headers)


def test_hangup_cause_and_durations(connected):
    """They are on the event, on its snapshot and on the call, as numbers."""
    client, line = connected()
    call, hangups = answered(client, line), Recorded()
    client.on(CallHangup, hangups)
    line.event(
        "call_hangup", "call-1", hangup_cause="USER_BUSY", duration="61", billsec="59",
        sip_disposition="recv_bye",
    )  # fmt: skip
    event = hangups.next()
    expected = ("USER_BUSY", 61, 59, "recv_bye")
    for told in (event, event.info, call, call.info):
        assert expected == (
            told.hangup_cause, told.duration, told.billsec, told.sip_disposition
        )  # fmt: skip
    moment = datetime.fromtimestamp(1_700_000_000, timezone.utc)
    assert (moment, moment) == (call.answered_at, call.ended_at)


def test_sip_headers_of_an_incoming_call(connected):
    """They are there when the call is offered."""
    client, line = connected()
    seen = Recorded()
    client.on(CallIncoming, seen)
    line.event("call_incoming", "call-9", sip_headers={"X-Id": "1", "X-Number": 7})
    assert {"X-Id": "1", "X-Number": "7"} == dict(seen.next().info.sip_headers)


def test_json_numbers_are_texts(connected):
    """Where the wire's strings come as JSON numbers they are the same strings."""
    client, line = connected()
    seen = Recorded()
    client.on(CallIncoming, seen)
    line.send(
        {"event": "call_incoming", "callid": 4711, "timestamp": "1700000000", "uid": 200,
         "channel": 12, "to": 18005551234, "from": 15550001, "appid": 99, "direction": "inbound"}
    )  # fmt: skip
    event = seen.next()
    info = event.info
    assert ("4711", "200", "12", "18005551234", "15550001", "99") == (
        info.call_id, info.uid, info.channel, info.to, info.from_, info.app_id
    )  # fmt: skip
    assert 1_700_000_000 == event.timestamp


def test_json_numbers_in_digits_and_durations(connected):
    """Digits, durations and a response's ``callid`` may be JSON numbers too."""
    client, line = connected()
    digits, hangups = Recorded(), Recorded()
    client.on(DtmfReceived, digits)
    client.on(CallHangup, hangups)
    call = answered(client, line, 4711)
    assert "4711" == call.call_id
    line.event("dtmf_received", 4711, digits=5)
    assert "5" == digits.next().digits
    assert "5" == call.collect_digits(max_digits=1, timeout=SECONDS)
    line.event("call_hangup", 4711, hangup_cause="NORMAL_CLEARING", duration=12, billsec=3.0)
    event = hangups.next()
    assert (12, 3) == (event.duration, event.billsec)


def test_fields_of_any_kind_end_nothing(connected):
    """Whatever is in the fields of known events, the reader lives on and the call with it."""
    client, line = connected()
    call = answered(client, line)
    for value in (None, True, [], {}, -1, 1e300, "x" * 5000, "\ud800", [[[]]]):
        for field in ("uid", "channel", "timestamp", "appid", "direction", "sip_headers", "video",
                      "from", "to", "digits", "reason"):  # fmt: skip
            for name in ("call_ringing", "dtmf_received", "agora_bridge_failed", "brand_new"):
                line.send({"event": name, "callid": "call-1", field: value})
    synced(client, line)
    assert client.call("call-1") is call and client.connected


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "7", '"text"', "{", '{"event":', '{"event": NaN}', "[" * 100_000,
     '{"event": ""}', '{"event": null}', "{}", b"\x00\xff"],
)  # fmt: skip
def test_the_unreadable_is_told_and_counted(connected, text):
    """It comes as ``ErrorOccurred(ProtocolError)``; the connection stays."""
    client, line = connected()
    errors = Recorded()
    client.on(ErrorOccurred, errors)
    line.send(text)
    assert ProtocolError is type(errors.next().error)
    synced(client, line)
    assert 1 == client.health().protocol_errors
    assert client.connected


def test_an_error_without_a_request(connected):
    """An uncorrelated ``error`` is told, with its reason."""
    client, line = connected()
    errors = Recorded()
    client.on(ErrorOccurred, errors)
    line.send({"error": "gateway restarting"})
    assert "gateway restarting" == errors.next().error.reason


def test_a_strangers_events(connected):
    """An event with a ``callid`` never seen makes a tracked call, which then lives on."""
    client, line = connected()
    seen = Recorded()
    client.on(CallEvent, seen)
    line.event("call_answered", "call-7", direction="inbound", channel="c", uid="7", appid="APP")
    call = seen.next().call
    assert (call, "answered", "inbound") == (client.call("call-7"), call.state, call.direction)
    line.event("agora_bridge_start", "call-7")
    assert call is seen.next().call
    hanging = Running(call.hangup)
    command = line.receive("hangup")
    assert ("call-7", "APP") == (command["callid"], command["appid"])
    line.answer(command)
    hanging.result()


def test_a_strangers_hangup_is_only_reported(connected):
    """A ``call_hangup`` of a call never seen is told once, and leaves nothing tracked."""
    client, line = connected()
    story = Story(client)
    for _ in range(2):
        line.event("call_hangup", "call-7", hangup_cause="NORMAL_CLEARING", billsec="5")
    synced(client, line)
    assert [] == client.calls()
    settled(client, line)
    (event,) = story.named("call_hangup")
    assert ("hangup", False, 5) == (event.call.state, event.call.active, event.billsec)


def test_the_handler_object_hears_all(connected):
    """Each method of the Go interface is called, with the call (and the digits)."""
    heard = Recorded()

    class Handler:
        def __getattr__(self, name):
            if not name.startswith("on_"):
                raise AttributeError(name)
            return lambda *args: heard((name, *args)) or name == "on_call_incoming"

    client, line = connected(lambda client: client.set_handler(Handler()))
    assert ("on_connected", "session-1") == heard.next()
    line.event("call_incoming", "call-9", direction="inbound")
    name, call = heard.next()
    assert "on_call_incoming" == name
    accepting = Running(call.accept, **JOIN)
    line.answer(line.receive("accept"))
    accepting.result()
    for event, method in (
        ("call_ringing", "on_call_ringing"),
        ("call_answered", "on_call_answered"),
        ("agora_bridge_start", "on_bridge_start"),
        ("agora_bridge_end", "on_bridge_end"),
    ):
        line.event(event, "call-9")
        assert (method, call) == heard.next()
    line.event("dtmf_received", "call-9", digits="5")
    assert ("on_dtmf_received", call, "5") == heard.next()
    line.event("call_hangup", "call-9")
    assert ("on_call_hangup", call) == heard.next()
    line.send({"error": "odd"})
    name, error = heard.next()
    assert ("on_error", "odd") == (name, error.reason)
