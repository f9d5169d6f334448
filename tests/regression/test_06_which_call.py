"""Fault 6: the Go SDK keys calls by ``channel:uid``, and loses what comes out of order."""

from __future__ import annotations

import pytest

from telephony import CallAnswered, CallHangup, CallInitiated, CallRinging
from tests.conftest import DIAL
from tests.regression.conftest import Story, answered, dialled, settled, synced
from tests.scripted import SECONDS, Recorded, Running

ROUTE = {"appid": "APP", "channel": "room", "uid": "100"}


def test_two_app_ids_on_one_route_are_two_calls(connected):
    """Same ``channel:uid``, different App IDs: each event is for its own call."""
    client, line = connected(app_id="MULTI")
    one = dialled(client, line, "call-a", app_id="APP-A")
    two = dialled(client, line, "call-b", app_id="APP-B")
    assert [one, two] == client.calls()
    ringing = Recorded()
    client.on(CallRinging, ringing)
    route = {"channel": "room", "uid": "100", "direction": "outbound"}
    line.event("call_ringing", "", appid="APP-B", **route)
    line.event("call_ringing", "", appid="APP-A", **route)
    assert [two, one] == [ringing.next().call, ringing.next().call]
    line.event("call_hangup", "APP-B:room:100", hangup_cause="USER_BUSY", **route)
    assert "USER_BUSY" == two.wait_ended(SECONDS).hangup_cause
    synced(client, line)
    assert [one] == client.calls() and one.active


def test_two_app_ids_before_either_dial_is_answered(connected):
    """Their events are told apart while neither has an id, early answers included."""
    client, line = connected(app_id="MULTI")
    dials = {app: Running(client.dial, **DIAL, app_id=app) for app in ("APP-A", "APP-B")}
    commands = [line.receive("outbound") for _ in dials]
    by_app = {command["appid"]: command for command in commands}
    story = Story(client)
    for app in ("APP-B", "APP-A"):
        line.event("call_initiated", "", appid=app, channel="room", uid="100")
        line.event("call_answered", f"call-{app}", appid=app, channel="room", uid="100")
    for app in ("APP-A", "APP-B"):
        line.answer(by_app[app], callid=f"call-{app}")
    calls = {app: dials[app].result() for app in dials}
    synced(client, line)
    assert set(calls.values()) == set(client.calls())
    for app, call in calls.items():
        assert (app, f"call-{app}", "answered") == (call.app_id, call.call_id, call.state)
    settled(client, line)
    for app in calls:
        events = [e for e in story.events if getattr(e, "call", None) is calls[app]]
        assert ["call_initiated", "call_answered"] == [event.name for event in events]


def test_events_with_an_empty_id_after_the_dial_returned(connected):
    """They are found by their route."""
    client, line = connected()
    call, seen = dialled(client, line), Recorded()
    client.on(CallRinging, seen)
    client.on(CallAnswered, seen)
    line.event("call_ringing", "", **ROUTE)
    line.event("call_answered", "", **ROUTE)
    assert [call, call] == [seen.next().call, seen.next().call]
    assert "answered" == call.state


def test_events_without_a_callid_at_all(connected):
    """The field may be missing, and the App ID too: the client's own is meant."""
    client, line = connected()
    call = dialled(client, line)
    line.send({"event": "call_answered", "channel": "room", "uid": "100"})
    assert "answered" == call.wait_answered(SECONDS).state


def test_a_hangup_that_overtakes_the_dials_answer(connected):
    """The dial returns the call, ended; nothing rings for ever."""
    client, line = connected()
    story = Story(client)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_hangup", "call-1", hangup_cause="NO_ANSWER", **ROUTE)
    line.answer(command, callid="call-1")
    call = dialling.result()
    assert ("hangup", "NO_ANSWER", False) == (call.state, call.hangup_cause, call.active)
    assert "call-1" == call.call_id
    assert [] == client.calls()
    settled(client, line)
    assert [call] == [event.call for event in story.named("call_hangup")]


@pytest.mark.parametrize("callid", ["", "APP:room:100"])
def test_a_hangup_without_an_id_that_overtakes_the_answer(connected, callid):
    """The same when it names the call by its route."""
    client, line = connected()
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_hangup", callid, hangup_cause="NO_ANSWER", **ROUTE)
    line.answer(command, callid="call-1")
    call = dialling.result()
    assert ("hangup", "call-1") == (call.state, call.call_id)
    assert "NO_ANSWER" == call.wait_ended(SECONDS).hangup_cause
    assert [] == client.calls()


