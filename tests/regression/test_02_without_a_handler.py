"""Fault 2: without a handler, the Go SDK drops events, and ended calls stay for ever."""

from __future__ import annotations

import pytest

from telephony import (
    CallAnswered,
    CallEndedError,
    CallHangup,
    CallIncoming,
    DtmfReceived,
    EventHandler,
)
from telephony.protocol import table
from tests.conftest import DIAL
from tests.regression.conftest import JOIN, answered, dialled, offered, settled, synced
from tests.scripted import SECONDS, Recorded, Running


def test_events_move_the_call_without_a_handler(connected):
    """State, digits and end are all there, with no callback registered."""
    client, line = connected()
    call = dialled(client, line)
    line.event("call_answered", "call-1")
    assert "answered" == call.wait_answered(SECONDS).state
    line.event("agora_bridge_start", "call-1")
    assert "bridged" == call.wait_bridged(SECONDS).state
    line.event("dtmf_received", "call-1", digits="77")
    assert "77" == call.collect_digits(max_digits=2, timeout=SECONDS)
    line.event("agora_bridge_end", "call-1")
    assert "unbridged" == call.wait_for("unbridged", SECONDS).state
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING")
    assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause


def test_ended_calls_go_without_a_handler(connected):
    """A call that ended is in ``calls()`` no more, whoever ended it."""
    client, line = connected()
    call = dialled(client, line)
    assert [call] == client.calls()
    line.event("call_hangup", "call-1")
    call.wait_ended(SECONDS)
    assert [] == client.calls() and client.call("call-1") is None
    assert 0 == client.health().active_calls


def test_thirty_calls_leave_nothing(client):
    """Calls dialled and hung up one after the other leave nothing behind, on the sandbox."""
    for number in range(30):
        client.dial(**{**DIAL, "uid": str(number)}, command_timeout=SECONDS).hangup()
    assert [] == client.calls()
    assert (0, 0) == (client.health().active_calls, client.health().in_flight)


def test_an_incoming_call_nobody_listens_for_goes_without_a_word(connected):
    """Without a callback it leaves ``calls()`` at once; the CM hears nothing about it."""
    client, line = connected()
    line.event("call_incoming", "call-9", direction="inbound")
    synced(client, line)  # which is the only command that comes
    assert [] == client.calls()
    assert line.nothing_came()


@pytest.mark.parametrize("result", [None, False, 1, "yes"])
def test_an_incoming_call_no_callback_wants_goes(connected, result):
    """One that no callback accepts, rejects or keeps by returning True is dropped."""
    client, line = connected()
    calls = Recorded()

    @client.on(CallIncoming)
    def look(event):
        calls(event)
        return result

    line.event("call_incoming", "call-9", direction="inbound")
    call = calls.next().call
    assert not call.wait_for(lambda info: not info.active, SECONDS).active
    assert [] == client.calls()
    with pytest.raises(CallEndedError):
        call.wait_answered(SECONDS)
    synced(client, line)
    assert line.nothing_came()


def test_an_incoming_call_for_another_number_goes(connected):
    """A filter that does not fit is no callback; numbers compare by their digits."""
    client, line = connected()
    taken = Recorded()

    @client.on(CallIncoming, to="+1 (800) 555-1234")
    def look(event):
        taken(event)
        return True

    line.event("call_incoming", "call-8", direction="inbound", to="+18005559999")
    line.event("call_incoming", "call-9", direction="inbound", to="18005551234")
    assert "call-9" == taken.next().call.call_id
    synced(client, line)
    assert ["call-9"] == [call.call_id for call in client.calls()]


def test_one_callback_that_keeps_is_enough(connected):
    """A call is kept when any of several callbacks returns True."""
    client, line = connected()
    after = Recorded()
    client.on(CallIncoming, lambda event: None)
    client.on(CallIncoming, lambda event: True)
    client.on(CallIncoming, lambda event: False)
    client.on(CallAnswered, after)
    line.event("call_incoming", "call-9", direction="inbound")
    line.event("call_answered", "call-9")  # told only when the callbacks above have returned
    call = after.next().call
    assert [call] == client.calls()


def test_a_handler_object_without_the_incoming_method(connected):
    """A handler that has no word on incoming calls does not keep them."""

    class Listener:
        def on_call_hangup(self, call):
            raise AssertionError("no call of ours")

    client, line = connected(lambda client: client.set_handler(Listener()))
    line.event("call_incoming", "call-9", direction="inbound")
    synced(client, line)
    assert [] == client.calls()


def test_the_base_handler_keeps_nothing(connected):
    """``EventHandler`` itself leaves every call to others."""
    client, line = connected(lambda client: client.set_handler(EventHandler()))
    line.event("call_incoming", "call-9", direction="inbound")
    settled(client, line)
    assert [] == client.calls()


def test_a_kept_call_that_is_never_accepted_goes(connected, monkeypatch):
    """After its 60 s (here less) it leaves ``calls()``, and waits for it end."""
    monkeypatch.setattr(table, "INCOMING_SECONDS", 0.2)
    client, line = connected()
    call = offered(client, line)
    assert not call.wait_for(lambda info: not info.active, SECONDS).active
    assert [] == client.calls()
    with pytest.raises(CallEndedError):
        call.wait_answered(SECONDS)


def test_an_accepted_call_is_held_no_more(connected, monkeypatch):
    """Once accepted it outlives the 60 s (here less) in which another call goes."""
    monkeypatch.setattr(table, "INCOMING_SECONDS", 3.0)
    client, line = connected()
    first = offered(client, line, "call-9")
    accepting = Running(first.accept, **JOIN)
    line.answer(line.receive("accept"))
    accepting.result()
    second = offered(client, line, "call-10")
    second.wait_for(lambda info: not info.active, SECONDS)
    assert [first] == client.calls()


def test_a_caller_who_gives_up_is_told(connected):
    """A kept call whose caller hangs up ends with its cause, and goes."""
    client, line = connected()
    hangups = Recorded()
    client.on(CallHangup, hangups)
    call = offered(client, line)
    line.event("call_hangup", "call-9", hangup_cause="ORIGINATOR_CANCEL")
    event = hangups.next()
    assert (call, "ORIGINATOR_CANCEL") == (event.call, event.hangup_cause)
    assert [] == client.calls()


def test_off_and_late_callbacks(connected):
    """A callback registered late sees what comes from then on; one taken off sees nothing."""
    client, line = connected()
    answered(client, line)
    first, second = Recorded(), Recorded()
    client.on(DtmfReceived, first)
    line.event("dtmf_received", "call-1", digits="1")
    assert "1" == first.next().digits
    client.off(first)
    client.on(DtmfReceived, second)
    line.event("dtmf_received", "call-1", digits="2")
    assert "2" == second.next().digits
    settled(client, line)
    assert first.empty() and second.empty()
