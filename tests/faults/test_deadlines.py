"""A connect ends within its time, wherever the other side stalls, trickles, floods or pings.

The promise is half a second beyond the timeout. A machine that others use may add to that
(``slack``); the stalls are endless, so a deadline that does not hold cannot pass for a slow
machine.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import tracemalloc
from typing import Any, Iterator

import pytest

from telephony import Client, ConnectError, TelephonyError
from telephony.runtime import resolve
from telephony.runtime.backoff import Backoff
from tests.faults.certificates import client_context, server_context
from tests.faults.pulse import Pulse
from tests.faults.slow_peers import SlowServer, full_listener, greet
from tests.scripted import Running
from tests.unit.runtime.transport_peers import PATIENCE, Peer, Server

#: Not less, or a machine that pauses does not get as far as where the other side stalls.
TIMEOUT = 1.5
PROMISE = 0.5
SLACK = 4.0
#: What a connect may hold on to while it lasts: a frame of 1 MiB, twice over, and the rest.
MOST_BYTES = 6 << 20

CASES = [
    ("dns", "silent"),
    ("tcp", "silent"),
    *((stage, manner)
      for stage in ("proxy", "tls", "upgrade")
      for manner in ("silent", "trickling", "flooding")),
    ("proxy", "a body without end"),
    ("upgrade", "a body without end"),
    *((stage, manner)
      for stage in ("connected", "registered")
      for manner in ("silent", "trickling", "flooding", "pinging", "a flood of pings",
                     "fragments without end")),
]
PHASES = {"connected": "register", "registered": "register"}
#: What ends by itself, before time is up: a limit is reached.
LIMITED = {("tls", "flooding"), ("proxy", "flooding"), ("upgrade", "flooding"),
           ("proxy", "a body without end"), ("upgrade", "a body without end"),
           ("connected", "fragments without end"), ("registered", "fragments without end")}


class Stall:
    """A Call Manager that is good at first, or not even then, and a client for it."""

    def __init__(self, stage: str, manner: str, stack: contextlib.ExitStack, monkeypatch: Any):
        self.stage = stage
        self.reached = threading.Event()
        self._monkeypatch = monkeypatch
        self._full = stack.enter_context(full_listener()) if stage == "tcp" else 0
        self._answer = threading.Event()  # of the name server
        stack.callback(self._answer.set)
        tls = server_context() if stage == "tls" else None
        self.server = stack.enter_context(SlowServer(stage, manner, tls))
        self.server.behaving.set()
        url = self.server.url.replace("127.0.0.1", "localhost")
        # A reconnect that is not ended by close() would go on for longer than a test waits.
        options: dict[str, Any] = {
            "ssl_context": client_context(), "connect_timeout": 2 * PATIENCE
        }
        if stage == "proxy":
            options["proxy"] = f"http://127.0.0.1:{self.server.port}"
        self.client = Client(
            url, "Basic token", "client-1", "APP", reconnect=Backoff(0.01, 0.01), **options
        )
        stack.callback(self.client.close)
        monkeypatch.setattr(resolve, "_lookup", lambda host, port: self._address(port))

    @staticmethod
    def _address(port: int) -> list[resolve.Address]:
        # localhost may have other addresses too, where nobody listens.
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def begin(self) -> None:
        """From the next connection on."""

        def look(host: str, port: int) -> list[resolve.Address]:
            self.reached.set()
            if self.stage == "dns":
                self._answer.wait(PATIENCE)
            return self._address(self._full or port)

        if self.stage in ("dns", "tcp"):
            self._monkeypatch.setattr(resolve, "_lookup", look)
        else:
            self.server.misbehave()
            self.reached = self.server.reached

    def let_go(self) -> None:
        """The name server answers after all."""
        self._answer.set()


@pytest.fixture(params=CASES, ids=lambda case: " ".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A stage, and how the other side stalls in it."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def stall(case: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stall]:
    with contextlib.ExitStack() as stack:
        yield Stall(*case, stack, monkeypatch)


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    with Pulse() as running:
        yield running


def slack(pulse: Pulse) -> float:
    """What this machine may add: each of several threads in turn may come as late as that."""
    return SLACK + 4 * pulse.late


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "telephony-reader" == thread.name]


def test_a_first_connect(case, stall, pulse, caplog):
    """It raises in time and says in which phase; its memory is bounded, its socket closed."""
    stage, manner = case
    caplog.set_level("INFO", "telephony")  # a line for each frame would be kept by pytest
    stall.begin()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        began = time.monotonic()
        with pytest.raises(ConnectError) as caught:
            stall.client.connect(timeout=TIMEOUT)
        took = time.monotonic() - began
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert took < TIMEOUT + PROMISE + slack(pulse)
    assert took >= TIMEOUT or case in LIMITED, str(caught.value)
    assert PHASES.get(stage, stage) == caught.value.phase, str(caught.value)
    if stage == "tcp":  # the phase alone could be that of connect()'s last resort
        assert "no answer in the time given" in str(caught.value)
    if manner == "fragments without end":
        assert "parts" in str(caught.value)
    assert not caught.value.permanent
    assert most < MOST_BYTES
    assert "idle" == stall.client.state
    for reader in readers():
        reader.join(PATIENCE)
    assert [] == readers()
    if stage not in ("dns", "tcp"):
        assert stall.server.gone.wait(PATIENCE), "its socket was not closed"


def test_close_during_a_reconnect(case, stall, pulse):
    """It ends within 2 s, at any stage, and no connection is made afterwards."""
    stall.client.connect()
    stall.begin()
    stall.server.peer.sock.shutdown(socket.SHUT_RDWR)
    assert stall.reached.wait(PATIENCE)
    began = time.monotonic()
    stall.client.close()
    assert time.monotonic() - began < 2 + slack(pulse)
    assert "closed" == stall.client.state
    for reader in readers():
        reader.join(slack(pulse))
    assert [] == readers()
    accepted = stall.server.accepted
    stall.let_go()
    for thread in threading.enumerate():
        if "telephony-dns" == thread.name:
            thread.join(PATIENCE)
    assert [] == readers()
    assert accepted == stall.server.accepted


# --- a server that stops reading ----------------------------------------------------------


def test_commands_to_a_server_that_stops_reading(pulse):
    """With the send buffer full each command of several threads ends in its own time."""
    stop = threading.Event()

    def deaf(peer: Peer) -> None:
        greet(peer)
        stop.wait(PATIENCE)

    def command(seconds: float) -> float:
        began = time.monotonic()
        with pytest.raises(TelephonyError):
            client.command("ask", command_timeout=seconds, text="x" * (1 << 20))
        return time.monotonic() - began - seconds

    timeouts = [0.2, 0.4, 0.6, 0.8, 0.2, 0.4, 0.6, 0.8]
    with Server(deaf, receive_buffer=4096) as server:
        client = Client(server.url, "Basic token", "client-1", "APP", reconnect=False)
        client.connect()
        running = [Running(command, seconds) for seconds in timeouts]
        late = [each.result(PATIENCE) for each in running]
        assert max(late) < PROMISE + slack(pulse)
        assert 0 == client.health().in_flight
        began = time.monotonic()
        client.close()
        assert time.monotonic() - began < 2 + slack(pulse)
        stop.set()
