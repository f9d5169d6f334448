"""``close()`` releases everyone who waits, from any thread and from callbacks."""

from __future__ import annotations

import threading
import time

import pytest

from telephony import (
    CallAnswered,
    ClientClosedError,
    ConnectionLostError,
    Disconnected,
    DtmfReceived,
    NotSentError,
)
from telephony.runtime.backoff import Backoff
from tests.conftest import DIAL
from tests.regression.conftest import answered, dialled, offered, synced
from tests.scripted import SECONDS, Recorded, Running

CALL_WAITS = {
    "wait_bridged": lambda call, entered: call.wait_bridged(None),
    "wait_ended": lambda call, entered: call.wait_ended(None),
    "wait_for": lambda call, entered: call.wait_for(lambda info: entered.set(), None),
    "collect_digits": lambda call, entered: call.collect_digits(max_digits=9),
    "wait_ended in time": lambda call, entered: call.wait_ended(60),
}


@pytest.mark.parametrize("wait", CALL_WAITS)
def test_it_wakes_the_waits_of_a_call(connected, wait):
    """Each of them raises ``ClientClosedError``, at once."""
    client, line = connected()
    call, entered = answered(client, line), threading.Event()
    waiting = Running(CALL_WAITS[wait], call, entered)
    if wait == "wait_for":
        assert entered.wait(SECONDS)
    client.close()
    with pytest.raises(ClientClosedError):
        waiting.result()


def test_it_wakes_wait_answered(connected):
    """Of a call that still rings."""
    client, line = connected()
    waiting = Running(dialled(client, line).wait_answered)
    client.close()
    with pytest.raises(ClientClosedError):
        waiting.result()


def test_waits_after_it(connected):
    """A wait begun after the close does not wait either."""
    client, line = connected()
    call = answered(client, line)
    client.close()
    for wait in (call.wait_bridged, call.wait_ended, call.collect_digits):
        with pytest.raises(ClientClosedError):
            wait(timeout=None)


def test_it_fails_pending_commands(connected):
    """Their outcome is unknown; a dial's error has the handle."""
    client, line = connected()
    asking, dialling = Running(client.command, "ask"), None
    line.receive("ask")
    dialling = Running(client.dial, **DIAL)
    line.receive("outbound")
    client.close()
    with pytest.raises(ConnectionLostError):
        asking.result()
    with pytest.raises(ConnectionLostError) as caught:
        dialling.result()
    assert "room" == caught.value.call.channel
    assert [] == client.calls()


def test_commands_after_it(connected):
    """They are not sent."""
    client, line = connected()
    call = answered(client, line)
    client.close()
    for command in (lambda: client.dial(**DIAL), call.hangup, lambda: client.subscribe(["+1"])):
        with pytest.raises(NotSentError):
            command()
    assert line.closed.wait(SECONDS)
    assert line.nothing_came()


def test_it_wakes_a_connect(scripted):
    """One under way raises."""
    client = scripted.client()
    connecting = Running(client.connect)
    scripted.line()
    client.close()
    with pytest.raises(ClientClosedError):
        connecting.result()


def test_it_wakes_wait_connected(scripted):
    """Which returns false."""
    client = scripted.client()
    waiting = Running(client.wait_connected)
    client.close()
    assert waiting.result() is False


def test_it_ends_run_forever(scripted):
    """Which returns, without an error."""
    client = scripted.client()
    running = Running(client.run_forever)
    line = scripted.line()
    line.greet()
    assert client.wait_connected(SECONDS)
    synced(client, line)
    client.close()
    assert running.result() is None


def test_it_ends_the_pause_of_a_reconnect_and_who_waits_for_it(connected):
    """Waits for calls and for the connection end, while there is none."""
    client, line = connected(reconnect=Backoff(initial=60, maximum=60, jitter=False))
    call, lost = answered(client, line), Recorded()
    client.on(Disconnected, lost)
    line.drop()
    lost.next()
    waiting = [Running(call.wait_ended), Running(client.wait_connected)]
    client.close()
    with pytest.raises(ClientClosedError):
        waiting[0].result()
    assert waiting[1].result() is False


