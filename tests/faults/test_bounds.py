"""Promise 10: memory is bounded whatever the server sends.

The tables are counted after far more was sent than they may hold; where it is bytes that
matter, ``tracemalloc`` says how many there are.
"""

from __future__ import annotations

import contextlib
import json
import threading
import tracemalloc
from typing import Callable, Iterator

import pytest

from telephony import Client, CommandRefusedError, DtmfReceived, UnknownEvent
from telephony.protocol.calls import Place
from telephony.protocol.commands import Accept
from telephony.protocol.routes import LAST_WORDS_MOST, ROUTES_MOST
from telephony.protocol.session import Answer
from telephony.protocol.table import REMEMBERED_MOST
from telephony.waits import DIGITS_MOST
from tests.faults.slow_peers import greet, serve
from tests.scripted import SECONDS, Recorded
from tests.unit.protocol.conversation import Conversation
from tests.unit.runtime.transport_peers import PATIENCE, Gone, Peer, Server, frame

MIB = 1 << 20


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Fails if what is made inside, and kept or not, is ever more than *size* bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < size
    finally:
        tracemalloc.stop()


# --- the tables --------------------------------------------------------------------------

#: What the tables may hold in these tests; filling ten thousand places takes long.
MOST = 500


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("table.REMEMBERED_MOST", "session.REMEMBERED_MOST", "routes.LAST_WORDS_MOST"):
        monkeypatch.setattr(f"telephony.protocol.{name}", MOST)


def test_how_many_are_remembered():
    """The promise names the number."""
    assert [10_000, 10_000] == [REMEMBERED_MOST, LAST_WORDS_MOST]


def test_hangups_of_calls_never_seen(bounded):
    """They leave no call, and so many ids that are remembered: those of the last ones."""
    cm = Conversation()
    for number in range(5000):
        cm.event("call_hangup", f"id-{number}", channel=f"c-{number}", uid="1")
    assert [] == cm.calls
    assert MOST == len(cm.session.calls._ended)
    assert MOST >= len(cm.session.calls._routes._last_words)
    assert [] == cm.event("call_ringing", "id-4999")


def test_hangups_of_calls_that_were_seen(bounded):
    """The same of calls that came and went, each on a route of its own."""
    cm = Conversation()
    for number in range(2000):
        where = {"channel": f"c-{number}", "uid": "1"}
        cm.event("call_ringing", f"id-{number}", **where)
        cm.event("call_hangup", f"id-{number}", **where)
    assert [] == cm.calls
    assert MOST == len(cm.session.calls._ended)
    assert MOST == len(cm.session.calls._routes._last_words)
    assert {} == cm.session.calls._routes._calls


@pytest.mark.parametrize("name", ["call_ringing", "call_incoming", "dtmf_received"])
def test_calls_of_strangers(bounded, name):
    """Of calls that nobody here asked for the oldest go; ours are not among them."""
    cm = Conversation()
    dialled = cm.dialled("ours-1", uid="1")
    incoming = cm.incoming("ours-2")
    accept = Accept(call_id="ours-2", token="rtc-token", channel="hall", uid="2", app_id="APP")
    cm.succeeds(cm.send(accept, incoming))
    for number in range(5000):
        cm.event(name, f"id-{number}", channel=f"c-{number}", uid="1", digits="1")
    assert [dialled, incoming] == cm.calls[:2]
    assert MOST + 2 >= len(cm.calls)
    assert cm.session.calls.get("id-4999") is not None
    assert MOST >= len(cm.session.calls._ended)
    assert MOST + 3 >= len(cm.session.calls._routes._calls)


def test_a_call_that_moves_for_ever():
    """Of the channels it was in the first is remembered, and the last few."""
    cm = Conversation()
    call = cm.dialled("id-1")
    for number in range(3000):
        cm.event("agora_bridge_start", "id-1", channel=f"c-{number}", uid="1")
    assert ROUTES_MOST >= len(call._routes)
    assert ROUTES_MOST >= len(cm.session.calls._routes._calls)
    for channel, uid in (("room", "100"), ("c-2999", "1")):
        (event,) = cm.event("dtmf_received", "", channel=channel, uid=uid, digits="1")
        assert call is event.call  # type: ignore[attr-defined]


def test_orphans(bounded):
    """Of the dials that gave up only so many are waited for: the last ones."""
    cm = Conversation()
    calls = []
    for number in range(MOST + 200):
        request = cm.dial(uid=str(number))
        cm.session.give_up(request, cm.now)
        calls.append(request.call)
    assert MOST == len(cm.session.calls._orphans)
    assert MOST == len(cm.session._abandoned)
    assert [] == cm.calls
    assert [Place.GONE, Place.ORPHAN] == [call._place for call in (calls[199], calls[200])]


def test_nothing_is_remembered_for_ever():
    """When its time is over what was remembered is gone, with no more than time passing."""
    cm = Conversation()
    for number in range(100):
        cm.event("call_hangup", f"id-{number}")
        cm.session.give_up(cm.dial(uid=str(number)), cm.now)
    cm.later(601)
    assert {} == dict(cm.session.calls._ended)
    assert {} == dict(cm.session.calls._orphans)
    assert {} == dict(cm.session._abandoned)
    assert {} == cm.session.calls._routes._calls


