"""The connection's states, against a Call Manager that misbehaves on a real socket."""

from __future__ import annotations

import queue
import threading
import time

import pytest

from telephony import (
    Backoff,
    ClientClosedError,
    CommandTimeoutError,
    ConnectError,
    Connected,
    ConnectionLostError,
    ConnectionState,
    Disconnected,
    ErrorOccurred,
    Gap,
    NotConnectedError,
    ProtocolError,
    RegistrationError,
)
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running

QUICK = Backoff(initial=0.01, maximum=0.02)


@pytest.fixture
def connected(scripted):
    """Makes connected clients, and closes them."""
    clients = []

    def connected(**options):
        client, line = scripted.connected(**{"reconnect": QUICK, **options})
        clients.append(client)
        sync(client, line)  # its Connected has been told
        return client, line

    yield connected
    for client in clients:
        client.close()


def sync(client, line):
    """All that was sent before has been taken in."""
    done = Running(client.command, "sync", command_timeout=SECONDS)
    line.answer(line.receive("sync"))
    done.result()


# --- the first connection --------------------------------------------------------------------


def test_idle_until_connect(scripted):
    """Making a client touches no network."""
    client = scripted.client()
    assert ConnectionState.IDLE is client.state
    assert not client.connected
    client.close()
    assert ConnectionState.CLOSED is client.state


def test_connecting_then_connected(scripted):
    """Registered is connected, not before."""
    client = scripted.client()
    connecting = Running(client.connect)
    line = scripted.line()
    assert ConnectionState.CONNECTING is client.state
    line.send({"status": "connected", "session_id": "s-1"})
    line.receive("register")
    assert ConnectionState.CONNECTING is client.state
    assert not connecting.done
    line.send({"status": "registered"})
    connecting.result()
    assert ConnectionState.CONNECTED is client.state
    assert "s-1" == client.health().session_id
    client.close()
    assert line.closed.wait(SECONDS)


def test_two_connects_at_once_share_one_attempt(scripted):
    """And a third one, later, does nothing."""
    client = scripted.client()
    connecting = [Running(client.connect) for _ in range(3)]
    line = scripted.line()
    line.greet()
    for thread in connecting:
        thread.result()
    client.connect()
    assert line.nothing_came()
    with pytest.raises(queue.Empty):
        scripted.line(timeout=0.05)
    client.close()


def test_a_silent_cm_ends_the_handshake(scripted):
    """In ``connect_timeout``, saying which phase; connecting again is possible."""
    client = scripted.client(connect_timeout=0.2)
    connecting = Running(client.connect)
    scripted.line()
    with pytest.raises(ConnectError) as caught:
        connecting.result()
    assert "register" == caught.value.phase
    assert ConnectionState.IDLE is client.state
    again = Running(client.connect, SECONDS)
    scripted.line().greet()
    again.result()
    client.close()


def test_a_cm_that_hangs_up_in_the_handshake(scripted):
    """It is an error of the registration, at once."""
    client = scripted.client()
    connecting = Running(client.connect)
    scripted.line().drop()
    with pytest.raises(ConnectError) as caught:
        connecting.result()
    assert "register" == caught.value.phase
    client.close()


def test_refused_credentials(scripted):
    """A ``RegistrationError`` with the reason; not tried again by itself."""
    client = scripted.client(reconnect=QUICK)
    connecting = Running(client.connect)
    line = scripted.line()
    line.send({"status": "connected", "session_id": "s-1"})
    line.receive("register")
    line.send({"error": "unauthorized"})
    with pytest.raises(RegistrationError) as caught:
        connecting.result()
    assert "unauthorized" == caught.value.reason
    assert "registration failed: unauthorized" in str(caught.value)
    assert ConnectionState.IDLE is client.state
    assert line.closed.wait(SECONDS)
    client.close()


def test_closing_while_connecting(scripted):
    """Whoever connects is told, and the socket goes."""
    client = scripted.client()
    connecting = Running(client.connect)
    line = scripted.line()
    client.close()
    with pytest.raises(ClientClosedError):
        connecting.result()
    assert line.closed.wait(SECONDS)


