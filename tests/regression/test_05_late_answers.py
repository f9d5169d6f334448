"""Fault 5: a callee who answers late makes a timeout, with the call alive and untracked."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from telephony import (
    CallHangup,
    CallOrphaned,
    CommandTimeoutError,
    ConnectionLostError,
    DialFailedError,
    OutcomeUnknownError,
)
from telephony.protocol import table
from telephony.runtime.backoff import Backoff
from tests.conftest import DIAL
from tests.regression.conftest import Story, answered, dialled, settled, synced
from tests.scripted import SECONDS, Recorded, Running

ROUTE = {"appid": "APP", "channel": "room", "uid": "100"}
QUICK = Backoff(initial=0.01, maximum=0.01)


def given_up(client, line, **fields):
    """A dial that timed out; returns its command and its error."""
    dialling = Running(client.dial, **{**DIAL, **fields}, command_timeout=0.1)
    command = line.receive("outbound")
    with pytest.raises(CommandTimeoutError) as caught:
        dialling.result()
    return command, caught.value


@pytest.fixture
def again(scripted):
    """Let a client that lost its line have its next one."""

    def register(client):
        line = scripted.line()
        line.greet()
        assert client.wait_connected(SECONDS)
        return line

    return register


def test_a_callee_who_answers_after_33_seconds(cm):
    """A dial waits for the callee longer than other commands; the call is tracked."""
    with cm.client(command_timeout=30 / 50, dial_timeout=SECONDS) as client:
        cm.script_dial("answer", ring=33)  # at fifty times the speed
        began = time.monotonic()
        call = client.dial(**DIAL)
        assert time.monotonic() - began > 30 / 50
        assert [call] == client.calls()
        assert call.wait_answered(SECONDS).answered_at is not None


def test_the_dials_own_timeout(connected):
    """``command_timeout`` on the dial wins over ``dial_timeout``, which is not for others."""
    client, line = connected(command_timeout=0.1, dial_timeout=SECONDS)
    asking = Running(client.command, "ask")
    line.receive("ask")
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    with pytest.raises(CommandTimeoutError):
        asking.result()
    assert not dialling.done
    line.answer(command, callid="call-1")
    assert "call-1" == dialling.result().call_id


def test_no_answer_in_time(connected):
    """The error holds the handle; the call leaves ``calls()`` and nothing is in flight."""
    client, line = connected()
    command, error = given_up(client, line)
    assert isinstance(error, OutcomeUnknownError) and isinstance(error, TimeoutError)
    assert ("outbound", command["request_id"]) == (error.action, error.request_id)
    assert ("room", "100", "") == (error.call.channel, error.call.uid, error.call.call_id)
    assert [] == client.calls()
    assert (0, 0) == (client.health().in_flight, client.health().active_calls)


def test_a_dial_is_never_sent_twice(connected, again):
    """Neither a timeout nor a reconnect sends it again."""
    client, line = connected(reconnect=QUICK)
    given_up(client, line)
    synced(client, line)
    line.drop()
    line = again(client)
    synced(client, line)
    assert line.nothing_came()


def test_a_late_answer_hangs_up(connected):
    """Under the policy "hangup" the call is ended on the wire, and told as orphaned."""
    client, line = connected(orphan_policy="hangup")
    orphans = Recorded()
    client.on(CallOrphaned, orphans)
    command, error = given_up(client, line)
    line.answer(command, callid="call-1")
    ending = line.receive("endcall")
    assert ("call-1", "APP") == (ending["callid"], ending["appid"])
    assert error.call is orphans.next().call
    line.answer(ending)
    synced(client, line)
    assert ([], "call-1", "hangup") == (client.calls(), error.call.call_id, error.call.state)


def test_a_late_answer_is_kept(connected):
    """Under the policy "keep" the call is tracked again, and told as orphaned."""
    client, line = connected(orphan_policy="keep")
    orphans = Recorded()
    client.on(CallOrphaned, orphans)
    command, error = given_up(client, line)
    line.answer(command, callid="call-1")
    call = orphans.next().call
    assert error.call is call
    assert [call] == client.calls() and call is client.call("call-1") and call.active
    line.event("call_answered", "call-1")
    call.wait_answered(SECONDS)
    synced(client, line)
    assert line.nothing_came()


@pytest.mark.parametrize("policy", ["hangup", "keep"])
def test_a_late_refusal_is_no_orphan(connected, policy):
    """When the late answer is a no, there is no call and nothing is told."""
    client, line = connected(orphan_policy=policy)
    story = Story(client)
    command, error = given_up(client, line)
    line.answer(command, success=False, reason="Busy")
    settled(client, line)
    assert [] == story.named("call_orphaned")
    assert not error.call.active


@pytest.mark.parametrize("policy", ["hangup", "keep"])
def test_an_event_before_the_late_answer(connected, policy):
    """An event with the new ``callid`` is enough to know the orphan by; it is told once."""
    client, line = connected(orphan_policy=policy)
    story, orphans = Story(client), Recorded()
    client.on(CallOrphaned, orphans)
    command, error = given_up(client, line)
    line.event("call_answered", "call-1", **ROUTE)
    call = orphans.next().call
    assert error.call is call
    if policy == "hangup":
        line.answer(line.receive("endcall"))
    line.answer(command, callid="call-1")
    synced(client, line)
    assert ([] if policy == "hangup" else [call]) == client.calls()
    settled(client, line)
    assert 1 == len(story.named("call_orphaned"))


@pytest.mark.parametrize("policy", ["hangup", "keep"])
def test_an_answer_lost_with_the_connection(connected, again, policy):
    """The call is recognised after the reconnect by ``appid:channel:uid`` of its events."""
    client, line = connected(orphan_policy=policy, reconnect=QUICK)
    orphans = Recorded()
    client.on(CallOrphaned, orphans)
    dialling = Running(client.dial, **DIAL)
    line.receive("outbound")
    line.drop()
    with pytest.raises(ConnectionLostError) as caught:
        dialling.result()
    call = caught.value.call
    assert ("room", "100") == (call.channel, call.uid)
    line = again(client)
    assert [] == client.calls()
    line.event("call_answered", "call-1", **ROUTE)
    assert call is orphans.next().call
    if policy == "hangup":
        ending = line.receive("endcall")
        assert "call-1" == ending["callid"]
        line.answer(ending)
        synced(client, line)
        assert [] == client.calls()
    else:
        assert [call] == client.calls()
        assert "answered" == call.wait_answered(SECONDS).state
    synced(client, line)
    assert line.nothing_came()


@pytest.mark.parametrize("policy", ["hangup", "keep"])
def test_an_answer_lost_after_an_event_had_told_the_id(connected, again, policy):
    """With its id known already, the orphan is dealt with as soon as there is a connection."""
    client, line = connected(orphan_policy=policy, reconnect=QUICK)
    orphans = Recorded()
    client.on(CallOrphaned, orphans)
    dialling = Running(client.dial, **DIAL)
    line.receive("outbound")
    line.event("call_answered", "call-1", **ROUTE)
    client.calls()[0].wait_answered(SECONDS)
    line.drop()
    with pytest.raises(ConnectionLostError) as caught:
        dialling.result()
    line = again(client)
    assert caught.value.call is orphans.next().call
    if policy == "hangup":
        line.answer(line.receive("endcall"))
        synced(client, line)
        assert [] == client.calls()
    else:
        assert [caught.value.call] == client.calls()


@pytest.mark.parametrize("policy", ["hangup", "keep"])
def test_an_orphan_that_only_hangs_up(connected, policy):
    """Known by its ``call_hangup`` alone it is told as orphaned and ended; nothing is sent."""
    client, line = connected(orphan_policy=policy)
    story = Story(client)
    _, error = given_up(client, line)
    line.event("call_hangup", "call-1", hangup_cause="NO_ANSWER", **ROUTE)
    synced(client, line)
    assert [] == client.calls() and line.nothing_came()
    settled(client, line)
    assert [error.call] == [event.call for event in story.named("call_orphaned")]
    assert ["NO_ANSWER"] == [event.hangup_cause for event in story.named("call_hangup")]


@pytest.mark.parametrize("policy", ["hangup", "keep"])
def test_ctrl_c_during_a_dial(connected, policy):
    """The interrupt comes through; the call, which nobody holds, is an orphan."""
    client, line = connected(orphan_policy=policy)
    orphans = Recorded()
    client.on(CallOrphaned, orphans)

    def interrupt():
        command = line.receive("outbound")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return command

    interrupting = Running(interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.dial(**DIAL)
    assert [] == client.calls() and 0 == client.health().in_flight
    line.answer(interrupting.result(), callid="call-1")
    call = orphans.next().call
    if policy == "hangup":
        line.answer(line.receive("endcall"))
        synced(client, line)
        assert [] == client.calls()
    else:
        assert [call] == client.calls()


def test_a_second_dial_on_the_route_of_an_orphan(connected):
    """Trying again after a timeout gives one call, and the old one is hung up when it comes."""
    client, line = connected()
    orphans = Recorded()
    client.on(CallOrphaned, orphans)
    command, error = given_up(client, line)
    again = dialled(client, line, "call-2")
    line.event("call_answered", "call-2", **ROUTE)
    assert "answered" == again.wait_answered(SECONDS).state
    line.answer(command, callid="call-1")
    ending = line.receive("endcall")
    assert "call-1" == ending["callid"]
    line.answer(ending)
    assert error.call is orphans.next().call
    synced(client, line)
    assert [again] == client.calls() and again.active


def test_events_of_the_second_dial_that_come_first(connected):
    """They are not taken for the orphan's: the new call lives, one object for all."""
    client, line = connected()
    story = Story(client)
    given_up(client, line)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_answered", "call-2", **ROUTE)
    line.answer(command, callid="call-2")
    call = dialling.result()
    assert "answered" == call.wait_answered(SECONDS).state
    synced(client, line)
    assert [call] == client.calls()
    settled(client, line)
    assert {call} == {event.call for event in story.events if event.name == "call_answered"}
    assert [] == story.named("call_orphaned")


