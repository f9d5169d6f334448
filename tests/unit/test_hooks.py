"""Counters and timings: what ``hooks=`` is told, and what becomes of a hook that fails."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from telephony import (
    Backoff,
    CallRinging,
    CommandRefusedError,
    CommandTimeoutError,
    Connected,
    Gap,
    InvalidArgumentError,
    NotConnectedError,
)
from telephony.hooks import METHODS, Hooks
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running


class Counted(Hooks):
    """Keeps all it is told."""

    def __init__(self):
        self.told = []
        self.at = threading.Condition()

    def _add(self, *what):
        with self.at:
            self.told.append(what)
            self.at.notify_all()

    def wait_for(self, *what):
        with self.at:
            assert self.at.wait_for(lambda: what in self.told, SECONDS), (what, self.told)

    def command_ended(self, action, end, seconds):
        assert 0 <= seconds < SECONDS
        self._add("command", action, end)

    def event_received(self, name):
        self._add("event", name)

    def callback_queued(self, length):
        self._add("queued", length)

    def callback_started(self, length, seconds):
        assert 0 <= seconds < SECONDS
        self._add("started", length)

    def connected(self, reconnected):
        self._add("connected", reconnected)

    def disconnected(self):
        self._add("disconnected")


class Failing:
    """Raises in every method; no subclass of ours."""

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(name)

        def fail(*_):
            kinds = {"event_received": SystemExit, "connected": asyncio.CancelledError}
            raise kinds.get(name, ValueError)(f"no {name}")

        return fail


def dialled(client, line):
    dialling = Running(client.dial, **DIAL)
    line.answer(line.receive("outbound"), callid="id-1")
    return dialling.result()


def test_the_ends_of_commands(scripted):
    """Each of the four, once, with the wire's word for the command."""
    hooks = Counted()
    client, line = scripted.connected(hooks=hooks, command_timeout=SECONDS)
    call = dialled(client, line)
    refused = Running(call.hangup)
    line.refuse(line.receive("endcall"), "not now")
    with pytest.raises(CommandRefusedError):
        refused.result()
    with pytest.raises(CommandTimeoutError):
        client.send_dtmf(call.call_id, "1", command_timeout=0.05)
    client.close()
    idle = scripted.client(hooks=hooks)
    with pytest.raises(NotConnectedError):
        idle.command("ping")
    with pytest.raises(InvalidArgumentError):
        idle.send_dtmf("id-1", "x")  # never became a command
    assert [
        ("outbound", "ok"),
        ("endcall", "refused"),
        ("send_dtmf", "unknown"),
        ("ping", "not_sent"),
    ] == [told[1:] for told in hooks.told if told[0] == "command"]


def test_events_and_the_queue(scripted):
    """Every event is counted, those with callbacks as they wait and as they begin."""
    hooks = Counted()
    client, line = scripted.connected(hooks=hooks, workers=1)
    busy, go = threading.Event(), threading.Event()

    @client.on(CallRinging)
    def hold(event):
        busy.set()
        assert go.wait(SECONDS)

    dialled(client, line)
    line.event("call_ringing", "id-1")
    assert busy.wait(SECONDS)
    ringing = Recorded()
    client.on(CallRinging, ringing)
    line.event("call_ringing", "id-2")
    line.event("call_ringing", "id-3")
    line.event("call_answered", "id-3")  # nobody wants it
    hooks.wait_for("event", "call_answered")
    go.set()
    ringing.next()
    ringing.next()
    client.close()
    told = [what for what in hooks.told if what[0] in ("queued", "started")]
    assert [("queued", 1), ("started", 0), ("queued", 1), ("queued", 2)] == told[:4]
    assert [("started", 1), ("started", 0)] == told[4:]
    assert 3 == hooks.told.count(("event", "call_ringing"))


def test_connections(scripted):
    """Registered, lost, registered again, closed."""
    hooks = Counted()
    client, line = scripted.connected(hooks=hooks, reconnect=Backoff(0.01, 0.02))
    gap = Recorded()
    client.on(Gap, gap)
    line.drop()
    scripted.line().greet()
    gap.next()
    client.close()
    client.close()
    expected = [("connected", False), ("disconnected",), ("connected", True), ("disconnected",)]
    assert expected == [what for what in hooks.told if what[0] in ("connected", "disconnected")]


def test_a_hook_that_fails(scripted, caplog):
    """It is logged, and neither the command nor the event nor the reader minds."""
    again = Recorded()
    client = scripted.client(hooks=Failing(), reconnect=Backoff(0.01, 0.02))
    client.on(Connected, again)
    connecting = Running(client.connect)
    line = scripted.line()
    line.greet()
    connecting.result()
    assert again.next().reconnected is False
    ringing = Recorded()
    client.on(CallRinging, ringing)
    with caplog.at_level(logging.ERROR, "telephony"):
        call = dialled(client, line)
        line.event("call_ringing", "id-1")
        assert call is ringing.next().call
        line.drop()
        scripted.line().greet()
        assert again.next().reconnected is True
    client.close()
    failed = {record.args[0] for record in caplog.records if "the hook" in record.msg}
    assert set(METHODS) == failed


@pytest.mark.parametrize("hooks", [object(), Counted, "hooks", 1, True, {"connected": print}])
def test_what_is_no_hooks(scripted, hooks):
    """An object with none of the methods, or a class in place of an object, is named."""
    with pytest.raises(InvalidArgumentError, match="hooks must be an object with any of"):
        scripted.client(hooks=hooks)


def test_some_of_the_methods(scripted):
    """The others do nothing; no base class is asked for."""

    class Few:
        ends: list[str] = []

        def command_ended(self, action, end, seconds):
            self.ends.append(end)

    client, line = scripted.connected(hooks=Few())
    dialled(client, line)
    client.close()
    assert ["ok"] == Few.ends


def test_hangups_at_the_end_are_counted(cm):
    """close(hangup_active=True) sends commands too."""
    hooks = Counted()
    client = cm.client(hooks=hooks)
    client.connect()
    client.dial(**DIAL)
    client.close(hangup_active=True)
    assert ("command", "endcall", "ok") in hooks.told


def test_what_is_meant_for_the_caller(scripted):
    """On a thread of the caller's Ctrl-C goes on, out of the command that a hook counted."""

    class Interrupted:
        def command_ended(self, action, end, seconds):
            raise KeyboardInterrupt

    client = scripted.client(hooks=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        client.command("ping")
