"""Fault 7: in the Go SDK late events put calls back, and dead ones come alive."""

from __future__ import annotations

import pytest

from telephony import BridgeStarted, CallHangup, Event
from tests.conftest import DIAL
from tests.regression.conftest import Story, answered, dialled, offered, settled, synced
from tests.scripted import SECONDS, Recorded, Running

ROUTE = {"appid": "APP", "channel": "room", "uid": "100"}
LIFE = ["call_ringing", "call_answered", "agora_bridge_start", "agora_bridge_end", "call_hangup"]


@pytest.mark.parametrize("up", ["call_answered", "agora_bridge_start"])
@pytest.mark.parametrize("callid", ["call-1", ""])
def test_a_late_ringing_changes_nothing(connected, up, callid):
    """After the answer ``call_ringing`` is late: no change, no callback."""
    client, line = connected()
    story = Story(client)
    call = dialled(client, line)
    line.event(up, "call-1", **ROUTE)
    info = call.wait_answered(SECONDS)
    line.event("call_ringing", callid, **ROUTE)
    synced(client, line)
    assert info.state == call.state
    settled(client, line)
    assert [] == story.named("call_ringing")


def test_a_late_answered_after_the_bridge(connected):
    """``call_answered`` after ``agora_bridge_start`` does not put the call back."""
    client, line = connected()
    story = Story(client)
    call = dialled(client, line)
    line.event("agora_bridge_start", "call-1")
    line.event("call_answered", "call-1")
    synced(client, line)
    assert "bridged" == call.state
    settled(client, line)
    assert ["agora_bridge_start"] == story.of("call-1")


@pytest.mark.parametrize("name", [*LIFE, "call_incoming", "call_initiated", "dtmf_received",
                                  "agora_bridge_failed", "brand_new"])  # fmt: skip
@pytest.mark.parametrize("ours", [False, True])
def test_an_event_after_the_hangup_revives_nothing(connected, name, ours):
    """Whoever hung up: nothing is tracked again, and the call stays ended."""
    client, line = connected()
    call = answered(client, line)
    if ours:
        hanging = Running(call.hangup)
        line.answer(line.receive("endcall"))
        hanging.result()
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING", **ROUTE)
    ended = call.wait_ended(SECONDS)
    story = Story(client)
    line.event(name, "call-1", digits="1", reason="late", **ROUTE)
    synced(client, line)
    assert ended == call.info and "hangup" == call.state
    assert [] == client.calls() and client.call("call-1") is None
    settled(client, line)
    assert [] == [event.name for event in story.events if event.name != "disconnected"]


@pytest.mark.parametrize("name", ["call_ringing", "call_answered", "agora_bridge_start"])
def test_an_event_between_our_hangup_and_its_event(connected, name):
    """Once the CM took our hangup the call is over, whatever else was on its way."""
    client, line = connected()
    call = answered(client, line)
    hanging = Running(call.hangup)
    line.answer(line.receive("endcall"))
    hanging.result()
    assert "hangup" == call.state and [] == client.calls()
    line.event(name, "call-1", **ROUTE)
    synced(client, line)
    assert "hangup" == call.state and [] == client.calls() and not call.active


def test_an_offer_told_again_after_the_reject(connected):
    """A second ``call_incoming`` of a call we rejected does not offer it anew."""
    client, line = connected()
    call, story = offered(client, line), Story(client)
    rejecting = Running(call.reject)
    line.answer(line.receive("reject"))
    rejecting.result()
    line.event("call_incoming", "call-9", direction="inbound")
    synced(client, line)
    assert [] == client.calls()
    settled(client, line)
    assert [] == story.named("call_incoming")


@pytest.mark.parametrize("seed", range(5))
def test_copies_fire_once(cm, seed):
    """With every event sent twice, and shuffled, each callback is called once."""
    cm.duplicate()
    with cm.client() as client:
        story = Story(client)
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        cm.reorder(seed=seed)
        cm.peer(call).hang_up()
        assert call.wait_ended(SECONDS).hangup_cause == "NORMAL_CLEARING"
        assert [] == client.calls()
        client.close(drain=SECONDS)
    names = [e.name for e in story.events if getattr(e, "call", None) is call]
    assert len(names) == len(set(names)), names
    assert set(names) - {"agora_bridge_end"} == {
        "call_initiated", "call_ringing", "call_answered", "agora_bridge_start", "call_hangup"
    }  # fmt: skip


