"""Call Managers that go along up to a point, and then stall, trickle, flood or ping.

Raw sockets, one thread a connection, frames made by hand (see ``transport_peers``).
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from typing import Any, Iterator

from tests.unit.runtime.transport_peers import CLOSE, PING, TEXT, Gone, Peer, Server, frame

CONNECTED = {"status": "connected", "session_id": "session-1"}
REGISTERED = {"status": "registered", "client_id": "client-1"}


def say(*values: dict[str, Any]) -> bytes:
    """Objects as text frames."""
    return b"".join(frame(json.dumps(value).encode()) for value in values)


def heard(peer: Peer) -> dict[str, Any] | None:
    """The client's next command; None when it says goodbye."""
    while True:
        opcode, payload = peer.frame()
        if opcode == CLOSE:
            return None
        if opcode == TEXT:
            command: dict[str, Any] = json.loads(payload)
            return command


def greet(peer: Peer) -> None:
    """Upgrade and register the client."""
    peer.upgrade(say(CONNECTED))
    heard(peer)
    peer.send(say(REGISTERED))


def answer(command: dict[str, Any], **data: Any) -> bytes:
    """The frame that says yes to *command*."""
    return say({
        "response": command["action"],
        "status_code": 200,
        "data": {"success": True, **data},
        "request_id": command["request_id"],
    })


def serve(peer: Peer) -> None:
    """Say yes to every command, until the client goes."""
    while command := heard(peer):
        peer.send(answer(command))


# What each stage of a connect waits for: how it begins, and what can go on for ever.
_HEADERS = b"A: " + b"x" * 1000 + b"\r\n"
_RECORD = b"\x16\x03\x03\x3e\x80\x02\x00\x3e\x7c\x03\x03"  # a handshake record of 16,000 bytes
_LONG_RECORDS = b"\x16\x03\x03\x40\x00\x02\xff\xff\xff\x03\x03" + b"\0" * 16378
_EVENTS = say({"event": "brand_new", "callid": ""}) * 200
_FRAGMENTS = frame(b"", 0, fin=False) * 5000

TRICKLES = {
    "proxy": (b"HTTP/1.1 200 OK\r\n", _HEADERS),
    "tls": (_RECORD, b"\0" * 15989),
    "upgrade": (b"HTTP/1.1 101 Switching Protocols\r\n", _HEADERS),
    "connected": (frame(claim=1 << 20), b" " * 10_000),
    "registered": (frame(claim=1 << 20), b" " * 10_000),
}
FLOODS = {
    "proxy": (b"HTTP/1.1 200 OK\r\n", _HEADERS * 50),
    "tls": (b"", _LONG_RECORDS),
    "upgrade": (b"HTTP/1.1 101 Switching Protocols\r\n", _HEADERS * 50),
    "connected": (b"", _EVENTS),
    "registered": (b"", _EVENTS),
}


class SlowServer(Server):  # type: ignore[misc]
    """Goes along until ``stage``, then misbehaves in its ``manner``.

    With ``behaving`` set it is a good Call Manager (and proxy); ``accepted`` counts
    connections, ``reached`` is set when the misbehaving begins, ``gone`` when its client left.
    """

    def __init__(self, stage: str, manner: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._serve, tls)
        self.stage = stage
        self.manner = manner
        self.proxied = stage == "proxy"
        self.good_tls = tls
        self.behaving = threading.Event()
        self.reached = threading.Event()
        self.gone = threading.Event()
        self.accepted = 0

    def misbehave(self) -> None:
        """From the next connection on."""
        self.behaving.clear()
        if self.stage == "tls":
            self.tls = None  # the client's first bytes are for the script

    def _serve(self, peer: Peer) -> None:
        self.accepted += 1
        try:
            self._go_along(peer)
        finally:
            if self.reached.is_set():
                self.gone.set()

    def _go_along(self, peer: Peer) -> None:
        bad = None if self.behaving.is_set() else self.stage
        if self.proxied:
            peer.head()
            if bad == "proxy":
                return self._stall(peer)
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        if bad == "tls":
            peer.read(1)
            return self._stall(peer)
        peer.request = peer.head()
        if bad == "upgrade":
            return self._stall(peer)
        peer.send(peer.accept_response())
        if bad == "connected":
            return self._stall(peer)
        peer.send(say(CONNECTED))
        heard(peer)
        if bad == "registered":
            return self._stall(peer)
        self.peer = peer
        peer.send(say(REGISTERED))
        with contextlib.suppress(Gone):
            serve(peer)

    def _stall(self, peer: Peer) -> None:
        self.reached.set()
        if self.manner == "silent":
            peer.until_gone()
        elif self.manner == "trickling":
            start, more = TRICKLES[self.stage]
            peer.send(start)
            peer.trickle(more * 20, every=0.005)
        elif self.manner == "pinging":
            while not self.stopping.wait(0.005):
                peer.send(frame(b"still there", PING))
        else:
            start, more = FLOODS[self.stage]
            if self.manner == "a body without end":
                start, more = b"HTTP/1.1 500 Failed\r\n\r\n", _HEADERS * 50
            elif self.manner == "fragments without end":
                start, more = frame(b"x", fin=False), _FRAGMENTS
            elif self.manner == "a flood of pings":
                start, more = b"", frame(b"", PING) * 30_000
            peer.send(start)
            while not self.stopping.is_set():
                peer.send(more)


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue of connections is full: a connect hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield port
