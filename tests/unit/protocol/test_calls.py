"""What an event changes in one call's snapshot, and the echo of our own digits."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import attrs
import pytest

from telephony import CallInfo, CallState
from telephony.protocol import calls
from telephony.protocol.calls import ECHO_SECONDS, evolved
from telephony.protocol.commands import SendDtmf
from tests.unit.protocol.conversation import STAMP, Conversation, names

MOMENT = datetime.fromtimestamp(STAMP, timezone.utc)


@pytest.fixture
def conversation():
    return Conversation()


def test_a_snapshot_never_changes(conversation):
    """What was taken stays as it was; the call has a new one."""
    call = conversation.dialled("id-1")
    before = call.info
    copy = attrs.evolve(before)
    conversation.event("call_answered", "id-1")
    assert copy == before
    assert before is not call.info
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        call.info.state = CallState.RINGING


def test_shared_strings_are_bounded(monkeypatch):
    """Equal ones are one, up to a limit; past it each is its own."""
    monkeypatch.setattr(calls, "_shared", {})
    monkeypatch.setattr(calls, "SHARED_MOST", 2)
    first, second, third = ("".join(["APP", str(number)]) for number in range(3))
    assert [first, second, third] == [calls.shared(text) for text in (first, second, third)]
    assert first is calls.shared("".join(["APP", "0"]))
    again = "".join(["APP", "2"])
    assert again is calls.shared(again)
    assert 2 == len(calls._shared)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(CallInfo)])
def test_a_changed_copy_differs_in_that_only(name):
    """For every attribute; the one it is made from stays."""
    values = {field.name: f"of {field.name}" for field in attrs.fields(CallInfo)}
    info = CallInfo(**{key.lstrip("_"): value for key, value in values.items()})
    changed = evolved(info, {name: "new"})
    assert {**values, name: "new"} == attrs.asdict(changed)
    assert values == attrs.asdict(info)
    assert attrs.evolve(info, **{name.lstrip("_"): "new"}) == changed
    assert hash(changed) != hash(info)


def test_an_events_info_is_the_snapshot_right_after_it(conversation):
    """Later events do not show in it."""
    conversation.dialled("id-1")
    (answered,) = conversation.event("call_answered", "id-1")
    conversation.event("agora_bridge_start", "id-1", channel="room", uid="100")
    assert CallState.ANSWERED is answered.info.state
    assert CallState.BRIDGED is answered.call.info.state


def test_an_incoming_call(conversation):
    """Everything the event tells is in the snapshot, under Python's names."""
    call = conversation.incoming(
        "id-1",
        channel="room",
        uid=7,
        video=True,
        sip_headers={"X-Account": "12"},
    )
    expected = CallInfo(
        call_id="id-1",
        state=CallState.INCOMING,
        direction="inbound",
        from_="+1555",
        to="+1800",
        channel="room",
        uid="7",
        app_id="APP",
        video=True,
        created_at=MOMENT,
    )
    assert {"X-Account": "12"} == call.info.sip_headers
    assert expected == attrs.evolve(call.info, sip_headers=())


def test_an_event_fills_what_is_empty_and_contradicts_nothing(conversation):
    """The dial's own words stay; an event without fields takes none away."""
    call = conversation.dialled("id-1")
    conversation.event(
        "call_ringing", "id-1", **{"to": "+999", "from": "+999", "appid": "APP", "video": True}
    )
    conversation.event("call_answered", "id-1", timestamp=None)
    assert "+18005551234" == call.info.to
    assert "+15551234567" == call.info.from_
    assert "APP" == call.info.app_id
    assert call.info.video


def test_the_gateway_tells_the_kind_of_outbound_call(conversation):
    """A dial cannot know that it goes out by SIP; the event can."""
    call = conversation.dialled("id-1")
    conversation.event("call_answered", "id-1", direction="outbound_sip")
    assert "outbound_sip" == call.info.direction
    conversation.event("agora_bridge_start", "id-1", direction="inbound")
    assert "outbound_sip" == call.info.direction