def test_an_orphan_is_forgotten_in_the_end(connected, monkeypatch):
    """After ten minutes (here less) its late events are a stranger's."""
    monkeypatch.setattr(table, "REMEMBERED_SECONDS", 0.1)
    client, line = connected()
    story = Story(client)
    _, error = given_up(client, line)
    error.call.wait_for(lambda info: not info.active, SECONDS)
    line.event("call_answered", "call-1", **ROUTE)
    synced(client, line)
    (stranger,) = client.calls()
    assert error.call is not stranger
    settled(client, line)
    assert [] == story.named("call_orphaned")


def test_a_timed_out_accept_counts_when_its_answer_comes(connected):
    """Another command's late answer is true all the same: the call is where it was put."""
    client, line = connected()
    call = answered(client, line)
    bridging = Running(call.bridge, token="t", channel="other", uid="7", command_timeout=0.1)
    command = line.receive("bridge")
    with pytest.raises(CommandTimeoutError):
        bridging.result()
    line.answer(command)
    synced(client, line)
    assert ("other", "7") == (call.channel, call.uid)


def test_a_late_answer_to_a_hangup(connected):
    """A hangup that timed out and was taken ends the call here too."""
    client, line = connected()
    call = answered(client, line)
    hanging = Running(call.hangup, command_timeout=0.1)
    command = line.receive("endcall")
    with pytest.raises(CommandTimeoutError):
        hanging.result()
    assert [call] == client.calls()
    line.answer(command)
    synced(client, line)
    assert ([], "hangup") == (client.calls(), call.state)


