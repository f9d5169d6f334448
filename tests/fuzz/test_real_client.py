"""The same horrors against a whole client, over a real socket."""

from __future__ import annotations

import contextlib
import random
import struct
import threading
from typing import Any

import pytest

from telephony import Client, Connected, Disconnected, ErrorOccurred, ProtocolError
from telephony.runtime.backoff import Backoff
from tests.faults.slow_peers import greet, serve
from tests.fuzz.mutations import Maker
from tests.scripted import SECONDS, Recorded
from tests.unit.protocol.conversation import Conversation
from tests.unit.runtime.transport_peers import (
    BINARY,
    CLOSE,
    PATIENCE,
    PING,
    TEXT,
    Gone,
    Peer,
    Server,
    frame,
)

MESSAGES = 300
QUICK = Backoff(initial=0.01, maximum=0.01)


def client_for(server: Server) -> Client:
    return Client(server.url, "Basic token", "client-1", "APP", reconnect=QUICK)


def _is_close_call(message: str | bytes) -> bool:
    """Whether it depends on who asks if this can be read: its size or its depth is at a limit."""
    if isinstance(message, bytes):
        return False
    return len(message) > 1 << 19 or 250 < message.count("[") + message.count("{") < 3000


def horrors(seed: int) -> list[str | bytes]:
    maker = Maker(random.Random(seed))
    found: list[str | bytes] = []
    while len(found) < MESSAGES:
        message = maker.message(["id-1", "id-2", ""], ["outbound_1", "ask_1"])
        if not _is_close_call(message):
            found.append(message)
    return found


def in_frames(message: str | bytes) -> bytes:
    if isinstance(message, str):
        return frame(message.encode())
    try:
        message.decode()
    except UnicodeDecodeError:
        return frame(message, TEXT)
    return frame(message, BINARY)


@pytest.mark.parametrize("seed", [1, 2])
def test_messages_that_cannot_be_read(seed):
    """Each is counted and told once, the others are not; the connection stays and works."""
    messages = horrors(seed)
    twin = Conversation()
    for message in messages:
        twin.says(message)

    def script(peer: Peer) -> None:
        greet(peer)
        for message in messages:
            peer.send(in_frames(message))
        with contextlib.suppress(Gone):
            serve(peer)

    told: list[ErrorOccurred] = []
    with Server(script) as server:
        client = client_for(server)
        client.on(ErrorOccurred, told.append)
        client.connect()
        assert 200 == client.command("sync", command_timeout=PATIENCE)["status_code"]
        health = client.health()
        client.close(drain=SECONDS)
    assert MESSAGES // 10 < twin.session.protocol_errors
    assert (0, twin.session.protocol_errors) == (health.reconnects, health.protocol_errors)
    of_protocol = [event for event in told if isinstance(event.error, ProtocolError)]
    assert health.protocol_errors == len(of_protocol)


BROKEN = {
    "masked": frame(b"{}", masked=True),
    "reserved bits": frame(b"{}", rsv=0x40),
    "an unknown opcode": frame(b"{}", 3),
    "a continuation of nothing": frame(b"{}", 0),
    "a text inside a text": frame(b"{", fin=False) + frame(b"}"),
    "a ping that is too long": frame(b"x" * 126, PING),
    "a ping in parts": frame(b"x", PING, fin=False),
    "a close code that is none": frame(struct.pack("!H", 1005), CLOSE),
    "a message beyond the limit": frame(claim=(1 << 20) + 1),
    "an absurd message": frame(claim=1 << 63),
    "a message of too many parts": frame(b"", fin=False) + frame(b"", 0, fin=False) * 1000,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_frames(kind):
    """They close the connection, are counted and told once, and the client comes back."""
    first = threading.Event()

    def script(peer: Peer) -> None:
        greet(peer)
        if not first.is_set():
            first.set()
            peer.send(BROKEN[kind])
            peer.until_gone()
        else:
            with contextlib.suppress(Gone):
                serve(peer)

    told: list[Any] = []
    lost, back = Recorded(), Recorded()
    with Server(script) as server:
        client = client_for(server)
        client.on(ErrorOccurred, told.append)
        client.on(Disconnected, lost)
        client.on(Connected, back)
        client.connect()
        reason = str(lost.next().error)
        assert not back.next().reconnected
        assert back.next().reconnected
        assert 200 == client.command("sync")["status_code"]
        health = client.health()
        client.close(drain=SECONDS)
    assert (1, 1) == (health.reconnects, health.protocol_errors)
    assert [ProtocolError] == [type(event.error) for event in told]
    assert str(told[0].error) in reason
    assert "broke the WebSocket protocol" in reason or "a message" in reason