def test_the_block_of_a_call_that_ended_before_the_answer(connected):
    """Leaving ``with call:`` of one that is over sends nothing."""
    client, line = connected()
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_hangup", "call-1", **ROUTE)
    line.answer(command, callid="call-1")
    with dialling.result():
        pass
    synced(client, line)
    assert line.nothing_came()


def test_an_event_that_overtakes_the_answer_makes_no_second_call(connected):
    """Its call is the one that the dial returns, in one object."""
    client, line = connected()
    seen = Recorded()
    client.on(CallAnswered, seen)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_answered", "call-1", **ROUTE)
    early = seen.next().call
    assert [early] == client.calls()
    assert early is client.call("call-1")
    line.answer(command, callid="call-1")
    assert early is dialling.result()
    assert [early] == client.calls() and "answered" == early.state


def test_a_whole_life_before_the_answer(connected):
    """Every event of a call may come before its dial's answer; each is told once."""
    client, line = connected()
    story = Story(client)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_initiated", "", **ROUTE)
    line.event("call_ringing", "", **ROUTE)
    for name in ("call_answered", "agora_bridge_start", "agora_bridge_end", "call_hangup"):
        line.event(name, "call-1", **ROUTE)
    line.answer(command, callid="call-1")
    call = dialling.result()
    assert not call.active and [] == client.calls()
    settled(client, line)
    assert [
        "call_initiated", "call_ringing", "call_answered", "agora_bridge_start",
        "agora_bridge_end", "call_hangup",
    ] == [event.name for event in story.events if getattr(event, "call", None) is call]  # fmt: skip


def test_two_dials_on_one_route(connected):
    """Answered in any order, each dial has its own call, though early events fit both."""
    client, line = connected()
    story = Story(client)
    first = Running(client.dial, **DIAL)
    command_1 = line.receive("outbound")
    second = Running(client.dial, **DIAL)
    command_2 = line.receive("outbound")
    line.event("call_answered", "call-2", **ROUTE)
    line.event("call_answered", "call-1", **ROUTE)
    line.answer(command_2, callid="call-2")
    line.answer(command_1, callid="call-1")
    one, two = first.result(), second.result()
    assert ("call-1", "call-2") == (one.call_id, two.call_id)
    assert one is not two and {one, two} == set(client.calls())
    assert ["answered", "answered"] == [one.state, two.state]
    line.event("call_hangup", "call-1", **ROUTE)
    one.wait_ended(SECONDS)
    synced(client, line)
    assert [two] == client.calls() and two.active
    settled(client, line)
    for call in (one, two):
        assert 1 == sum(event.call is call for event in story.named("call_answered"))


def test_a_hangup_by_composite(connected):
    """The A-leg's ``call_hangup`` may carry ``appid:channel:uid`` in the id's place."""
    client, line = connected()
    call, hangups = answered(client, line), Recorded()
    client.on(CallHangup, hangups)
    line.event("call_hangup", "APP:room:100", hangup_cause="NORMAL_CLEARING", billsec="3")
    event = hangups.next()
    assert (call, 3, "call-1") == (event.call, event.billsec, event.info.call_id)
    assert [] == client.calls()


def test_a_composite_with_colons_in_the_channel(connected):
    """Channel names may hold colons; the App ID and the uid do not."""
    client, line = connected()
    call = answered(client, line, channel="room:a:b")
    line.event("call_hangup", "APP:room:a:b:100", hangup_cause="NORMAL_CLEARING")
    assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause


COPIES = [
    ("call-1", "APP:room:100"),
    ("APP:room:100", "call-1"),
    ("APP:room:100", "APP:room:100"),
    ("", "APP:room:100"),
    ("call-1", ""),
    ("call-1", "call-1"),
]