def test_the_endcall_of_an_orphan_that_is_gone_is_no_error(connected):
    """An orphan that ended by itself before our endcall came: nothing to report."""
    client, line = connected()
    story = Story(client)
    command, _ = given_up(client, line)
    line.answer(command, callid="call-1")
    line.refuse(line.receive("endcall"), "callid not found")
    settled(client, line)
    assert [] == story.named("error")


def test_the_hangup_of_an_orphan_is_told(connected):
    """When the orphan's end was taken, its ``call_hangup`` fires as for any other call."""
    client, line = connected()
    hangups = Recorded()
    client.on(CallHangup, hangups)
    command, error = given_up(client, line)
    line.answer(command, callid="call-1")
    line.answer(line.receive("endcall"))
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING", billsec="4")
    event = hangups.next()
    assert (error.call, 4) == (event.call, event.billsec)


def test_the_sandbox_delays_the_answer(cm):
    """On the sandbox: the answer is held back too long, and the call is hung up there."""
    with cm.client(dial_timeout=0.3) as client:
        cm.script_dial("answer", ring=0, delay=150)  # three seconds
        with pytest.raises(CommandTimeoutError) as caught:
            client.dial(**DIAL)
        command = cm.wait_for_command("endcall", SECONDS)
        assert caught.value.call.call_id == command["callid"]
        assert "NORMAL_CLEARING" == cm.peer(command["callid"]).wait_ended(SECONDS)