def test_closed_is_closed(connected):
    """No connecting again, no command; closing again does nothing."""
    client, _ = connected()
    client.close()
    client.close()
    with pytest.raises(ClientClosedError):
        client.connect()
    with pytest.raises(ClientClosedError):
        client.hangup("id-1")
    assert not client.wait_connected(60)


# --- commands --------------------------------------------------------------------------------


def test_a_command_before_connecting(scripted):
    """Nothing is sent, and no call is left."""
    client = scripted.client()
    with pytest.raises(NotConnectedError, match=r"connect\(\)"):
        client.dial(**DIAL)
    assert [] == client.calls()
    client.close()


def test_no_answer_in_time(connected):
    """The error has the command's name and id; a late answer hurts nobody."""
    client, line = connected(command_timeout=0.05)
    with pytest.raises(CommandTimeoutError) as caught:
        client.unbridge("id-1")
    command = line.receive("unbridge")
    assert ("unbridge", command["request_id"]) == (caught.value.action, caught.value.request_id)
    assert 0 == client.health().in_flight
    line.answer(command)
    other = Running(client.command, "ping", command_timeout=SECONDS)
    line.answer(line.receive("ping"), more=1)
    assert 1 == other.result()["data"]["more"]


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_command_under_way_when_the_connection_goes(connected, how):
    """Its outcome is unknown, whoever ended the connection."""
    client, line = connected()
    sending = Running(client.send_dtmf, "id-1", "1")
    line.receive("send_dtmf")
    client.close() if how == "close" else line.drop()
    with pytest.raises(ConnectionLostError) as caught:
        sending.result()
    assert "send_dtmf" == caught.value.action


def test_many_threads_and_answers_out_of_order(connected):
    """Each gets its own answer."""
    client, line = connected()
    sending = [Running(client.command, "echo", value=n) for n in range(30)]
    commands = [line.receive("echo") for _ in sending]
    for command in sorted(commands, key=lambda c: -c["value"]):
        line.answer(command, value=command["value"])
    assert list(range(30)) == [thread.result()["data"]["value"] for thread in sending]


# --- the connection is lost --------------------------------------------------------------------


def test_a_lost_connection_is_made_again(connected, scripted):
    """With everything told in order, and the subscriptions of now."""
    client, line = connected(subscribe_numbers=["+1800"])
    events = Recorded()
    client.on(Connected, events)
    client.on(Disconnected, events)
    client.on(Gap, events)
    subscribing = Running(client.subscribe, ["+1900"])
    line.answer(line.receive("subscribe"))
    subscribing.result()
    line.event("call_answered", "id-1", direction="outbound")
    sync(client, line)
    line.drop()
    assert ConnectionLostError is type(events.next().error)
    register = scripted.line().greet()
    assert ["+1900"] == register["subscribe_numbers"]
    assert "client-1" == register["client_id"]
    assert events.next().reconnected
    gap = events.next()
    assert gap.seconds >= 0
    assert ["id-1"] == [call.call_id for call in gap.stale_calls]
    assert client.call("id-1").stale
    assert 1 == client.health().reconnects


def test_commands_during_an_outage(connected, scripted):
    """They are not sent, and not kept for later."""
    client, line = connected(reconnect=Backoff(initial=60, jitter=False))
    gone = Recorded()
    client.on(Disconnected, gone)
    line.drop()
    gone.next()
    assert ConnectionState.RECONNECTING is client.state
    assert client.health().last_seen_age is None
    with pytest.raises(NotConnectedError):
        client.hangup("id-1")


def test_closing_in_the_pause_of_a_reconnect(connected, scripted):
    """It ends at once, and no connection is made any more."""
    client, line = connected(reconnect=Backoff(initial=60, jitter=False))
    gone = Recorded()
    client.on(Disconnected, gone)
    line.drop()
    gone.next()
    Running(client.close).result(SECONDS)
    assert ConnectionState.CLOSED is client.state


def test_failed_attempts_are_tried_on(connected, scripted):
    """A CM that hangs up in the handshake is tried again until it does not."""
    client, line = connected()
    line.drop()
    for _ in range(3):
        scripted.line().drop()
    scripted.line().greet()
    assert client.wait_connected(SECONDS)