@pytest.mark.parametrize("first, second", COPIES)
@pytest.mark.parametrize("ours", [False, True])
def test_a_hangup_told_twice_fires_once(connected, first, second, ours):
    """Whichever way each copy names the call, and whoever hung up."""
    client, line = connected()
    story = Story(client)
    call = answered(client, line)
    if ours:
        hanging = Running(call.hangup)
        line.answer(line.receive("endcall"))
        hanging.result()
    for callid in (first, second):
        line.event("call_hangup", callid, hangup_cause="NORMAL_CLEARING", duration="9",
                   billsec="3", **ROUTE)  # fmt: skip
    assert 3 == call.wait_ended(SECONDS).billsec
    settled(client, line)
    assert [call] == [event.call for event in story.named("call_hangup")]
    assert [] == [event.name for event in story.events if "UnknownEvent" == type(event).__name__]


@pytest.mark.parametrize("first, second", COPIES)
def test_a_hangups_copy_spares_the_next_call_on_the_route(connected, first, second):
    """A second call on the same route is not ended by the copy of the first one's hangup."""
    client, line = connected()
    story = Story(client)
    call = answered(client, line)
    words = {"hangup_cause": "NORMAL_CLEARING", "duration": "9", "billsec": "3", **ROUTE}
    line.event("call_hangup", first, **words)
    call.wait_ended(SECONDS)
    again = answered(client, line, "call-2")
    line.event("call_hangup", second, **words)
    synced(client, line)
    assert [again] == client.calls() and again.active
    settled(client, line)
    assert [call] == [event.call for event in story.named("call_hangup")]


@pytest.mark.parametrize("first, second", COPIES)
def test_a_hangup_told_twice_after_a_bridge_elsewhere(connected, first, second):
    """A call that moved is still known by the route it was dialled on: one hangup, told once."""
    client, line = connected()
    story = Story(client)
    call = answered(client, line)
    bridging = Running(call.bridge, token="t", channel="other", uid="200")
    line.answer(line.receive("bridge"))
    bridging.result()
    for callid in (first, second):
        line.event("call_hangup", callid, hangup_cause="NORMAL_CLEARING", duration="9",
                   billsec="3", **ROUTE)  # fmt: skip
    call.wait_ended(SECONDS)
    settled(client, line)
    assert [call] == [event.call for event in story.named("call_hangup")]


def test_a_hangup_by_composite_while_the_next_dial_is_under_way(connected):
    """What we hung up is what its hangup is about, not the new dial on the same route."""
    client, line = connected()
    call = answered(client, line)
    hanging = Running(call.hangup)
    line.answer(line.receive("endcall"))
    hanging.result()
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_hangup", "APP:room:100", hangup_cause="NORMAL_CLEARING", **ROUTE)
    assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause
    line.answer(command, callid="call-2")
    again = dialling.result()
    assert again.active and [again] == client.calls()


def test_the_first_words_of_a_dial_without_its_route(connected):
    """``call_initiated`` with nothing but its name is of the one dial under way."""
    client, line = connected()
    seen = Recorded()
    client.on(CallInitiated, seen)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_initiated")
    call = seen.next().call
    line.answer(command, callid="call-1")
    assert call is dialling.result()


def test_a_route_that_fits_two_calls_decides_nothing(connected):
    """An event with no id that could be of either of two calls moves neither."""
    client, line = connected()
    one, two = answered(client, line), answered(client, line, "call-2")
    line.event("call_hangup", "", **ROUTE)
    synced(client, line)
    assert [one, two] == client.calls()


def test_the_sandbox_hangs_up_by_composite(cm, client):
    """The same through the sandbox, every event sent twice."""
    cm.duplicate()
    story = Story(client)
    cm.script_dial("answer", composite_hangup=True)
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    cm.peer(call).hang_up("NORMAL_CLEARING")
    assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause
    assert [] == client.calls()
    again = client.dial(**DIAL)
    again.wait_bridged(SECONDS)
    again.hangup()
    again.wait_ended(SECONDS)
    client.close(drain=SECONDS)
    names = ["call_answered", "agora_bridge_start", "agora_bridge_end", "call_hangup"]
    for each in (call, again):
        assert ["call_initiated", "call_ringing", *names] == [
            event.name for event in story.events if getattr(event, "call", None) is each
        ]


def test_calls_in_quick_succession_that_hang_up_by_composite(cm, client):
    """Two calls on one route within one second of the CM's clock both end."""
    for _ in range(3):
        cm.script_dial("answer", composite_hangup=True)
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        cm.peer(call).hang_up("NORMAL_CLEARING")
        assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause
        assert [] == client.calls()
