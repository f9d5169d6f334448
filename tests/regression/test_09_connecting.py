"""Fault 9: how the Go SDK connects, connects again, and closes."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from telephony import (
    CallAnswered,
    CallIncoming,
    Client,
    ClientClosedError,
    ConnectError,
    Connected,
    ConnectionLostError,
    Disconnected,
    Gap,
    NotConnectedError,
    RegistrationError,
)
from telephony.runtime import connection
from telephony.runtime.backoff import Backoff
from tests.canary import AUTH_TOKEN
from tests.conftest import DIAL
from tests.regression.conftest import JOIN, Story, answered, dialled, offered, settled, synced
from tests.scripted import SECONDS, Recorded, Running

QUICK = Backoff(initial=0.01, maximum=0.01)


def next_line(client, scripted):
    """The client's next line, registered."""
    line = scripted.line()
    line.greet()
    assert client.wait_connected(SECONDS)
    return line


# --- the deadline -------------------------------------------------------------------------


@pytest.fixture
def deaf():
    """A server that takes TCP connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}"


def test_the_upgrade_has_a_deadline(deaf):
    """A server that never answers the upgrade is given up in time."""
    client = Client(deaf, "Basic token", "client-1", "APP", connect_timeout=0.3)
    began = time.monotonic()
    with pytest.raises(ConnectError):
        client.connect()
    assert time.monotonic() - began < 5
    assert "idle" == client.state
    client.close()


@pytest.mark.parametrize("greeted", [False, True])
def test_the_handshake_has_a_deadline(scripted, greeted):
    """A CM that never says ``connected``, or never ``registered``, is given up in time."""
    client = scripted.client(connect_timeout=2)
    connecting = Running(client.connect)
    line = scripted.line()
    if greeted:
        line.send({"status": "connected", "session_id": "s"})
        line.receive("register")
    with pytest.raises(ConnectError) as caught:
        connecting.result()
    assert "register" == caught.value.phase
    assert line.closed.wait(SECONDS), "its socket was not closed"
    client.close()


def test_chatter_does_not_prolong_the_handshake(scripted):
    """The deadline is for the whole of it, whatever events come meanwhile."""
    client = scripted.client(connect_timeout=2)
    connecting = Running(client.connect)
    line = scripted.line()
    stop = threading.Event()

    def chatter():
        while not stop.wait(0.01):
            try:
                line.event("brand_new")
            except Exception:
                return

    chattering = Running(chatter)
    with pytest.raises(ConnectError):
        connecting.result(6.5)
    stop.set()
    chattering.result()
    client.close()


def test_connect_may_be_tried_again_after_a_failure(scripted):
    """A failed connect leaves the client idle, and the next one works."""
    client = scripted.client()
    with pytest.raises(ConnectError):
        client.connect(timeout=0.2)
    scripted.line()
    connecting = Running(client.connect)
    scripted.line().greet()
    connecting.result()
    assert client.connected
    client.close()


def test_a_refused_registration(scripted):
    """It is a ``RegistrationError`` with the CM's reason."""
    client = scripted.client()
    connecting = Running(client.connect)
    line = scripted.line()
    line.send({"status": "connected", "session_id": "s"})
    line.receive("register")
    line.send({"error": "unauthorized"})
    with pytest.raises(RegistrationError, match="registration failed: unauthorized") as caught:
        connecting.result()
    assert ("register", "unauthorized") == (caught.value.phase, caught.value.reason)
    client.close()


def test_an_unexpected_status(scripted):
    """Any other status in the handshake is a refusal, and named."""
    client = scripted.client()
    connecting = Running(client.connect)
    line = scripted.line()
    line.send({"status": "connected", "session_id": "s"})
    line.receive("register")
    line.send({"status": "draining"})
    with pytest.raises(RegistrationError, match="unexpected status: draining"):
        connecting.result()
    client.close()


# --- events before registered ---------------------------------------------------------------


@pytest.mark.parametrize("early", ["before connected", "before registered"])
def test_an_event_during_the_handshake(scripted, early):
    """It does not fail the connect, and is not lost."""
    client, seen = scripted.client(), Recorded()
    client.on(CallIncoming, lambda event: seen(event) or True)
    connecting = Running(client.connect)
    line = scripted.line()
    if early == "before connected":
        line.event("call_incoming", "call-9", direction="inbound")
    line.send({"status": "connected", "session_id": "s"})
    line.receive("register")
    if early == "before registered":
        line.event("call_incoming", "call-9", direction="inbound")
    line.send({"status": "registered", "client_id": "client-1"})
    connecting.result()
    assert "call-9" == seen.next().call.call_id
    assert ["call-9"] == [call.call_id for call in client.calls()]
    client.close()


# --- twice ----------------------------------------------------------------------------------


