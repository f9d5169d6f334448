"""Every event in every state, against a table written out by hand."""

from __future__ import annotations

import pytest

from telephony import CallState, ConnectionState
from tests.unit.protocol.conversation import Conversation, names

# What protocol.md ("state after") and api.md (only forward; ended is ended; bridged and
# unbridged alternate; a copy changes nothing) say: the state after, and whether the event is
# told. "-" is an event that is dropped.
TABLE = """
event                 incoming   ringing    answered   bridged    unbridged  hangup
call_incoming         -          -          -          -          -          -
call_initiated        incoming   ringing    answered   bridged    unbridged  -
call_ringing          ringing    ringing    -          -          -          -
call_answered         answered   answered   -          -          -          -
agora_bridge_start    bridged    bridged    bridged    -          bridged    -
agora_bridge_end      unbridged  unbridged  unbridged  unbridged  -          -
agora_bridge_failed   unbridged  unbridged  unbridged  unbridged  unbridged  -
dtmf_received         incoming   ringing    answered   bridged    unbridged  -
call_hangup           hangup     hangup     hangup     hangup     hangup     -
"""

CLASSES = {
    "call_incoming": "CallIncoming",
    "call_initiated": "CallInitiated",
    "call_ringing": "CallRinging",
    "call_answered": "CallAnswered",
    "agora_bridge_start": "BridgeStarted",
    "agora_bridge_end": "BridgeEnded",
    "agora_bridge_failed": "BridgeFailed",
    "dtmf_received": "DtmfReceived",
    "call_hangup": "CallHangup",
}

#: How a call gets into each state. An incoming call has had its call_incoming, no other event.
WAYS = {
    "incoming": (),
    "ringing": (),
    "answered": ("call_answered",),
    "bridged": ("call_answered", "agora_bridge_start"),
    "unbridged": ("call_answered", "agora_bridge_start", "agora_bridge_end"),
    "hangup": ("call_hangup",),
}


def rows():
    lines = TABLE.strip().splitlines()
    states = lines[0].split()[1:]
    found = []
    for line in lines[1:]:
        event, *cells = line.split()
        assert len(states) == len(cells)
        for state, after in zip(states, cells):
            found.append(pytest.param(event, state, after, id=f"{event}-{state}"))
    return found


def call_in(conversation, state):
    """A call in *state*; all but incoming ones were dialled, to room as 100."""
    if state == "incoming":
        call = conversation.incoming("id-1")
    else:
        call = conversation.dialled("id-1")
    for event in WAYS[state]:
        conversation.event(event, "id-1", channel="room", uid="100")
    assert state == call.info.state
    return call


def test_the_table_is_whole():
    """All events of protocol.md and all states are in the table."""
    found = {(param.values[0], param.values[1]) for param in rows()}
    assert {(event, str(state)) for event in CLASSES for state in CallState} == found


@pytest.mark.parametrize("event, before, after", rows())
def test_one_event_in_one_state(event, before, after):
    """The event moves the call as the table says and is told, or is dropped."""
    conversation = Conversation()
    call = call_in(conversation, before)
    snapshot = call.info
    where = {"channel": "room", "uid": "100", "digits": "5", "reason": "join failed: no"}
    events = conversation.event(event, "id-1", **where)
    if after == "-":
        assert [] == events
        assert snapshot is call.info
    else:
        assert [CLASSES[event]] == names(events)
        assert call is events[0].call
        assert after == call.info.state
        assert after == events[0].info.state


@pytest.mark.parametrize("state", [s for s in WAYS if s != "hangup"])
@pytest.mark.parametrize("event", sorted(CLASSES))
def test_the_copy_of_an_event_is_dropped(event, state):
    """Delivered twice, an event is told once; digits are never dropped, they are key presses."""
    conversation = Conversation()
    call_in(conversation, state)
    fields = {"channel": "room", "uid": "100", "digits": "5", "reason": "no"}
    conversation.event(event, "id-1", **fields)
    again = conversation.event(event, "id-1", **fields)
    assert (["DtmfReceived"] if event == "dtmf_received" else []) == names(again)


def test_states_print_as_the_wire_says():
    """States are their wire words: equal to them, printed and formatted as them."""
    assert ["incoming", "ringing", "answered", "bridged", "unbridged", "hangup"] == list(CallState)
    assert "bridged" == str(CallState.BRIDGED)
    assert "   bridged" == f"{CallState.BRIDGED:>10}"
    assert CallState.BRIDGED is CallState("bridged")


def test_connection_states():
    """The connection states of api.md, and no others."""
    expected = ["IDLE", "CONNECTING", "CONNECTED", "RECONNECTING", "CLOSED"]
    assert expected == [state.name for state in ConnectionState]