@pytest.mark.parametrize("event", ["call_answered", "agora_bridge_start"])
def test_when_it_was_answered(conversation, event):
    """The first event that shows the call is up has the time; later ones do not change it."""
    call = conversation.dialled("id-1")
    conversation.event(event, "id-1")
    conversation.event("agora_bridge_end", "id-1", timestamp=STAMP + 9)
    assert MOMENT == call.info.answered_at


def test_how_it_ended(conversation):
    """Durations are strings on the wire and whole seconds here."""
    call = conversation.dialled("id-1")
    (event,) = conversation.event(
        "call_hangup",
        "id-1",
        hangup_cause="NORMAL_CLEARING",
        duration="31",
        billsec=29,
        sip_disposition="recv_bye",
        timestamp=STAMP + 40,
    )
    for told in (event, call.info):
        assert "NORMAL_CLEARING" == told.hangup_cause
        assert 31 == told.duration
        assert 29 == told.billsec
        assert "recv_bye" == told.sip_disposition
    assert MOMENT + timedelta(seconds=40) == call.info.ended_at
    assert not call.info.active
    assert not event.info.active


def test_how_it_ended_when_nothing_is_told(conversation):
    """What was not sent is None, not an empty string and not 0."""
    call = conversation.dialled("id-1")
    (event,) = conversation.event("call_hangup", "id-1", hangup_cause="", duration="")
    assert (None,) * 4 == (
        event.hangup_cause,
        event.duration,
        event.billsec,
        event.sip_disposition,
    )
    assert CallState.HANGUP is call.info.state


@pytest.mark.parametrize(
    "timestamp, number, moment",
    [
        (STAMP, STAMP, MOMENT),
        (str(STAMP), STAMP, MOMENT),
        (STAMP + 0.5, STAMP + 0.5, MOMENT + timedelta(seconds=0.5)),
        (None, None, None),
        ("soon", None, None),
        (10**17, 10**17, None),
        (10**30, None, None),
        ([], None, None),
        (True, None, None),
    ],
    ids=str,
)
def test_timestamps(conversation, timestamp, number, moment):
    """A number if it can be read as one; a moment if the calendar has it."""
    conversation.dialled("id-1")
    (event,) = conversation.event("call_answered", "id-1", timestamp=timestamp)
    assert number == event.timestamp
    assert moment == event.info.answered_at


def test_times_are_aware_and_utc(conversation):
    """So that they can be compared with anything."""
    call = conversation.incoming("id-1")
    assert timedelta(0) == call.info.created_at.utcoffset()


def test_raw_is_the_frame_as_received(conversation):
    """Fields nobody has heard of are passed on."""
    conversation.dialled("id-1")
    (event,) = conversation.event("call_answered", "id-1", wav_file="a.wav", new={"x": [1]})
    assert "a.wav" == event.raw["wav_file"]
    assert {"x": [1]} == event.raw["new"]
    assert "call_answered" == event.name
    assert "a.wav" not in repr(event)


# --- bridging ----------------------------------------------------------------------------


def test_a_bridge_moves_the_call(conversation):
    """Its channel and uid are where its audio is, after a re-bridge the new ones."""
    call = conversation.dialled("id-1")
    conversation.event("agora_bridge_start", "id-1", channel="room", uid="100")
    events = conversation.event(
        "agora_bridge_start", "id-1", channel="hall", uid="7", rebridge=True
    )
    assert ["BridgeStarted"] == names(events)
    assert ("hall", "7") == (call.info.channel, call.info.uid)
    again = conversation.event("agora_bridge_start", "id-1", channel="hall", uid="7")
    assert [] == again


def test_a_bridge_start_without_a_place_is_in_the_known_one(conversation):
    """Any field may be missing."""
    call = conversation.dialled("id-1")
    conversation.event("agora_bridge_start", "id-1")
    assert ("room", "100") == (call.info.channel, call.info.uid)
    assert [] == conversation.event("agora_bridge_start", "id-1")


def test_bridged_and_unbridged_alternate(conversation):
    """As often as the call's audio comes and goes."""
    call = conversation.dialled("id-1")
    for _ in range(3):
        assert ["BridgeStarted"] == names(conversation.event("agora_bridge_start", "id-1"))
        assert CallState.BRIDGED is call.info.state
        assert ["BridgeEnded"] == names(conversation.event("agora_bridge_end", "id-1"))
        assert CallState.UNBRIDGED is call.info.state


