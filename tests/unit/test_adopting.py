"""Going on with the calls of a client that is gone."""

from __future__ import annotations

import threading

import attrs
import pytest

from telephony import (
    CallHangup,
    CallInfo,
    CallOrphaned,
    CallState,
    Client,
    ClientClosedError,
    InvalidArgumentError,
)
from telephony.protocol.calls import Place
from telephony.protocol.table import INCOMING_SECONDS, REMEMBERED_SECONDS
from tests.scripted import SECONDS
from tests.unit.protocol.conversation import Conversation, said

UP = CallInfo(
    call_id="id-1", state=CallState.BRIDGED, direction="outbound", channel="room", uid="100",
    app_id="APP",
)  # fmt: skip
DIAL = CallInfo(direction="outbound", channel="room", uid="100", app_id="APP")
TO = {"to": "+18005551234", "from_": "+15551234567", "channel": "room", "uid": "100"}


@pytest.fixture
def dead(cm):
    """A client whose process is as good as dead, and the call that it left."""
    client = cm.client(client_id="desk-1", reconnect=False)
    client.connect()
    call = client.dial(**TO, token="rtc", region="AREA_CODE_NA")
    call.wait_bridged(timeout=SECONDS)
    yield client, call
    client.close()


def test_the_call_of_a_client_that_died(cm, dead):
    """Its next event comes to the heir, which can do with it whatever the other could."""
    _, left = dead
    with cm.client(client_id="desk-1") as heir:
        call = heir.adopt(left.info)
        assert (call.call_id, "room", True) == (left.call_id, call.channel, call.stale)
        assert [call] == heir.calls()
        call.send_dtmf("12")
        call.hangup()
        assert "NORMAL_CLEARING" == call.wait_ended(timeout=SECONDS).hangup_cause
    cm.assert_sent("endcall", callid=left.call_id)  # and not `hangup`: its direction is known


def test_adopted_before_the_connection(cm, dead):
    """No event can come first; and the far end's hangup is told once."""
    _, left = dead
    ended, told = threading.Event(), []
    heir = cm.client(client_id="desk-1")
    heir.on(CallHangup, lambda event: (told.append(event.call), ended.set()))
    call = heir.adopt(left.info)
    with heir:
        cm.peer(left.call_id).hang_up()
        assert ended.wait(SECONDS)
    assert [call] == told
    assert "outbound" == call.direction


def test_what_is_told_of_it_is_only_forward(cm, dead):
    """Nothing that was already known happens again."""
    _, left = dead
    heir = cm.client(client_id="desk-1")
    call = heir.adopt(attrs.evolve(left.info, state=CallState.UNBRIDGED))
    with heir:
        assert CallState.UNBRIDGED is call.state
        assert call is heir.adopt(left.info)  # there is one already
        assert CallState.UNBRIDGED is call.state


@pytest.mark.parametrize(
    "info, problem",
    [
        (attrs.evolve(UP, state=CallState.HANGUP), "ended"),
        (attrs.evolve(UP, active=False), "ended"),
        (CallInfo(channel="room"), "names no call"),
        (CallInfo(uid="100"), "names no call"),
        ("id-1", "CallInfo, not str"),
    ],
)  # fmt: skip
def test_what_cannot_be_adopted(info, problem):
    """An end, and what is no call."""
    client = Client("ws://127.0.0.1:9", "Basic x", "desk-1", "APP")
    with pytest.raises(InvalidArgumentError, match=problem):
        client.adopt(info)
    assert [] == client.calls()


def test_after_closing():
    """There is nothing that could go on."""
    client = Client("ws://127.0.0.1:9", "Basic x", "desk-1", "APP")
    client.close()
    with pytest.raises(ClientClosedError):
        client.adopt(UP)


# --- in the table ------------------------------------------------------------------------


def test_events_by_its_id_and_by_its_route():
    """It is found as if it had been dialled here."""
    conversation = Conversation()
    call = conversation.session.calls.adopt(UP, conversation.now)
    assert call.info.stale
    assert [] == conversation.event("agora_bridge_start", "id-1", channel="room", uid="100")
    assert not call.info.stale  # a copy, and yet a sign of life
    (event,) = conversation.event("call_hangup", "", channel="room", uid="100", appid="APP")
    assert (call, CallState.HANGUP) == (event.call, call.info.state)


def test_one_that_nothing_is_heard_of_goes():
    """It may have ended while nobody listened."""
    conversation = Conversation(stale_timeout=100.0)
    call = conversation.session.calls.adopt(UP, conversation.now)
    conversation.now += 101
    conversation.session.expire(conversation.now)
    assert [] == conversation.calls
    assert not call.info.active


def test_one_that_was_offered_goes_sooner():
    """As long as any that nobody accepts."""
    conversation = Conversation()
    offered = attrs.evolve(UP, state=CallState.INCOMING, direction="inbound")
    call = conversation.session.calls.adopt(offered, conversation.now)
    assert call._offered
    conversation.now += INCOMING_SECONDS + 1
    conversation.session.expire(conversation.now)
    assert [] == conversation.calls


def test_one_that_ended_meanwhile():
    """Its hangup came before it was adopted: nothing revives it."""
    conversation = Conversation()
    conversation.event("call_answered", "id-1", channel="room", uid="100")
    conversation.event("call_hangup", "id-1")
    call = conversation.session.calls.adopt(UP, conversation.now)
    assert (CallState.HANGUP, False) == (call.info.state, call.info.active)
    assert [] == conversation.calls


def test_a_dial_whose_answer_nobody_heard():
    """Its call is hung up when it turns up, as the one of a dial that gave up here."""
    conversation = Conversation()
    call = conversation.session.calls.adopt(DIAL, conversation.now)
    assert [] == conversation.calls
    outcomes = conversation.says(
        {"event": "call_answered", "callid": "id-9", "channel": "room", "uid": "100"}
    )
    assert isinstance(outcomes[0], CallOrphaned)
    (frame,) = said(outcomes)
    assert ("endcall", "id-9") == (frame["action"], frame["callid"])
    assert "id-9" == call.info.call_id


def test_a_dial_that_never_turns_up():
    """It is forgotten after ten minutes."""
    conversation = Conversation()
    call = conversation.session.calls.adopt(DIAL, conversation.now)
    conversation.now += REMEMBERED_SECONDS + 1
    conversation.session.expire(conversation.now)
    assert Place.GONE is call._place
