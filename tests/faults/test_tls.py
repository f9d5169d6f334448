"""TLS: one object, a reader and two writers; and every certificate that must be refused.

What a reader and two writers do to a TLS socket can be seen on websocket-client's own::

    TELEPHONY_TEST_SOCKET=websocket-client python -m pytest -n0 \\
        tests/faults/test_tls.py -k many_connections

runs the first test over ``websocket.create_connection()`` instead of the library's transport,
and fails. Three runs with Python 3.11.7 and OpenSSL 3.0.19 on a machine with two
cores lost 1, 13 and 4 of 60 connections over TLS ("Connection to remote host was lost"), and
none over plain TCP; with the library's transport not one was lost.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
import warnings
from typing import Any, Callable, Iterator

import pytest
import websocket

from telephony import Client, ConnectError, Disconnected, ErrorOccurred
from telephony.runtime.backoff import Backoff
from telephony.runtime.deadline import Deadline
from telephony.runtime.transport import Transport, TransportOptions
from tests.faults.certificates import (
    asking_server_context,
    client_context,
    named_client_context,
    old_server_context,
    server_context,
)
from tests.faults.slow_peers import answer, greet, heard, say
from tests.scripted import Recorded, Running
from tests.unit.runtime.transport_peers import CLOSE, PATIENCE, TEXT, Gone, Peer, Server, frame

CONNECTIONS = 60
MESSAGES = 200  # short ones: the more often two threads meet in OpenSSL, the better
TEXTS = [f"{number}:" + "x" * (number % 100) for number in range(MESSAGES)]


# --- a reader and two writers ------------------------------------------------------------


class OurSocket:
    """The transport under test."""

    def __init__(self, url: str) -> None:
        self._transport = Transport(url, TransportOptions(ssl_context=client_context()))
        self._transport.open(Deadline(PATIENCE))
        self._messages: list[Any] = []

    def send(self, text: str) -> None:
        self._transport.send(text, Deadline(PATIENCE))

    def receive(self) -> Any:
        deadline = Deadline(PATIENCE)
        while not self._messages:
            assert not deadline.expired, "nothing came"
            self._messages = self._transport.receive(deadline.remaining())
        return self._messages.pop(0)

    def close(self) -> None:
        self._transport.close(1)


class TheirSocket:
    """websocket-client's own, as a user of it would have it."""

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(
            url, timeout=3, sslopt={"context": client_context()}
        )

    def send(self, text: str) -> None:
        self._socket.send(text)

    def receive(self) -> Any:
        return self._socket.recv()

    def close(self) -> None:
        if self._socket.sock is not None:
            with contextlib.suppress(OSError):
                self._socket.sock.shutdown(socket.SHUT_RDWR)  # or a reader would wait on
        self._socket.shutdown()


Socket = TheirSocket if os.environ.get("TELEPHONY_TEST_SOCKET") == "websocket-client" else OurSocket


def echo(peer: Peer) -> None:
    """Send every text back, until the client closes."""
    peer.upgrade()
    with contextlib.suppress(Gone):
        while True:
            opcode, payload = peer.frame()
            if opcode == CLOSE:
                return
            if opcode == TEXT:
                peer.send(frame(payload))


def exchange(url: str) -> None:
    """One connection: two threads send, one reads all of it back."""
    sock = Socket(url)
    try:
        reader = Running(lambda: [sock.receive() for _ in range(2 * MESSAGES)])
        writers = [Running(lambda: [sock.send(text) for text in TEXTS]) for _ in range(2)]
        received = reader.result(PATIENCE)
        for writer in writers:
            writer.result(PATIENCE)
    finally:
        sock.close()
    assert sorted(TEXTS * 2) == sorted(received)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_reader_and_two_writers_over_many_connections(scheme):
    """60 short connections, one reader and two writers each: not one is lost."""
    lost = {}
    with Server(echo, server_context() if scheme == "wss" else None) as server:
        for number in range(CONNECTIONS):
            try:
                exchange(server.url)
            except Exception as error:
                lost[number] = repr(error)
    assert {} == lost, f"{len(lost)} of {CONNECTIONS} connections were lost"


COMMANDS = 10


def talkative(peer: Peer) -> None:
    """Register; then with each answer send three events of one call."""
    greet(peer)
    peer.send(say({"event": "call_answered", "callid": "c-1", "direction": "inbound"}))
    while command := heard(peer):
        digits = say(*({"event": "dtmf_received", "callid": "c-1", "digits": d} for d in "123"))
        peer.send(digits + answer(command))


