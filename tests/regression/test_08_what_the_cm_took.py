"""Fault 8: the Go SDK's calls and lists are not what the CM took or refused."""

from __future__ import annotations

import pytest

from telephony import CallIncoming, CallNotFoundError, CommandRefusedError, NotConnectedError
from telephony.runtime.backoff import Backoff
from tests.regression.conftest import JOIN, answered, offered
from tests.scripted import SECONDS, Recorded, Running

QUICK = Backoff(initial=0.01, maximum=0.01)


def took(line, action, fn, *args, **kwargs):
    """Run a command that the CM takes; returns its frame."""
    running = Running(fn, *args, **kwargs)
    command = line.receive(action)
    line.answer(command)
    running.result()
    return command


def refused(line, action, error, fn, *args, **kwargs):
    """Run a command that the CM refuses; returns the error raised."""
    running = Running(fn, *args, **kwargs)
    line.refuse(line.receive(action), error)
    with pytest.raises(CommandRefusedError) as caught:
        running.result()
    return caught.value


def test_reject_drops_the_call(connected):
    """Rejected, it is out of ``calls()`` at once, and ended."""
    client, line = connected()
    call = offered(client, line)
    command = took(line, "reject", call.reject)
    assert ("", "APP") == (command["reason"], command["appid"])
    assert [] == client.calls()
    assert ("hangup", False) == (call.state, call.active)


def test_a_reject_of_a_call_that_is_gone(connected):
    """Refused as not found it drops the call as well."""
    client, line = connected()
    call = offered(client, line)
    error = refused(line, "reject", "callid not found", call.reject, "late")
    assert CallNotFoundError is type(error)
    assert [] == client.calls()


def test_a_failed_accept_drops_the_call(connected):
    """Not found: another client was first, or its time was over. It goes at once."""
    client, line = connected()
    call = offered(client, line)
    refused(line, "accept", "callid not found", call.accept, **JOIN)
    assert [] == client.calls() and not call.active
    assert ("", "") == (call.channel, call.uid)


def test_a_failed_accept_may_be_tried_again(connected):
    """Refused for another reason the call stays, unaccepted, and can be accepted yet."""
    client, line = connected()
    call = offered(client, line)
    refused(line, "accept", "no resource", call.accept, **JOIN)
    assert [call] == client.calls()
    assert ("incoming", "", "") == (call.state, call.channel, call.uid)
    took(line, "accept", call.accept, **JOIN)
    assert ("support", "200") == (call.channel, call.uid)


def test_accept_records_channel_and_uid(connected):
    """As soon as the CM took it, before any event."""
    client, line = connected()
    call = offered(client, line)
    command = took(line, "accept", call.accept, token="t", channel="support", uid=200)
    assert ("support", "200") == (call.channel, call.uid)
    assert ("support", "200", "t", "APP", "call-9") == tuple(
        command[name] for name in ("channel", "uid", "token", "appid", "callid")
    )
    assert "video" not in command


def test_events_of_an_accepted_call_are_found_by_its_route(connected):
    """Once accepted, it is known by ``appid:channel:uid`` too."""
    client, line = connected()
    call = offered(client, line)
    took(line, "accept", call.accept, **JOIN)
    line.event("call_hangup", "APP:support:200", hangup_cause="NORMAL_CLEARING")
    assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause


def test_bridge_records_channel_and_uid(connected):
    """So that a re-bridge knows where the call is."""
    client, line = connected()
    call = answered(client, line)
    took(line, "bridge", call.bridge, token="t", channel="other", uid="7")
    assert ("other", "7") == (call.channel, call.uid)
    command = took(line, "rebridge", call.rebridge, token="t", channel="third", uid="8")
    assert ("other", "7") == (command["current_channel"], command["current_uid"])
    assert ("third", "8") == (call.channel, call.uid)


@pytest.mark.parametrize("action", ["bridge", "rebridge"])
def test_a_refused_move_records_nothing(connected, action):
    """Refused, the call is where it was."""
    client, line = connected()
    call = answered(client, line)
    refused(line, action, "join failed: x", getattr(call, action), token="t", channel="o", uid="7")
    assert ("room", "100") == (call.channel, call.uid)


def test_a_hangup_before_the_accepts_answer(connected):
    """The caller gives up while the accept is on its way: nothing is revived by its answer."""
    client, line = connected()
    call = offered(client, line)
    accepting = Running(call.accept, **JOIN)
    command = line.receive("accept")
    line.event("call_hangup", "call-9", hangup_cause="ORIGINATOR_CANCEL")
    line.answer(command)
    accepting.result()
    assert ("hangup", "ORIGINATOR_CANCEL", []) == (call.state, call.hangup_cause, client.calls())


def test_an_event_before_the_accepts_answer(connected):
    """``call_answered`` may overtake it; state and place are both right in the end."""
    client, line = connected()
    call = offered(client, line)
    accepting = Running(call.accept, **JOIN)
    command = line.receive("accept")
    line.event("call_answered", "call-9", **{"channel": "support", "uid": "200"})
    line.event("agora_bridge_start", "call-9", **{"channel": "support", "uid": "200"})
    line.answer(command)
    accepting.result()
    assert ("bridged", "support", "200") == (call.state, call.channel, call.uid)