def test_every_event_twice(connected):
    """The same, event for event, on an inbound call."""
    client, line = connected()
    story = Story(client)
    call = offered(client, line)
    accepting = Running(call.accept, token="t", channel="support", uid="200")
    line.answer(line.receive("accept"))
    accepting.result()
    life = ["call_incoming", "call_initiated", *LIFE[1:]]
    for name in life:
        for _ in range(2):
            line.event(name, "call-9", channel="support", uid="200", appid="APP")
    call.wait_ended(SECONDS)
    settled(client, line)
    assert life == story.of("call-9")


def test_bridged_and_unbridged_alternate(connected):
    """A second start of the same channel and a second end are copies; new turns are not."""
    client, line = connected()
    story = Story(client)
    call = answered(client, line)
    turns = ["agora_bridge_start", "agora_bridge_end"] * 4
    states = []
    for name in turns:
        line.event(name, "call-1", **ROUTE)
        line.event(name, "call-1", **ROUTE)
        synced(client, line)
        states.append(str(call.state))
    assert ["bridged", "unbridged"] * 4 == states
    settled(client, line)
    assert turns == [name for name in story.of("call-1") if name != "call_answered"]


def test_a_bridge_start_elsewhere_is_no_copy(connected):
    """From bridged to bridged with another channel or uid is told, and recorded."""
    client, line = connected()
    answered(client, line)
    started = Recorded()
    client.on(BridgeStarted, started)
    places = [("room", "100"), ("other", "100"), ("other", "7"), ("room", "100")]
    for channel, uid in places:
        for _ in range(2):
            line.event("agora_bridge_start", "call-1", channel=channel, uid=uid, appid="APP")
    assert places == [(e.info.channel, e.info.uid) for e in (started.next() for _ in places)]
    settled(client, line)
    assert started.empty()


def test_unbridge_and_bridge_on_the_sandbox(cm, client):
    """Taken out of its channel and put into others, the call's state goes to and fro."""
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    for number in range(3):
        call.unbridge()
        assert "unbridged" == call.wait_for("unbridged", SECONDS).state
        call.bridge(token="t", channel=f"room-{number}", uid=str(number))
        info = call.wait_bridged(SECONDS)
        assert (f"room-{number}", str(number)) == (info.channel, info.uid)
    call.hangup()
    assert [] == client.calls()


def test_rebridge_on_the_sandbox(cm, client):
    """A re-bridge says where the call is, from what its events told."""
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    for channel in ("second", "third"):
        call.rebridge(token="t", channel=channel, uid="300")
        call.wait_for(lambda info: info.state == "bridged" and info.channel == channel, SECONDS)
    sent = [frame for frame in cm.frames if "rebridge" == frame["action"]]
    assert [("room", "100"), ("second", "300")] == [
        (frame["current_channel"], frame["current_uid"]) for frame in sent
    ]


def test_a_failure_told_twice(connected):
    """``agora_bridge_failed`` twice is one ``BridgeFailed``; after a new bridge it is another."""
    client, line = connected()
    story = Story(client)
    answered(client, line)
    for _ in range(2):
        line.event("agora_bridge_start", "call-1", **ROUTE)
        line.event("agora_bridge_end", "call-1", rebridge=True, **ROUTE)
        for _ in range(2):
            line.event("agora_bridge_failed", "call-1", reason="join failed", **ROUTE)
    settled(client, line)
    assert ["agora_bridge_start", "agora_bridge_end", "agora_bridge_failed"] * 2 == [
        name for name in story.of("call-1") if name != "call_answered"
    ]