def test_without_reconnect(connected):
    """It is over until ``connect()`` is called again."""
    client, line = connected(reconnect=False)
    gone = Recorded()
    client.on(Disconnected, gone)
    line.drop()
    gone.next()
    assert ConnectionState.IDLE is client.state
    assert not client.wait_connected(0)


def test_refused_for_good_after_an_outage(connected, scripted):
    """It is told once in both ways, ends as idle, and may be tried again."""
    client, line = connected()
    events = Recorded()
    client.on(Disconnected, events)
    client.on(ErrorOccurred, events)
    line.drop()
    assert ConnectionLostError is type(events.next().error)
    line = scripted.line()
    line.send({"error": "unauthorized"})
    told = [events.next(), events.next()]
    assert [Disconnected, ErrorOccurred] == [type(event) for event in told]
    assert {RegistrationError} == {type(event.error) for event in told}
    assert ConnectionState.IDLE is client.state
    connecting = Running(client.connect)
    scripted.line().greet()
    connecting.result()
    assert client.connected


# --- what the CM sends ---------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["nonsense", "[]", "{}", b"\xff\xfe", '{"a":' * 50_000])
def test_what_cannot_be_read_leaves_the_connection(connected, message):
    """It is counted and told."""
    client, line = connected()
    events = Recorded()
    client.on(ErrorOccurred, events)
    line.send(message)
    assert ProtocolError is type(events.next().error)
    assert 1 == client.health().protocol_errors
    sync(client, line)


def test_a_message_too_large_ends_the_connection(connected, scripted):
    """It is counted, told, and the connection is made again."""
    client, line = connected(max_message_size=1000)
    events = Recorded()
    client.on(ErrorOccurred, events)
    line.send("x" * 2000)
    assert ProtocolError is type(events.next().error)
    scripted.line().greet()
    assert client.wait_connected(SECONDS)
    assert 1 == client.health().protocol_errors


def test_a_mistake_of_ours_does_not_end_the_reader(connected, monkeypatch, caplog):
    """A message that could not be taken in is logged and told, the next one is read."""
    client, line = connected()
    events = Recorded()
    client.on(ErrorOccurred, events)
    take = client._session.receive
    monkeypatch.setattr(
        client._session,
        "receive",
        lambda message, now: 1 / 0 if "bad" in message else take(message, now),
    )
    line.send('{"event": "bad"}')
    assert ProtocolError is type(events.next().error)
    assert "ZeroDivisionError" in caplog.text
    sync(client, line)


def test_events_right_behind_the_registration(scripted):
    """In one packet with it or before it, none is lost."""
    client = scripted.client()
    events = Recorded()
    client.on(ErrorOccurred, events)
    connecting = Running(client.connect)
    line = scripted.line()
    line.event("call_answered", "id-1")
    line.send({"status": "connected", "session_id": "s-1"})
    line.receive("register")
    line.event("call_answered", "id-2")
    line.send({"status": "registered"})
    line.event("call_answered", "id-3")
    line.send("nonsense")
    connecting.result()
    events.next()
    assert ["id-1", "id-2", "id-3"] == [call.call_id for call in client.calls()]
    client.close()


def test_health_says_when_the_cm_was_last_heard(connected):
    """Seconds, while connected."""
    client, line = connected()
    began = time.monotonic()
    age = client.health().last_seen_age
    assert age is not None and age >= 0
    client.close()
    assert client.health().last_seen_age is None
    assert age < time.monotonic() - began + SECONDS


def test_the_reader_keeps_the_time_of_a_call_whose_dial_gave_up(connected, monkeypatch):
    """It was waiting for as long as an idle connection lets it, and is told of the call."""
    monkeypatch.setattr("telephony.runtime.reader.TICK_SECONDS", 0.01)
    client, line = connected(ping_interval=100.0, ping_timeout=300.0)
    session, expired = client._session, threading.Event()
    monkeypatch.setattr(session, "expire", lambda now: expired.set())
    with pytest.raises(CommandTimeoutError):
        client.dial(**DIAL, command_timeout=0.01)
    assert expired.wait(SECONDS)