def test_accepting_by_id_a_call_never_seen(connected):
    """A service that learns of a call elsewhere may accept it; it is tracked then."""
    client, line = connected()
    took(line, "accept", client.accept, "call-5", **JOIN)
    (call,) = client.calls()
    assert ("call-5", "inbound", "support") == (call.call_id, call.direction, call.channel)


def registered_again(client, scripted, line):
    """Drop the line; returns the registration on the next one."""
    line.drop()
    line = scripted.line()
    frame = line.greet()
    assert client.wait_connected(SECONDS)
    return frame, line


def test_the_registration_carries_the_numbers(scripted):
    """Of the option, or of a ``subscribe`` before the connect; none are left out."""
    for numbers, option in ((["+1800"], ["+1800"]), (["+1"], ["+1800"]), ([], ["+1800"])):
        client = scripted.client(subscribe_numbers=option)
        if numbers != option:
            client.subscribe(numbers)
        connecting = Running(client.connect)
        frame = scripted.line().greet()
        connecting.result()
        client.close()
        assert (numbers or None) == frame.get("subscribe_numbers")


def test_subscribe_is_kept_across_a_reconnect(connected, scripted):
    """What the CM took is registered again, and no App ID is sent with it."""
    client, line = connected(reconnect=QUICK, subscribe_numbers=["+1800"])
    command = took(line, "subscribe", client.subscribe, ["+1888", "+1889"])
    assert {"action", "numbers", "request_id"} == set(command)
    for _ in range(2):
        frame, line = registered_again(client, scripted, line)
        assert ["+1888", "+1889"] == frame["subscribe_numbers"]
    took(line, "subscribe", client.subscribe, [])
    frame, line = registered_again(client, scripted, line)
    assert "subscribe_numbers" not in frame


def test_a_refused_list_is_not_kept(connected, scripted):
    """After a refusal the old list is registered again."""
    client, line = connected(reconnect=QUICK, subscribe_numbers=["+1800"])
    refused(line, "subscribe", "number not allowed", client.subscribe, ["+1999"])
    frame, line = registered_again(client, scripted, line)
    assert ["+1800"] == frame["subscribe_numbers"]


def test_a_list_whose_answer_was_lost_is_not_kept(connected, scripted):
    """Neither is one whose outcome is not known."""
    client, line = connected(reconnect=QUICK, subscribe_numbers=["+1800"])
    subscribing = Running(client.subscribe, ["+1999"])
    line.receive("subscribe")
    frame, line = registered_again(client, scripted, line)
    with pytest.raises(ConnectionError):
        subscribing.result()
    assert ["+1800"] == frame["subscribe_numbers"]


def test_subscribe_during_an_outage_is_not_sent(connected, scripted):
    """It says so, and leaves the list as it was."""
    client, line = connected(reconnect=QUICK, subscribe_numbers=["+1800"])
    line.drop()
    line = scripted.line()
    with pytest.raises(NotConnectedError):
        client.subscribe(["+1999"])
    assert ["+1800"] == line.greet()["subscribe_numbers"]


def test_subscriptions_decide_on_the_sandbox(cm):
    """Calls come for the numbers of the last list, also after a reconnect."""
    seen = Recorded()
    client = cm.client(subscribe_numbers=["+1800"], reconnect=QUICK)
    client.on(CallIncoming, seen)
    with client:
        assert cm.incoming(to="+1888", from_="+1555").ended
        client.subscribe(["+1888"])
        cm.incoming(to="+1888", from_="+1555")
        assert "+1888" == seen.next().info.to
        cm.drop_connections()
        assert client.wait_connected(SECONDS)
        cm.wait_for_command("register", SECONDS, subscribe_numbers=["+1888"])


@pytest.mark.parametrize("action", ["accept", "reject"])
def test_a_call_that_is_up_survives_a_refused_accept_or_reject(connected, action):
    """Two callbacks may both have tried; what the CM does not find is the offer, not the call."""
    client, line = connected()
    call = offered(client, line)
    took(line, "accept", call.accept, **JOIN)
    line.event("call_answered", "call-9")
    call.wait_answered(SECONDS)
    again = (call.accept, JOIN) if action == "accept" else (call.reject, {})
    error = refused(line, action, "callid not found", again[0], **again[1])
    assert isinstance(error, CallNotFoundError)
    assert [call] == client.calls() and call.active
    took(line, "hangup", call.hangup)


def test_any_other_command_carries_the_calls_app_id(connected):
    """As all commands of a call do; one that is given goes as it is."""
    client, line = connected(app_id="MULTI")
    offered(client, line)
    command = took(line, "park", client.command, "park", callid="call-9")
    assert "APP" == command["appid"]
    command = took(line, "park", client.command, "park", callid="call-9", appid="OTHER")
    assert "OTHER" == command["appid"]
