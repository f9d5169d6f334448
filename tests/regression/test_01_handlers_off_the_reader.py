"""Fault 1: the Go SDK's handlers run on the thread that reads."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from telephony import (
    CallAnswered,
    CallIncoming,
    Connected,
    Disconnected,
    DtmfReceived,
    ErrorOccurred,
    EventHandler,
)
from tests.conftest import DIAL
from tests.regression.conftest import JOIN, Story, answered, dialled, settled, synced
from tests.scripted import SECONDS, Recorded


def test_accept_inside_the_incoming_callback_has_its_answer(cm):
    """Accepting and waiting in the callback works; the caller is put through."""
    client = cm.client(command_timeout=SECONDS)
    done = Recorded()

    @client.on(CallIncoming)
    def answer(event):
        event.call.accept(**JOIN)
        done(event.call.wait_answered(timeout=SECONDS))

    with client:
        far = cm.incoming(to="+18005551234", from_="+15551234567")
        assert far.wait_accepted(SECONDS)
        assert done.next().state in ("answered", "bridged")  # which follows at once


def test_accept_inside_the_go_style_handler_has_its_answer(cm):
    """The same in ``on_call_incoming`` of a handler object."""
    client = cm.client(command_timeout=SECONDS)
    results = Recorded()

    class Service(EventHandler):
        def on_call_incoming(self, call):
            call.accept(**JOIN)
            results(call.wait_bridged(SECONDS))
            return True

    client.set_handler(Service())
    with client:
        assert cm.incoming(to="+18005551234", from_="+15551234567").wait_accepted(SECONDS)
        info = results.next()
        assert ("support", "200") == (info.channel, info.uid)


def test_reject_inside_the_incoming_callback(cm):
    """Rejecting in the callback reaches the caller."""
    client = cm.client(command_timeout=SECONDS)
    client.on(CallIncoming, lambda event: event.call.reject("not now"))
    with client:
        far = cm.incoming(to="+18005551234", from_="+15551234567")
        assert not far.wait_accepted(SECONDS)
        assert "CALL_REJECTED" == far.hangup_cause


def test_a_handler_slower_than_the_keepalive_keeps_the_connection(connected):
    """While a callback is at work for longer than ``ping_timeout``, reading goes on."""
    lost, finished = Recorded(), threading.Event()
    client, line = connected(ping_interval=0.05, ping_timeout=1.5)
    client.on(Disconnected, lost)
    call = dialled(client, line)

    @client.on(CallAnswered)
    def work(event):
        assert not threading.Event().wait(2.5)  # the slowness is what is tested
        finished.set()

    line.event("call_answered", "call-1")
    line.event("agora_bridge_start", "call-1")
    call.wait_bridged(SECONDS)
    assert not finished.is_set()
    assert finished.wait(SECONDS)
    synced(client, line)
    assert client.connected and lost.empty()
    assert 0 == client.health().reconnects


def test_commands_in_the_connected_handler(connected):
    """A command given on ``Connected`` is answered like any other."""
    results = Recorded()
    _, line = connected(
        lambda client: client.on(
            Connected, lambda event: results(client.command("hello", command_timeout=SECONDS))
        )
    )
    line.answer(line.receive("hello"), text="hi")
    assert "hi" == results.next()["data"]["text"]


def test_a_dial_in_on_connected_of_a_handler_object(cm):
    """Even a dial, which waits for the callee, works in ``on_connected``."""
    client, calls = cm.client(), Recorded()

    class Dialler(EventHandler):
        def on_connected(self, session_id):
            calls(client.dial(**DIAL))

    client.set_handler(Dialler())
    with client:
        assert "bridged" == calls.next().wait_bridged(SECONDS).state


@pytest.mark.parametrize(
    "failure",
    [RuntimeError("boom"), SystemExit(3), asyncio.CancelledError("boom")],
    ids=lambda failure: type(failure).__name__,
)
def test_a_failing_handler_ends_nothing(connected, caplog, failure):
    """It is logged with its traceback and reported; other callbacks and events go on."""
    client, line = connected(workers=1)
    errors, digits = Recorded(), Recorded()
    client.on(ErrorOccurred, errors)

    @client.on(DtmfReceived)
    def fail(event):
        raise failure

    client.on(DtmfReceived, digits)
    answered(client, line)
    with caplog.at_level(logging.ERROR, "telephony"):
        line.event("dtmf_received", "call-1", digits="1")
        line.event("dtmf_received", "call-1", digits="2")
        assert ["1", "2"] == [digits.next().digits, digits.next().digits]
        assert failure is errors.next().error
    assert any(record.exc_info for record in caplog.records)
    synced(client, line)
    assert client.connected


def test_a_failing_error_handler_does_not_go_round(connected):
    """A callback for errors that fails is not told of its own failures."""
    client, line = connected()
    seen = Recorded()

    @client.on(ErrorOccurred)
    def fail(event):
        seen(event)
        raise RuntimeError("in the error handler")

    line.send("this is no JSON")
    seen.next()
    settled(client, line)
    assert seen.empty()


def test_calls_side_by_side(connected):
    """A callback of one call that blocks holds up no other call."""
    client, line = connected()
    one, two = answered(client, line), dialled(client, line, "call-2", uid="101")
    release, blocked = threading.Event(), threading.Event()

    one.on(DtmfReceived, lambda event: (blocked.set(), release.wait(SECONDS)))
    other = Recorded()
    two.on(CallAnswered, other)
    line.event("dtmf_received", "call-1", digits="1")
    assert blocked.wait(SECONDS)
    line.event("call_answered", "call-2")
    assert two is other.next().call
    release.set()


def test_one_call_in_order(connected):
    """Callbacks of one call run one at a time, as its events came, whatever the workers."""
    client, line = connected(workers=8)
    answered(client, line)
    running, heard = threading.Lock(), []

    @client.on(DtmfReceived)
    def hear(event):
        assert running.acquire(blocking=False)
        heard.append(event.digits)
        running.release()

    keys = [str(n % 10) for n in range(300)]
    for key in keys:
        line.event("dtmf_received", "call-1", digits=key)
    settled(client, line)
    assert keys == heard


def test_waits_inside_callbacks_do_not_queue_behind_them(connected):
    """With one worker, which waits, the events waited for still come through."""
    client, line = connected(workers=1)
    results = Recorded()

    @client.on(CallIncoming)
    def answer(event):
        event.call.accept(**JOIN)
        event.call.wait_bridged(SECONDS)
        results(event.call.collect_digits(max_digits=2, timeout=SECONDS))
        results(event.call.wait_ended(SECONDS).hangup_cause)

    line.event("call_incoming", "call-9", direction="inbound", appid="APP")
    line.answer(line.receive("accept"))
    line.event("call_answered", "call-9")
    line.event("agora_bridge_start", "call-9", channel="support", uid="200")
    line.event("dtmf_received", "call-9", digits="4")
    line.event("dtmf_received", "call-9", digits="2")
    assert "42" == results.next()
    line.event("call_hangup", "call-9", hangup_cause="NORMAL_CLEARING")
    assert "NORMAL_CLEARING" == results.next()


def test_no_callback_on_the_reader(connected):
    """Callbacks run on threads of their own, whose names say so."""
    names = Recorded()

    def note(event):
        names(threading.current_thread().name)

    client, line = connected(lambda client: client.on(Connected, note))
    assert names.next().startswith("telephony-callback-")
    story = Story(client)
    client.on(CallAnswered, note)
    answered(client, line)
    assert names.next().startswith("telephony-callback-")
    settled(client, line)
    assert ["call_answered"] == story.of("call-1")


def test_a_filter_that_cannot_be_compared(connected):
    """A filter's value is the user's: whatever its comparison does, the reader lives on."""

    class Odd:
        def __eq__(self, other):
            raise RuntimeError("compares with nothing")

    client, line = connected()
    answered(client, line)
    digits = Recorded()
    client.on(DtmfReceived, lambda event: None, digits=Odd())
    client.on(DtmfReceived, digits)
    line.event("dtmf_received", "call-1", digits="1")
    assert "1" == digits.next().digits
    synced(client, line)
    assert client.connected and 0 == client.health().reconnects


def test_a_context_around_every_callback(connected):
    """``callback_context`` is entered around each; one that fails is told like a callback."""
    entered = Recorded()

    class Context:
        def __enter__(self):
            entered("in")
            if not entered_well:
                raise RuntimeError("no context")

        def __exit__(self, *_):
            entered("out")

    entered_well = True
    client, line = connected(callback_context=Context)
    answered(client, line)
    digits = Recorded()
    client.on(DtmfReceived, digits)
    line.event("dtmf_received", "call-1", digits="1")
    assert ["in", "out"] == [entered.next(), entered.next()]
    entered_well = False
    line.event("dtmf_received", "call-1", digits="2")
    assert "in" == entered.next()
    entered_well = True
    line.event("dtmf_received", "call-1", digits="3")
    assert ["1", "3"] == [digits.next().digits, digits.next().digits]
    assert client.connected
