"""Fault 10: in the Go SDK an unauthorized re-registration is tried for ever."""

from __future__ import annotations

import threading

import pytest

from telephony import (
    ClientClosedError,
    Connected,
    Disconnected,
    ErrorOccurred,
    NotConnectedError,
    RegistrationError,
)
from telephony.runtime.backoff import Backoff
from tests.regression.conftest import answered, synced
from tests.scripted import SECONDS, Recorded, Running

QUICK = Backoff(initial=0.01, maximum=0.01)


def refused_again(client, scripted, line):
    """Drop the line and refuse the registration on the next; returns when the reader ended."""
    (reader,) = [t for t in threading.enumerate() if t.name == "telephony-reader"]
    line.drop()
    line = scripted.line()
    line.send({"status": "connected", "session_id": "session-2"})
    line.receive("register")
    line.send({"error": "unauthorized"})
    reader.join(SECONDS)
    assert not reader.is_alive()
    assert line.closed.wait(SECONDS)


def test_it_is_tried_once(connected, scripted):
    """Refused for good: idle, told by both events, and never tried again."""
    errors, lost = Recorded(), Recorded()
    client, line = connected(reconnect=QUICK)
    client.on(ErrorOccurred, errors)
    client.on(Disconnected, lost)
    refused_again(client, scripted, line)
    assert "idle" == client.state
    lost.next()  # of the drop
    assert RegistrationError is type(lost.next().error)
    assert "unauthorized" == errors.next().error.reason
    assert scripted._lines.empty()
    with pytest.raises(NotConnectedError):
        client.command("ask")


def test_connect_may_be_tried_again(connected, scripted):
    """Once the credentials are good again, ``connect()`` gives a connection."""
    back = Recorded()
    client, line = connected(reconnect=QUICK)
    refused_again(client, scripted, line)
    client.on(Connected, back)
    connecting = Running(client.connect)
    line = scripted.line()
    line.greet()
    connecting.result()
    synced(client, line)
    assert client.connected
    assert "session-1" == back.next().session_id


def test_run_forever_raises_it(scripted):
    """A service ends with the error instead of idling."""
    client = scripted.client(reconnect=QUICK)
    running = Running(client.run_forever)
    line = scripted.line()
    line.greet()
    assert client.wait_connected(SECONDS)
    refused_again(client, scripted, line)
    with pytest.raises(RegistrationError):
        running.result()
    assert "closed" == client.state


def test_on_the_sandbox(cm):
    """The same on the sandbox, whose next registration is refused."""
    errors = Recorded()
    with cm.client(reconnect=QUICK) as client:
        client.on(ErrorOccurred, errors)
        cm.refuse("unauthorized", action="register")
        cm.drop_connections()
        assert "unauthorized" == errors.next().error.reason
        registrations = [f for f in cm.frames if "register" == f["action"]]
        assert 2 == len(registrations)
        client.connect()
        assert client.connected


def test_waits_do_not_hang_when_it_is_over(connected, scripted):
    """A call's waits still end, by close, after the connection was given up."""
    client, line = connected(reconnect=QUICK)
    call = answered(client, line)
    refused_again(client, scripted, line)
    waiting = Running(call.wait_ended, None)
    client.close()
    with pytest.raises(ClientClosedError):
        waiting.result()