def test_a_failed_bridge_has_its_reason(conversation):
    """The call is not bridged any more; another failure is another event, a copy is none."""
    call = conversation.dialled("id-1")
    conversation.event("agora_bridge_start", "id-1")
    (event,) = conversation.event("agora_bridge_failed", "id-1", reason="join failed: 1")
    assert "join failed: 1" == event.reason
    assert CallState.UNBRIDGED is call.info.state
    assert [] == conversation.event("agora_bridge_failed", "id-1", reason="join failed: 1")
    (event,) = conversation.event("agora_bridge_failed", "id-1", reason="join failed: 2")
    assert "join failed: 2" == event.reason


# --- digits ------------------------------------------------------------------------------


def press(conversation, digits):
    (event,) = conversation.event("dtmf_received", "id-1", digits=digits)
    return event.digits, event.echo


def test_two_equal_digits_are_two_key_presses(conversation):
    """Digits are never taken for copies."""
    conversation.dialled("id-1")
    assert [("5", False)] * 3 == [press(conversation, "5") for _ in range(3)]


@pytest.mark.parametrize("pieces", [["1234#"], list("1234#"), ["12", "34#"]])
def test_our_own_digits_come_back_as_echo(conversation, pieces):
    """Whole or one by one; what comes after is a key press again."""
    call = conversation.dialled("id-1")
    conversation.event("call_answered", "id-1")
    conversation.send(SendDtmf(call_id="id-1", digits="1234#"), call)
    assert [(p, True) for p in pieces] == [press(conversation, p) for p in pieces]
    assert ("1", False) == press(conversation, "1")


def test_a_key_press_between_our_echoes(conversation):
    """Other digits than those awaited are the far end's."""
    call = conversation.dialled("id-1")
    conversation.send(SendDtmf(call_id="id-1", digits="12"), call)
    assert ("1", True) == press(conversation, "1")
    assert ("9", False) == press(conversation, "9")
    assert ("2", True) == press(conversation, "2")


def test_two_sendings_at_once(conversation):
    """Their echoes come in the order of sending."""
    call = conversation.dialled("id-1")
    conversation.send(SendDtmf(call_id="id-1", digits="12"), call)
    conversation.send(SendDtmf(call_id="id-1", digits="34"), call)
    assert ("12", True) == press(conversation, "12")
    assert ("34", True) == press(conversation, "34")


def test_digits_that_were_refused_have_no_echo(conversation):
    """The far end may press the same."""
    call = conversation.dialled("id-1")
    request = conversation.send(SendDtmf(call_id="id-1", digits="12"), call)
    conversation.refuses(request, "no media")
    assert ("12", False) == press(conversation, "12")


def test_digits_that_were_not_sent_have_no_echo(conversation):
    """As if they had never been."""
    call = conversation.dialled("id-1")
    request = conversation.send(SendDtmf(call_id="id-1", digits="12"), call)
    conversation.session.not_sent(request, conversation.now)
    assert ("12", False) == press(conversation, "12")


def test_an_echo_is_not_awaited_for_ever(conversation):
    """If it never came, the same digits later are the far end's."""
    call = conversation.dialled("id-1")
    conversation.send(SendDtmf(call_id="id-1", digits="12"), call)
    conversation.later(ECHO_SECONDS + 0.1)
    assert ("12", False) == press(conversation, "12")


def test_an_echo_is_of_one_call_only(conversation):
    """The same digits on another call are that far end's."""
    call = conversation.dialled("id-1")
    conversation.dialled("id-2", channel="hall")
    conversation.send(SendDtmf(call_id="id-1", digits="12"), call)
    (event,) = conversation.event("dtmf_received", "id-2", digits="12")
    assert not event.echo
    assert ("12", True) == press(conversation, "12")


@pytest.mark.parametrize("digits, text", [(5, "5"), (None, ""), ([], ""), ("", "")])
def test_digits_of_any_type(conversation, digits, text):
    """A number is read as its text."""
    conversation.dialled("id-1")
    assert (text, False) == press(conversation, digits)
