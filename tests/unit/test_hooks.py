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
        assert 0 <= seconds < 10
        self._add("command", action, end)

    def event_received(self, name):
        self._add("event", name)

    def callback_queued(self, length):
        self._add("queued", length)

    def callback_started(self, length, seconds):
        assert 0 <= seconds < 10
        self._add("started", length)

    def connected(self, reconnected):
        self._add("connected", reconnected)

    def disconnected(self):
        self._add("disconnected")


class Framed:
    """Keeps the frames; no subclass of ours."""

    def __init__(self):
        self.frames = []

    def frame_sent(self, frame):
        self.frames.append(("sent", frame))

    def frame_received(self, frame):
        self.frames.append(("received", frame))


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


@pytest.mark.parametrize(
    "hooks",
    [object(), Counted, "hooks", 1, True, {"connected": print}, [object()], [Counted(), None]],
)
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


def test_several_hooks(scripted):
    """Each is told, in the order given; one that fails keeps nothing from the others."""
    first, second = Counted(), Counted()
    client, line = scripted.connected(hooks=[first, Failing(), second])
    dialled(client, line)
    client.close()
    assert ("command", "outbound", "ok") in first.told
    assert [what for what in first.told if what[0] != "queued"] == [
        what for what in second.told if what[0] != "queued"
    ]


def test_no_hooks_in_a_list(scripted):
    """As None."""
    assert scripted.client(hooks=[]).options.hooks is None


def test_frames(scripted):
    """Both directions in order from the greeting on, without secrets."""
    hooks = Framed()
    client, line = scripted.connected(hooks=(hooks, Counted()))
    line.send("no JSON", "[1]")  # is told by ErrorOccurred, and here not at all
    dialled(client, line)
    client.close()
    assert [
        ("received", "connected"),
        ("sent", "register"),
        ("received", "registered"),
        ("sent", "outbound"),
        ("received", "outbound"),
    ] == [
        (way, frame.get("action") or frame.get("status") or frame.get("response"))
        for way, frame in hooks.frames
    ]
    register, dial = hooks.frames[1][1], hooks.frames[3][1]
    assert ("***", "client-1") == (register["auth_token"], register["client_id"])
    assert ("***", "***", "+18005551234") == (dial["token"], dial["sip"], dial["to"])
    assert "id-1" == hooks.frames[4][1]["data"]["callid"]


def test_a_command_is_told_before_its_response(cm):
    """However quick the answer: what is recorded can be played back."""
    hooks = Framed()
    with cm.client(hooks=hooks) as client:
        call = client.dial(**DIAL)
        pressing = [Running(call.send_dtmf, "1") for _ in range(20)]
        for each in pressing:
            each.result()
    told = []
    for _, frame in hooks.frames:
        if "response" in frame:
            assert frame["request_id"] in told
        elif "request_id" in frame:
            told.append(frame["request_id"])
    assert 21 == len(told)


def test_frames_of_the_library_itself(scripted):
    """The end of an orphan is told too, though nobody called for it."""
    hooks = Framed()
    client, line = scripted.connected(hooks=hooks)
    with pytest.raises(CommandTimeoutError):
        client.dial(**DIAL, command_timeout=0.05)
    line.answer(line.receive("outbound"), callid="id-1")
    line.receive("endcall")
    client.close()
    assert "endcall" == hooks.frames[-1][1]["action"]


def test_a_long_frame_is_not_told(scripted):
    """To look for secrets in it takes too long; what follows from it does all the same."""
    hooks = Framed()
    client, line = scripted.connected(hooks=hooks)
    ringing = Recorded()
    client.on(CallRinging, ringing)
    line.event("call_ringing", "id-1", more="x" * (1 << 16))
    ringing.next()
    client.close()
    assert "registered" == hooks.frames[-1][1]["status"]


def test_without_a_hook_for_frames_none_is_taken_apart(scripted, monkeypatch):
    """Neither where the methods are missing nor where they are the base's."""

    def taken_apart(*_):
        raise AssertionError("a frame was taken apart")

    logging.getLogger("telephony").setLevel(logging.INFO)  # set back by `no_secret_shown`
    monkeypatch.setattr("telephony.protocol.wire.masked", taken_apart)
    client, line = scripted.connected(hooks=[Counted(), Few()])
    dialled(client, line)
    client.close()


class Few:
    """Has one method."""

    def connected(self, reconnected):
        pass