def test_our_hangup_and_its_event(connected):
    """Taken, the call is over at once; its ``CallHangup`` fires later, once, with the cause."""
    client, line = connected()
    story, hangups = Story(client), Recorded()
    client.on(CallHangup, hangups)
    call = answered(client, line)
    hanging = Running(call.hangup)
    line.answer(line.receive("endcall"))
    hanging.result()
    assert ("hangup", None, False) == (call.state, call.hangup_cause, call.active)
    assert [] == client.calls() and hangups.empty()
    waiting = Running(call.wait_ended, SECONDS)
    line.event("agora_bridge_end", "call-1")
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING", billsec="12")
    assert 12 == waiting.result().billsec
    assert 12 == hangups.next().billsec
    settled(client, line)
    assert 1 == len(story.named("call_hangup"))


def test_a_hangup_event_before_its_answer(connected):
    """The ``call_hangup`` of our own hangup may overtake the response."""
    client, line = connected()
    story = Story(client)
    call = answered(client, line)
    hanging = Running(call.hangup)
    command = line.receive("endcall")
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING", billsec="12")
    line.answer(command)
    hanging.result()
    assert ("NORMAL_CLEARING", []) == (call.hangup_cause, client.calls())
    settled(client, line)
    assert 1 == len(story.named("call_hangup"))


def test_a_hangup_refused_because_the_far_end_was_first(connected):
    """Both hang up: ours is not found, and the far end's ``call_hangup`` is told all the same."""
    client, line = connected()
    story = Story(client)
    call = answered(client, line)
    hanging = Running(call.hangup)
    line.refuse(line.receive("endcall"), "callid not found")
    with pytest.raises(Exception, match="not found"):
        hanging.result()
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING", billsec="12")
    synced(client, line)
    assert [] == client.calls()
    settled(client, line)
    assert [12] == [event.billsec for event in story.named("call_hangup")]
    assert "NORMAL_CLEARING" == call.hangup_cause


def test_both_hang_up_on_a_sandbox_that_reorders(cm, client):
    """The same race on the sandbox: the event is held back, the refusal comes first."""
    hangups = Recorded()
    client.on(CallHangup, hangups)
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    cm.reorder(seed=1)
    cm.peer(call).hang_up("NORMAL_CLEARING")
    with call:
        pass
    assert "NORMAL_CLEARING" == hangups.next().hangup_cause


def test_no_hangup_event_is_no_error(connected, monkeypatch):
    """Leaving the block waits for it, but (here less than) 5 s at most."""
    monkeypatch.setattr("telephony.waits.HANGUP_SECONDS", 0.1)
    client, line = connected()
    call = answered(client, line)

    def block():
        with call:
            pass
        return call.wait_ended(SECONDS)

    leaving = Running(block)
    line.answer(line.receive("endcall"))
    info = leaving.result()
    assert ("hangup", None) == (info.state, info.hangup_cause)
    seen = Recorded()
    client.on(Event, seen)
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING")
    assert "call_hangup" == seen.next().name
    assert "NORMAL_CLEARING" == call.hangup_cause


def test_a_hangup_twice_sends_once(connected):
    """Hanging up a call that is over does nothing."""
    client, line = connected()
    call = answered(client, line)
    hanging = Running(call.hangup)
    line.answer(line.receive("endcall"))
    hanging.result()
    call.hangup()
    synced(client, line)
    assert line.nothing_came()


@pytest.mark.parametrize(
    "direction, action",
    [("outbound", "endcall"), ("outbound_sip", "endcall"), ("inbound", "hangup")],
)
def test_hangup_by_direction(connected, direction, action):
    """``endcall`` for calls that go out, ``hangup`` for those that come in."""
    client, line = connected()
    seen = Recorded()
    client.on(Event, seen)
    line.event("call_answered", "call-7", direction=direction, appid="APP")
    hanging = Running(seen.next().call.hangup)
    command = line.receive(action)
    line.answer(command)
    hanging.result()
    assert {"action", "callid", "appid", "request_id"} == set(command)
    stranger = Running(client.hangup, "call-8", direction=direction)
    line.answer(line.receive(action))
    stranger.result()