def test_a_refused_dial_after_its_call_had_ended(cm, client):
    """The far end that rejects while it rings: a hangup event first, then the refusal."""
    story = Story(client)
    cm.script_dial("answer", ring=1000)
    dialling = Running(client.dial, **DIAL)
    cm.wait_for_command("outbound", SECONDS)
    cm.peer(cm.calls[0].call_id).hang_up("CALL_REJECTED")
    with pytest.raises(DialFailedError, match="Call Rejected"):
        dialling.result()
    assert [] == client.calls()
    client.close(drain=SECONDS)
    assert ["CALL_REJECTED"] == [event.hangup_cause for event in story.named("call_hangup")]


@pytest.mark.parametrize("policy", ["hangup", "keep"])
def test_an_orphans_event_while_the_next_dial_is_under_way(connected, again, policy):
    """It fits both until the new dial has its id; then it can only be the orphan's."""
    client, line = connected(orphan_policy=policy, reconnect=QUICK)
    orphans = Recorded()
    client.on(CallOrphaned, orphans)
    dialling = Running(client.dial, **DIAL)
    line.receive("outbound")
    line.drop()
    with pytest.raises(ConnectionLostError):
        dialling.result()
    line = again(client)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.event("call_answered", "call-1", **ROUTE)
    line.answer(command, callid="call-2")
    call = dialling.result()
    assert "call-2" == call.call_id
    line.event("agora_bridge_start", "call-1", **ROUTE)
    assert "call-1" == orphans.next().call.call_id
    if policy == "hangup":
        ending = line.receive("endcall")
        assert "call-1" == ending["callid"]
        line.answer(ending)
        synced(client, line)
        assert [call] == client.calls()
    else:
        assert {"call-1", "call-2"} == {each.call_id for each in client.calls()}


def interrupting(line, action):
    """Press Ctrl-C once the command of this action has arrived."""

    def interrupt():
        command = line.receive(action)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return command

    return Running(interrupt)


def test_ctrl_c_during_a_hangup(connected):
    """It comes through, and the answer, when it comes, still ends the call here."""
    client, line = connected()
    call = answered(client, line)
    interrupted = interrupting(line, "endcall")
    with pytest.raises(KeyboardInterrupt):
        call.hangup()
    assert 0 == client.health().in_flight
    line.answer(interrupted.result())
    synced(client, line)
    assert ([], "hangup") == (client.calls(), call.state)


def test_ctrl_c_in_the_block_of_a_call(connected):
    """The call is hung up on the way out."""
    client, line = connected()
    call = answered(client, line)

    def far_end():
        command = line.receive("ask")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        line.answer(line.receive("endcall"))
        line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING")
        return command

    running = Running(far_end)
    with pytest.raises(KeyboardInterrupt):
        with call:
            client.command("ask")
    running.result()
    assert "NORMAL_CLEARING" == call.hangup_cause


def test_ctrl_c_during_a_connect(scripted):
    """Nothing is left of the attempt, and the next one works."""
    client = scripted.client()

    def interrupt():
        line = scripted.line()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return line

    running = Running(interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.connect()
    assert running.result().closed.wait(SECONDS)
    assert "idle" == client.state
    connecting = Running(client.connect)
    scripted.line().greet()
    connecting.result()
    assert client.connected
    client.close()