def test_it_ends_the_block_of_a_call(connected):
    """A thread that waits for the connection to hang up gets away."""
    client, line = connected(reconnect=Backoff(initial=60, maximum=60, jitter=False))
    call, lost, entered = answered(client, line), Recorded(), threading.Event()
    client.on(Disconnected, lost)
    line.drop()
    lost.next()

    def block():
        with call:
            entered.set()

    leaving = Running(block)
    assert entered.wait(SECONDS)
    client.close()
    with pytest.raises(NotSentError):
        leaving.result()


def test_it_is_idempotent(connected):
    """Again, and from many threads at once: nothing; one ``Disconnected``."""
    client, line = connected()
    story = []
    client.on(Disconnected, story.append)
    closing = [Running(client.close, drain=SECONDS) for _ in range(8)]
    for each in closing:
        each.result()
    client.close()
    assert [None] == [event.error for event in story]


@pytest.mark.parametrize("drain", [0, SECONDS])
def test_close_in_a_callback(connected, drain):
    """The callback goes on after it, the client is closed, and nothing hangs."""
    client, line = connected()
    done = Recorded()
    call = dialled(client, line)

    @client.on(CallAnswered)
    def stop(event):
        began = time.monotonic()
        client.close(drain=drain)
        done(time.monotonic() - began)

    line.event("call_answered", "call-1")
    assert done.next() < 5
    assert "closed" == client.state and not call.active
    assert line.closed.wait(SECONDS)


def test_close_in_two_callbacks_at_once(connected):
    """Two callbacks that both close and drain do not wait for each other."""
    client, line = connected()
    answered(client, line)
    answered(client, line, "call-2", uid="101")
    both, done = threading.Barrier(2), Recorded()

    @client.on(DtmfReceived)
    def stop(event):
        both.wait(SECONDS)
        began = time.monotonic()
        client.close(drain=SECONDS)
        done(time.monotonic() - began)

    for call_id in ("call-1", "call-2"):
        line.event("dtmf_received", call_id, digits="1")
    assert done.next(3 * SECONDS) < 5
    assert done.next(3 * SECONDS) < 5


def test_drain_waits_for_running_and_queued_callbacks(connected):
    """With time to drain, all that was queued has run when it returns."""
    client, line = connected(workers=1)
    answered(client, line)
    release, heard = threading.Event(), []

    @client.on(DtmfReceived)
    def hear(event):
        release.wait(SECONDS)
        heard.append(event.digits)

    for key in "12345":
        line.event("dtmf_received", "call-1", digits=key)
    synced(client, line)
    closing = Running(client.close, drain=SECONDS)
    release.set()
    closing.result()
    assert list("12345") == heard


def test_drain_is_bounded(connected):
    """A callback that does not end is waited for no longer than asked."""
    client, line = connected()
    answered(client, line)
    release, entered = threading.Event(), threading.Event()
    client.on(DtmfReceived, lambda event: (entered.set(), release.wait(60)))
    line.event("dtmf_received", "call-1", digits="1")
    assert entered.wait(SECONDS)
    began = time.monotonic()
    client.close(drain=0.1)
    assert time.monotonic() - began < 5
    release.set()


def test_hangup_active(cm):
    """Every call is hung up first, the way of its direction."""
    client = cm.client()
    with client:
        calls = [client.dial(**{**DIAL, "uid": str(uid)}) for uid in range(5)]
        client.close(hangup_active=True)
    assert ["endcall"] * len(calls) == [record.ended_by for record in cm.calls]


def test_hangup_active_with_a_cm_that_does_not_answer(connected):
    """It gives up soon, and closes."""
    client, line = connected()
    answered(client, line)
    offered(client, line)
    began = time.monotonic()
    client.close(hangup_active=True)
    assert time.monotonic() - began < 8
    assert "call-1" == line.receive("endcall")["callid"]
    assert line.closed.wait(SECONDS)
    assert line.nothing_came()  # a call that is only offered is not ours to end


def test_what_is_told_after_it(connected):
    """Once closed, no event of a call is told any more."""
    client, line = connected()
    answered(client, line)
    heard = Recorded()
    client.on(DtmfReceived, heard)
    client.close()
    try:
        line.event("dtmf_received", "call-1", digits="1")
    except Exception:
        pass  # the socket is gone already
    assert line.closed.wait(SECONDS)
    assert heard.empty()