LONG = "x" * (MIB // 4)
NAMES = ["call_ringing", "call_hangup", "agora_bridge_failed", "dtmf_received", "call_incoming"]


@pytest.mark.parametrize("field", [
    "callid", "channel", "uid", "appid", "from", "to", "direction", "hangup_cause", "duration",
    "billsec", "sip_disposition", "reason", "digits", "sip_headers", "event",
])
def test_long_texts_are_not_kept(field):
    """Of a hundred events, each with a quarter megabyte in one field, next to nothing is kept."""
    cm = Conversation()
    tracemalloc.start()
    try:
        for number in range(100):
            long = f"{number}{LONG}"
            about = {"channel": f"c-{number}", "uid": "1", "callid": f"id-{number}",
                     "event": NAMES[number % 5]}
            cm.says({**about, field: {"X-A": long} if field == "sip_headers" else long})
        del long
        assert tracemalloc.get_traced_memory()[0] < 2 * MIB
    finally:
        tracemalloc.stop()
    assert 100 >= len(cm.calls)


def test_what_a_refusal_holds():
    """Its data is cut off, deep or wide; the caller gets its answer all the same."""
    for data in ("[" * 900 + "]" * 900, json.dumps(["a"] * 200_000),
                 '{"a":' * 900 + "0" + "}" * 900, json.dumps(dict.fromkeys(map(str, range(10**5)))),
                 '{"a":[' * 400 + "0" + "]}" * 400):
        cm = Conversation()
        request = cm.dial()
        (answer,) = cm.says(f'{{"request_id":"{request.request_id}","error":"no","data":{data}}}')
        assert isinstance(answer, Answer)
        assert isinstance(answer.error, CommandRefusedError)
        assert 20_000 > len(repr(answer.error.data))
        assert 0 == cm.session.in_flight


# --- a whole client ----------------------------------------------------------------------


@pytest.fixture
def client_of() -> Iterator[Callable[[Server], Client]]:
    """client_of(server) makes clients; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(server: Server) -> Client:
            client = Client(server.url, "Basic token", "client-1", "APP")
            stack.callback(client.close)
            return client

        yield make


def event(name: str, **fields: object) -> bytes:
    return frame(json.dumps({"event": name, **fields}).encode())


def after(data: list[bytes]):
    """A script: greet, send these, then serve."""

    def script(peer: Peer) -> None:
        greet(peer)
        for piece in data:
            peer.send(piece)
        with contextlib.suppress(Gone):
            serve(peer)

    return script


def test_the_largest_message(client_of):
    """One of exactly 1 MiB is taken in."""
    empty = len(json.dumps({"event": "brand_new", "filling": ""}))
    data = event("brand_new", filling="x" * (MIB - empty))
    seen = Recorded()
    with Server(after([data])) as server:
        client = client_of(server)
        client.on(UnknownEvent, seen)
        client.connect()
        assert MIB - empty == len(seen.next().raw["filling"])
        assert 0 == client.health().protocol_errors


def test_large_messages_one_after_the_other(client_of):
    """Eight of a megabyte, whole and in a thousand parts: no more than a few at a time."""
    whole = event("brand_new", filling="x" * (MIB - 100))
    piece = b" " * 1000
    start = json.dumps({"event": "brand_new"}).encode()
    parts = frame(start, fin=False) + frame(piece, 0, fin=False) * 998 + frame(b"", 0)
    with Server(after([whole, parts] * 4)) as server:
        client = client_of(server)
        with at_most(6 * MIB):
            client.connect()
            client.command("sync", command_timeout=PATIENCE)
        assert (0, 0) == (client.health().protocol_errors, client.health().reconnects)


def test_digits_nobody_collects(client_of):
    """The last ten thousand are kept."""
    data = [event("call_answered", callid="id-1", direction="inbound")]
    data += [event("dtmf_received", callid="id-1", digits="12345" * 20)] * 500
    with Server(after(data)) as server:
        client = client_of(server)
        client.connect()
        client.command("sync", command_timeout=PATIENCE)
        (call,) = client.calls()
        assert DIGITS_MOST == len(call.collect_digits(timeout=0))


def test_events_that_wait_for_a_callback(monkeypatch, caplog, client_of):
    """Behind a callback that blocks only so many are queued; the state is followed on."""
    monkeypatch.setattr("telephony.callbacks.QUEUED_MOST", 1000)
    free, began = threading.Event(), threading.Event()

    def block(event: DtmfReceived) -> None:
        began.set()
        free.wait(PATIENCE)

    data = [event("call_answered", callid="id-1", direction="inbound")]
    data += [event("dtmf_received", callid="id-1", digits="1")] * 2000
    data += [event("agora_bridge_start", callid="id-1", channel="room", uid="1")]
    with Server(after(data)) as server:
        client = client_of(server)
        client.on(DtmfReceived, block)
        client.connect()
        client.command("sync", command_timeout=PATIENCE)
        assert began.wait(SECONDS)
        assert 990 <= client.health().queued_events <= 1000
        (call,) = client.calls()
        assert "bridged" == call.state
        free.set()
        client.close(drain=SECONDS)
    assert "dropped" in caplog.text