@pytest.fixture
def client_for() -> Iterator[Callable[..., Client]]:
    """client_for(server) makes clients; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(server: Server, **options: Any) -> Client:
            options.setdefault("ssl_context", client_context())
            client = Client(server.url, "Basic token", "client-1", "APP", **options)
            stack.callback(client.close)
            return client

        yield make


def test_a_whole_client_over_many_connections(client_for):
    """60 clients over TLS: events come in while two threads send commands; none is lost."""
    with Server(talkative, server_context()) as server:
        for _ in range(CONNECTIONS):
            with client_for(server) as client:
                def ask(client=client):
                    return [client.command("ask", text="x" * 500) for _ in range(COMMANDS)]

                answers = [each.result(PATIENCE) for each in (Running(ask), Running(ask))]
                assert [COMMANDS, COMMANDS] == [len(each) for each in answers]
                (call,) = client.calls()
                assert "123" * 2 * COMMANDS == call.collect_digits(timeout=0)
                health = client.health()
                assert (0, 0, 0) == (health.in_flight, health.reconnects, health.protocol_errors)


# --- what is refused ---------------------------------------------------------------------

BAD_CERTIFICATES = {
    "wrong host": "IP address mismatch",
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "unknown authority": "unable to get local issuer certificate",
    "self-signed": "self.signed certificate",
}


@pytest.fixture(params=BAD_CERTIFICATES)
def bad(request) -> tuple[str, str]:
    """A kind of bad certificate, and how OpenSSL puts it."""
    return request.param, BAD_CERTIFICATES[request.param]


def test_a_bad_certificate(bad, client_for):
    """It is refused for good, by its reason, and not a byte of the request was sent."""
    kind, reason = bad
    with Server(greet, server_context(kind)) as server:
        client = client_for(server)
        with pytest.raises(ConnectError, match=f"certificate is not trusted: .*{reason}") as caught:
            client.connect()
        assert ("tls", True) == (caught.value.phase, caught.value.permanent)
        assert "127.0.0.1" in str(caught.value)
        assert "idle" == client.state
    assert [] == server.results, "the server got through its handshake"


def plain_http(peer: Peer) -> None:
    peer.read(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nspeak plainly")


def test_plain_http_on_the_port(client_for):
    """A server that knows no TLS is said to, and may be put right."""
    with Server(plain_http) as server:
        server.scheme = "wss"
        client = client_for(server)
        with pytest.raises(ConnectError, match="TLS failed") as caught:
            client.connect()
    assert ("tls", False) == (caught.value.phase, caught.value.permanent)


def test_a_server_of_the_past(client_for):
    """TLS 1.1 is not spoken, and it is said that it is the version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is deprecated: that is the point
        context = old_server_context()
    with Server(greet, context) as server:
        client = client_for(server)
        with pytest.raises(ConnectError, match="(?i)version|protocol") as caught:
            client.connect()
    assert ("tls", False) == (caught.value.phase, caught.value.permanent)


def test_a_bad_certificate_after_an_outage(bad, client_for):
    """The server comes back with it: the client stops for good, and says so by both events."""
    kind, reason = bad
    go = threading.Event()

    def once(peer: Peer) -> None:
        greet(peer)
        go.wait(PATIENCE)

    with Server(once, server_context()) as server:
        client = client_for(server, reconnect=Backoff(initial=0.01, maximum=0.01))
        lost, errors = Recorded(), Recorded()
        client.on(Disconnected, lost)
        client.on(ErrorOccurred, errors)
        client.connect()
        (reader,) = [t for t in threading.enumerate() if t.name == "telephony-reader"]
        server.tls = server_context(kind)
        go.set()
        lost.next()  # of the outage
        for told in (lost.next().error, errors.next().error):
            assert isinstance(told, ConnectError)
            assert ("tls", True) == (told.phase, told.permanent)
            assert re.search(reason, str(told))
        reader.join(PATIENCE)
        assert not reader.is_alive(), "it goes on connecting"
        assert "idle" == client.state
        server.tls = server_context()  # put right, and asked to: it works again
        go.clear()  # this connection stays
        client.connect()
        assert client.connected
        go.set()


# --- contexts of the user's own, and redirects -------------------------------------------


def test_a_client_certificate(client_for):
    """A context of the user's own shows the server who we are."""
    seen = []

    def named(peer: Peer) -> None:
        seen.append(peer.sock.getpeercert()["subjectAltName"])
        talkative(peer)

    with Server(named, asking_server_context()) as server:
        with client_for(server, ssl_context=named_client_context()) as client:
            assert 200 == client.command("ask")["status_code"]
    assert [(("email", "client@example.org"),)] == seen


def test_without_the_client_certificate_wanted(client_for):
    """The server's refusal is told as what it is."""
    # With TLS 1.3 it comes after the handshake, and may be lost with the connection.
    with Server(talkative, asking_server_context(ssl.TLSVersion.TLSv1_2)) as server:
        with pytest.raises(ConnectError, match="TLS failed .*ALERT") as caught:
            client_for(server).connect()
    assert ("tls", False) == (caught.value.phase, caught.value.permanent)


def test_a_redirect_is_not_followed(client_for):
    """It says so, and neither the place it names nor the server sees a second request."""
    requests = []

    def redirect(peer: Peer) -> None:
        requests.append(peer.head())
        location = f"Location: {elsewhere.url}\r\nContent-Length: 0\r\n"
        peer.send(f"HTTP/1.1 302 Found\r\n{location}\r\n".encode())
        peer.until_gone()

    with Server(talkative, server_context()) as elsewhere:
        with Server(redirect, server_context()) as server:
            client = client_for(server)
            with pytest.raises(ConnectError, match="302 .redirects are not followed.") as caught:
                client.connect()
            assert ("upgrade", 302) == (caught.value.phase, caught.value.status_code)
        assert not elsewhere.connected.is_set()
    assert 1 == len(requests)