def test_a_second_connect_does_nothing(connected, scripted):
    """One socket, one reader, every event once."""
    client, line = connected()
    story = Story(client)
    for _ in range(3):
        client.connect()
    answered(client, line)
    readers = [t for t in threading.enumerate() if t.name == "telephony-reader"]
    assert 1 == len(readers)
    settled(client, line)
    assert 1 == len(story.named("call_answered"))
    assert scripted._lines.empty()


def test_two_connects_at_once_share_one_attempt(scripted):
    """Both return when it is there; there is one connection."""
    client = scripted.client()
    connecting = [Running(client.connect) for _ in range(5)]
    line = scripted.line()
    line.greet()
    for each in connecting:
        each.result()
    synced(client, line)
    assert scripted._lines.empty()
    client.close()


def test_after_a_reconnect_events_are_not_doubled(connected, scripted):
    """The new connection takes the old one's place."""
    client, line = connected(reconnect=QUICK)
    story = Story(client)
    call = dialled(client, line)
    line.drop()
    line = next_line(client, scripted)
    client.connect()
    line.event("call_answered", "call-1")
    call.wait_answered(SECONDS)
    settled(client, line)
    assert 1 == len(story.named("call_answered"))
    assert [True] == [event.reconnected for event in story.named("connected")]


# --- close ----------------------------------------------------------------------------------


def test_connect_after_close(connected):
    """It raises; nothing is connected."""
    client, _ = connected()
    client.close()
    with pytest.raises(ClientClosedError):
        client.connect()
    assert "closed" == client.state and not client.connected


def test_close_during_the_pause_of_a_reconnect(connected, scripted):
    """The pause ends, the reader ends, and nobody connects any more."""
    client, line = connected(reconnect=Backoff(initial=60, maximum=60, jitter=False))
    lost = Recorded()
    client.on(Disconnected, lost)
    (reader,) = [t for t in threading.enumerate() if t.name == "telephony-reader"]
    line.drop()
    assert isinstance(lost.next().error, ConnectionLostError)
    assert "reconnecting" == client.state
    client.close()
    reader.join(SECONDS)
    assert not reader.is_alive()
    assert "closed" == client.state
    assert scripted._lines.empty()


@pytest.mark.parametrize("greeted", [False, True])
def test_close_during_a_reconnect(connected, scripted, greeted):
    """Closing while the new connection shakes hands leaves it unmade, and its socket closed."""
    client, line = connected(reconnect=QUICK)
    line.drop()
    line = scripted.line()
    if greeted:
        line.send({"status": "connected", "session_id": "s"})
        line.receive("register")
    client.close()
    assert line.closed.wait(SECONDS)
    assert "closed" == client.state


@pytest.mark.parametrize("how", ["drop", "close"])
def test_a_lost_socket_is_closed(connected, scripted, how):
    """However it went, our end of a lost connection is closed when the next one is there."""
    client, line = connected(reconnect=QUICK)
    old = line
    if how == "drop":
        old.drop()
    else:
        old._socket.close()
    next_line(client, scripted)
    assert old.closed.wait(SECONDS)


def test_the_socket_of_a_silent_cm_is_closed(cm):
    """A peer without a word for ``ping_timeout`` is dead: given up, closed, made again."""
    with cm.client(ping_interval=0.05, ping_timeout=1.5, reconnect=QUICK) as client:
        lost = Recorded()
        client.on(Disconnected, lost)
        cm.silence()
        assert "nothing came" in str(lost.next().error)
        cm.silence(False)
        assert client.wait_connected(SECONDS)
        assert 1 == client.health().reconnects


# --- an outage with calls -------------------------------------------------------------------


def test_calls_outlive_an_outage(connected, scripted):
    """They are stale until their next event; ``Gap`` names them; commands go on."""
    client, line = connected(reconnect=QUICK)
    gaps = Recorded()
    client.on(Gap, gaps)
    one, two = answered(client, line), dialled(client, line, "call-2", uid="101")
    line.drop()
    line = next_line(client, scripted)
    gap = gaps.next()
    assert (one, two) == gap.stale_calls and gap.seconds > 0
    assert [True, True] == [one.stale, two.stale]
    line.event("agora_bridge_start", "call-1")
    assert not one.wait_bridged(SECONDS).stale
    assert two.stale and [one, two] == client.calls()
    hanging = Running(one.hangup)
    line.answer(line.receive("endcall"))
    hanging.result()
    assert [two] == client.calls()


def test_a_call_that_ended_in_the_outage(connected, scripted):
    """A hangup nobody heard: its command is refused as not found, and the call goes."""
    client, line = connected(reconnect=QUICK)
    call = answered(client, line)
    line.drop()
    line = next_line(client, scripted)
    hanging = Running(call.hangup)
    line.refuse(line.receive("endcall"), "callid not found")
    with pytest.raises(Exception, match="not found"):
        hanging.result()
    assert [] == client.calls()


