"""What a client does about a network that fails under it: notice, come back, and say so."""

from __future__ import annotations

import threading
import time

import pytest

from telephony import (
    CallAnswered,
    CallIncoming,
    Client,
    CommandTimeoutError,
    Connected,
    ConnectionLostError,
    ConnectionState,
    Disconnected,
    DtmfReceived,
    Gap,
    NotConnectedError,
    UnknownEvent,
)
from telephony.runtime.backoff import Backoff
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.faults.proxy import DOWN, FIN, RST, UP, Proxy
from tests.scripted import Recorded

SECONDS = 20.0
#: What a busy machine may add to a promise; without the promise it would be for ever.
SLACK = 0.5 + 5.0
DID = "+18005550001"


@pytest.fixture
def cm():
    with Sandbox(time_scale=50, lookup_hold=250, cm_hold=500, ping_interval=3600,
                 ping_timeout=7200) as sandbox:  # fmt: skip
        yield sandbox


@pytest.fixture
def proxy(cm):
    with Proxy(cm.port) as between:
        yield between


@pytest.fixture
def client_of(cm, proxy):
    """Makes clients that connect through the proxy, and closes them."""
    made = []

    def make(**options) -> Client:
        options.setdefault("reconnect", Backoff(initial=0.01, maximum=0.05))
        client = Client(proxy.url, cm.auth_token, f"client-{len(made)}", cm.app_id, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def recorded(client: Client, kind: type) -> Recorded:
    return client.on(kind, Recorded())


@pytest.mark.parametrize("direction", ["both", UP, DOWN])
def test_a_dead_peer_is_noticed(proxy, client_of, direction):
    """Nothing comes any more, and nothing says so: within ping_timeout that is a loss."""
    client = client_of(ping_interval=0.1, ping_timeout=3.0, command_timeout=SECONDS)
    disconnected, connected = recorded(client, Disconnected), recorded(client, Connected)
    client.connect()
    assert not connected.next().reconnected
    began = time.monotonic()
    if direction == "both":
        proxy.blackhole()
    else:
        proxy.hold(direction)
    with pytest.raises(ConnectionLostError):  # and whoever waits for an answer hears of it
        client.command("sync")
    assert isinstance(disconnected.next().error, ConnectionLostError)
    assert time.monotonic() - began < 3.0 + SLACK
    assert ConnectionState.RECONNECTING == client.state
    proxy.heal()
    assert connected.next().reconnected


def test_any_traffic_is_life(cm, client_of):
    """With pings that nobody answers in time, a word now and then keeps the connection."""
    client = client_of(ping_interval=3600, ping_timeout=1.5)
    disconnected, words = recorded(client, Disconnected), recorded(client, UnknownEvent)
    client.connect()
    began, pace = time.monotonic(), threading.Event()
    while time.monotonic() - began < 2.2:
        cm.send({"event": "word"})
        words.next()
        assert client.health().last_seen_age < 1.5
        assert not pace.wait(0.1)
    assert disconnected.empty()
    assert 0 == client.health().reconnects
    assert "nothing came" in str(disconnected.next().error)  # until the words end


def test_bytes_are_life_before_they_are_a_message(cm, proxy, client_of):
    """A message that takes longer than ping_timeout to come through is no silence."""
    client = client_of(ping_interval=3600, ping_timeout=1.5)
    disconnected, words = recorded(client, Disconnected), recorded(client, UnknownEvent)
    client.connect()
    proxy.mark()
    proxy.hold(DOWN)
    proxy.slice(DOWN, 1)
    cm.send({"event": "word"})
    began, passed, pace = time.monotonic(), 0, threading.Event()
    while time.monotonic() - began < 2.2 or passed <= 5:
        passed += proxy.trickle(DOWN)
        assert not pace.wait(0.2)
    assert 5 < passed < len('{"event":"word"}')
    assert disconnected.empty() and words.empty()
    proxy.heal()
    assert "word" == words.next().name
    assert 0 == client.health().reconnects


@pytest.mark.parametrize("how", [FIN, RST])
def test_an_outage_from_end_to_end(cm, proxy, client_of, how):
    """Disconnected, Connected, Gap; subscriptions are there again, and so are the calls."""
    client = client_of(subscribe_numbers=["+18005550009"])
    told = Recorded()
    for kind in (Connected, Disconnected, Gap):
        client.on(kind, told)
    incoming, digits = recorded(client, CallIncoming), recorded(client, DtmfReceived)
    client.connect()
    assert not told.next().reconnected
    client.subscribe([DID])
    lasting = client.dial(**DIAL)
    ending = client.dial(**{**DIAL, "uid": "101"})
    for call in (lasting, ending):
        call.wait_bridged(SECONDS)
    proxy.refuse()
    proxy.end(how)
    lost = told.next()
    assert ("disconnected", True) == (lost.name, isinstance(lost.error, ConnectionLostError))
    assert (True, True) == (lasting.stale, ending.stale)
    with pytest.raises(NotConnectedError):
        client.send_dtmf(lasting, "1")
    cm.peer(ending).hang_up()
    proxy.refuse(False)
    again = told.next()
    assert ("connected", True) == (again.name, again.reconnected)
    gap = told.next()
    assert "gap" == gap.name and gap.seconds > 0
    assert {lasting, ending} == set(gap.stale_calls)
    assert {lasting, ending} == set(client.calls())
    registered = [frame for frame in cm.frames if frame["action"] == "register"]
    assert [["+18005550009"], [DID]] == [frame["subscribe_numbers"] for frame in registered]
    cm.peer(lasting).press("5")
    assert "5" == digits.next().digits
    assert (False, True) == (lasting.stale, ending.stale)
    cm.incoming(to=DID, from_="+15550000001")
    assert DID == incoming.next().info.to
    lasting.hangup()
    assert "NORMAL_CLEARING" == lasting.wait_ended(SECONDS).hangup_cause
    assert told.empty()


def test_outages_one_after_another(cm, proxy, client_of):
    """Ten times lost and ten times back; each is told, and the call is the same in the end."""
    client = client_of()
    lost, back, gaps = (recorded(client, kind) for kind in (Disconnected, Connected, Gap))
    client.connect()
    back.next()
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    for number in range(10):
        proxy.end(RST if number % 2 else FIN)
        assert isinstance(lost.next().error, ConnectionLostError)
        assert back.next().reconnected
        assert (call,) == gaps.next().stale_calls
        cm.peer(call).press("1")
        assert "1" == call.collect_digits(max_digits=1, timeout=SECONDS)
        assert not call.stale
    assert 10 == client.health().reconnects
    assert [call] == client.calls()
    assert [lost.empty(), back.empty(), gaps.empty()] == [True] * 3
    call.hangup()


def test_attempts_that_reach_nobody(proxy, client_of):
    """A network that takes connections and swallows them: each attempt ends, the next is made."""
    client = client_of(connect_timeout=0.3)
    back = recorded(client, Connected)
    client.connect(SECONDS)
    back.next()
    proxy.blackhole()
    proxy.end(RST)
    assert proxy.wait_accepted(4, SECONDS)
    assert ConnectionState.RECONNECTING == client.state
    for link in proxy.links[1:3]:  # given up, before the next was begun
        assert link.closed.wait(SECONDS)
    proxy.heal()
    assert back.next().reconnected


def test_byte_by_byte(cm, proxy, client_of):
    """Over a network that passes single bytes all is as ever."""
    proxy.slice(UP, 1)
    proxy.slice(DOWN, 1)
    client = client_of()
    answered, digits = recorded(client, CallAnswered), recorded(client, DtmfReceived)
    client.connect()
    call = client.dial(**DIAL)
    assert call is answered.next().call
    call.wait_bridged(SECONDS)
    call.send_dtmf("12")
    assert ("12", True) == ((echo := digits.next()).digits, echo.echo)
    cm.peer(call).press("345")
    assert "345" == call.collect_digits(max_digits=3, timeout=SECONDS)
    call.hangup()
    assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause
    assert (0, 0) == (client.health().reconnects, client.health().protocol_errors)


def test_a_half_closed_connection(proxy, client_of):
    """The CM's side ends while ours could go on: that is a loss, noticed at once."""
    client = client_of(ping_interval=3600, ping_timeout=7200)
    lost, back = recorded(client, Disconnected), recorded(client, Connected)
    client.connect()
    back.next()
    proxy.half_close(DOWN)
    assert isinstance(lost.next().error, ConnectionLostError)
    assert back.next().reconnected


@pytest.mark.parametrize("way", ["refused", "swallowed"])
def test_closed_in_an_outage(proxy, client_of, way):
    """Closed between two attempts, or in one, it makes no connection any more."""
    client = client_of(connect_timeout=SECONDS)
    lost = recorded(client, Disconnected)
    client.connect()
    if way == "refused":
        proxy.refuse()
    else:
        proxy.blackhole()
    proxy.end(RST)
    assert isinstance(lost.next().error, ConnectionLostError)
    assert way == "refused" or proxy.wait_accepted(2, SECONDS)
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 2.0 + SLACK
    accepted = proxy.accepted
    proxy.heal()
    assert not proxy.wait_accepted(accepted + 1, 0.3)
    assert 0 == proxy.open_links


def test_an_answer_that_never_comes(cm, client_of):
    """On a connection that lives, a command waits for its own timeout and no longer."""
    client = client_of(ping_interval=0.1, ping_timeout=60)
    client.connect()
    cm.delay(3600, "sync")
    began = time.monotonic()
    with pytest.raises(CommandTimeoutError):
        client.command("sync", command_timeout=0.3)
    assert time.monotonic() - began < 0.3 + SLACK
    assert (True, 0) == (client.connected, client.health().in_flight)