def test_a_stale_call_goes_in_the_end(connected, scripted):
    """After ``stale_timeout`` of silence it is tracked no more; one that speaks stays."""
    client, line = connected(reconnect=QUICK, stale_timeout=3)
    one, two = answered(client, line), answered(client, line, "call-2", uid="101")
    line.drop()
    line = next_line(client, scripted)
    line.event("dtmf_received", "call-2", digits="1")
    assert not one.wait_for(lambda info: not info.active, SECONDS).active
    assert [two] == client.calls() and not two.stale


def test_a_held_call_goes_after_an_outage_all_the_same(connected, scripted, monkeypatch):
    """An unclaimed incoming call's 60 s (here less) run on."""
    monkeypatch.setattr("telephony.protocol.table.INCOMING_SECONDS", 0.5)
    client, line = connected(reconnect=QUICK)
    call = offered(client, line)
    line.drop()
    next_line(client, scripted)
    assert not call.wait_for(lambda info: not info.active, SECONDS).active
    assert [] == client.calls()


def test_commands_during_an_outage(connected, scripted):
    """Those under way have an unknown outcome; new ones are not sent."""
    client, line = connected(reconnect=Backoff(initial=60, maximum=60))
    lost = Recorded()
    client.on(Disconnected, lost)
    asking = Running(client.command, "ask")
    line.receive("ask")
    line.drop()
    with pytest.raises(ConnectionLostError) as caught:
        asking.result()
    assert "ask" == caught.value.action
    lost.next()
    with pytest.raises(NotConnectedError):
        client.command("ask")
    assert 0 == client.health().in_flight


def test_calls_go_on_through_an_outage_of_the_sandbox(cm):
    """The same ``client_id`` gets its calls' events again; they can be hung up."""
    with cm.client(reconnect=QUICK) as client:
        calls = [client.dial(**{**DIAL, "uid": str(uid)}) for uid in range(5)]
        for call in calls:
            call.wait_bridged(SECONDS)
        gaps = Recorded()
        client.on(Gap, gaps)
        cm.drop_connections()
        assert set(calls) == set(gaps.next().stale_calls)
        for call in calls[:-1]:
            call.hangup()
            assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause
        cm.peer(calls[-1]).hang_up("NORMAL_CLEARING")
        calls[-1].wait_ended(SECONDS)
        assert [] == client.calls()


def test_leaving_the_block_waits_for_the_connection(connected, scripted):
    """During an outage the hangup waits until it can be sent."""
    client, line = connected(reconnect=QUICK)
    call = answered(client, line)
    line.drop()
    line = scripted.line()

    def block():
        with call:
            pass

    leaving = Running(block)
    line.greet()
    line.answer(line.receive("endcall"))
    line.event("call_hangup", "call-1")
    leaving.result()
    assert [] == client.calls()


def test_growing_pauses_until_the_cm_is_back(cm):
    """The client comes back by itself when the CM does, on the same address."""
    with cm.client(reconnect=QUICK) as client:
        back, lost = Recorded(), Recorded()
        client.on(Connected, back)
        client.on(Disconnected, lost)
        cm.stop()
        lost.next()
        assert not client.wait_connected(0.05)
        cm.start()
        assert client.wait_connected(SECONDS)
        assert back.next().reconnected


def test_accept_of_a_call_offered_before_the_outage(connected, scripted):
    """A call that was offered can still be accepted over the new connection."""
    client, line = connected(reconnect=QUICK)
    call, seen = offered(client, line), Recorded()
    client.on(CallAnswered, seen)
    line.drop()
    line = next_line(client, scripted)
    accepting = Running(call.accept, **JOIN)
    line.answer(line.receive("accept"))
    accepting.result()
    line.event("call_answered", "call-9")
    assert call is seen.next().call


# --- wait_connected --------------------------------------------------------------------------


def test_wait_connected_from_any_state(scripted):
    """It waits while idle too, returns whether it is, and false when closed."""
    client = scripted.client()
    assert not client.wait_connected(0)
    waiting = Running(client.wait_connected, SECONDS)
    connecting = Running(client.connect)
    scripted.line().greet()
    connecting.result()
    assert waiting.result() is True
    assert client.wait_connected(0)
    client.close()
    assert client.wait_connected(None) is False


def test_the_step_at_which_the_time_was_up(monkeypatch):
    """It is told even where the one who waits gives up before the reader does."""
    monkeypatch.setattr(connection, "GRACE_SECONDS", -19.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"ws://127.0.0.1:{silent.getsockname()[1]}", AUTH_TOKEN, None, "APP")
        with pytest.raises(ConnectError, match="within 20 s") as caught:
            client.connect(timeout=20)  # and the one who waits: 1 s
        assert "upgrade" == caught.value.phase
        client.close()
