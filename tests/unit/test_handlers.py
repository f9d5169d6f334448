"""Which callbacks are called: filters, removal, handler objects, and whose call it becomes."""

from __future__ import annotations

import threading

import pytest

from telephony import (
    CallEvent,
    CallHangup,
    CallIncoming,
    CallRinging,
    Connected,
    ConnectionLostError,
    Disconnected,
    DtmfReceived,
    ErrorOccurred,
    Event,
    EventHandler,
    InvalidArgumentError,
    UnknownEvent,
)
from tests.scripted import SECONDS, Recorded, Running


@pytest.fixture
def desk(scripted):
    client, line = scripted.connected()
    sync(client, line)  # its Connected has been told
    yield client, line
    client.close()


def sync(client, line):
    """All that was sent before has been taken in, and all callbacks for it have run."""
    done = Running(client.command, "sync")
    line.answer(line.receive("sync"))
    done.result()
    assert client._callbacks.dispatcher.drain(SECONDS)


def incoming(line, callid="id-1", **fields):
    line.event(
        "call_incoming",
        callid,
        **{"to": "+1800", "from": "+1555", "direction": "inbound", "appid": "APP", **fields},
    )


async def coroutine(event):
    """Would never be awaited."""


class Awaitable:
    """Neither would it."""

    async def __call__(self, event):
        """Nothing."""


@pytest.mark.parametrize("fn", [coroutine, Awaitable()])
def test_nothing_that_is_to_be_awaited(scripted, fn):
    """It would be called, and do nothing."""
    with pytest.raises(InvalidArgumentError, match="fn must be a plain function: .* await"):
        scripted.client().on(Event, fn)


# --- on and off ----------------------------------------------------------------------------------


def test_the_three_ways_to_register(desk):
    """Bare call, decorator, decorator with filters; the function is what it was."""
    client, line = desk
    seen = []

    def first(event):
        seen.append("first")

    @client.on(CallIncoming)
    def second(event):
        seen.append("second")

    @client.on(CallIncoming, to="+1800")
    def third(event):
        seen.append("third")

    assert first is client.on(CallIncoming, first)
    assert callable(second) and "second" == second.__name__
    incoming(line)
    sync(client, line)
    assert ["second", "third", "first"] == seen
    third(None)
    assert 4 == len(seen)


def test_a_class_of_events_stands_for_its_kinds(desk):
    """``Event`` sees all, ``CallEvent`` those of calls."""
    client, line = desk
    every, of_calls = Recorded(), Recorded()
    client.on(Event, every)
    client.on(CallEvent, of_calls)
    line.event("call_ringing", "id-1")
    line.event("call_teleported", "id-1")
    line.send("nonsense")
    kinds = {type(every.next()) for _ in range(3)}
    assert {CallRinging, UnknownEvent, ErrorOccurred} == kinds
    assert {CallRinging, UnknownEvent} == {type(of_calls.next()) for _ in range(2)}
    assert of_calls.empty()


@pytest.mark.parametrize(
    "match, fits",
    [
        ({}, True),
        ({"to": "+1800"}, True),
        ({"to": "1800"}, True),
        ({"to": "+1 (8) 0-0"}, True),
        ({"to": 1800}, True),
        ({"to": "+18001"}, False),
        ({"from_": "1555"}, True),
        ({"from_": "+1800"}, False),
        ({"to": "+1800", "from_": "+1555"}, True),
        ({"to": "+1800", "from_": "+9"}, False),
        ({"app_id": "APP"}, True),
        ({"app_id": "OTHER"}, False),
        ({"direction": "inbound"}, True),
        ({"call_id": "id-1"}, True),
        ({"call_id": "id-2"}, False),
        ({"state": "incoming"}, True),
        ({"name": "call_incoming"}, True),
        ({"name": "call_hangup"}, False),
        ({"video": False}, True),
        ({"hangup_cause": None}, True),
    ],
    ids=str,
)
def test_filters(desk, match, fits):
    """All have to fit: fields of the event or of its call; numbers by their digits alone."""
    client, line = desk
    seen = Recorded()
    client.on(CallIncoming, seen, **match)
    incoming(line)
    sync(client, line)
    assert fits is not seen.empty()


def test_filters_by_the_fields_of_an_event(desk):
    """Those its class adds."""
    client, line = desk
    hashes, busy = Recorded(), Recorded()
    client.on(DtmfReceived, hashes, digits="#", echo=False)
    client.on(CallHangup, busy, hangup_cause="USER_BUSY")
    for digit in "1#2":
        line.event("dtmf_received", "id-1", digits=digit)
    line.event("call_hangup", "id-2", hangup_cause="NO_ANSWER")
    line.event("call_hangup", "id-1", hangup_cause="USER_BUSY")
    sync(client, line)
    assert "#" == hashes.next().digits
    assert "id-1" == busy.next().call.call_id
    assert hashes.empty() and busy.empty()


def test_a_number_to_filter_by_must_have_digits(desk):
    """A filter without a digit does not fit a call whose number has some."""
    client, line = desk
    seen = Recorded()
    client.on(CallIncoming, seen, to="reception")
    incoming(line)
    sync(client, line)
    assert seen.empty()


@pytest.mark.parametrize(
    "event_type, match",
    [
        (CallIncoming, {"too": "+1800"}),
        (CallIncoming, {"digits": "1"}),
        (Connected, {"digits": "1"}),
        ("call_incoming", {}),
        (Exception, {}),
        (None, {}),
        (CallIncoming(name="x", call=None, info=None), {}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_registered(desk, event_type, match):
    """A filter by a field there is not, and what is no class of events, are refused at once."""
    client, _ = desk
    with pytest.raises(InvalidArgumentError):
        client.on(event_type, print, **match)


def test_what_is_no_function_cannot_be_registered(desk):
    """Neither can it."""
    client, _ = desk
    with pytest.raises(InvalidArgumentError, match="^fn"):
        client.on(CallIncoming, "answer")


def test_off(desk):
    """For every event it was registered for; the others stay; unknown ones are no error."""
    client, line = desk
    gone, stays = Recorded(), Recorded()
    client.on(CallIncoming, gone)
    client.on(CallRinging, gone, to="+1")
    client.on(CallIncoming, stays)
    client.off(gone)
    client.off(print)
    incoming(line)
    sync(client, line)
    assert CallIncoming is type(stays.next())
    assert gone.empty()


class Desk:
    """Has a method to be called."""

    def __init__(self):
        self.seen = []

    def ring(self, event):
        self.seen.append(event)


def test_off_for_a_method(desk):
    """A bound method is another object each time, and the same callback."""
    client, line = desk
    owner = Desk()
    client.on(CallIncoming, owner.ring)
    client.off(owner.ring)
    incoming(line)
    sync(client, line)
    assert [] == owner.seen


def test_the_same_function_twice(desk):
    """It is called twice."""
    client, line = desk
    seen = Recorded()
    client.on(CallIncoming, seen)
    client.on(CallIncoming, seen)
    incoming(line)
    sync(client, line)
    assert seen.next() is seen.next()


def test_registering_in_a_callback(desk):
    """It counts from the next event on, also off."""
    client, line = desk
    later = Recorded()

    @client.on(CallIncoming)
    def once(event):
        client.off(once)
        client.on(CallIncoming, later)

    incoming(line)
    sync(client, line)
    assert later.empty()
    incoming(line, "id-2")
    sync(client, line)
    assert "id-2" == later.next().call.call_id
    assert later.empty()


# --- handler objects -----------------------------------------------------------------------------


class Everything(EventHandler):
    def __init__(self):
        self.seen = []

    def __getattribute__(self, name):
        method = super().__getattribute__(name)
        if not name.startswith("on_"):
            return method

        def called(*args):
            self.seen.append((name, args))
            return method(*args)

        return called

    def on_call_incoming(self, call):
        return True


def test_the_handler_interface(desk, scripted):
    """Each method with its arguments, in order."""
    client, line = desk
    handler = Everything()
    client.set_handler(handler)
    incoming(line)
    for name in ("call_ringing", "call_answered", "agora_bridge_start", "agora_bridge_end"):
        line.event(name, "id-1")
    line.event("dtmf_received", "id-1", digits="12")
    line.event("call_hangup", "id-1")
    sync(client, line)
    call = handler.seen[0][1][0]
    assert "id-1" == call.call_id
    assert [
        ("on_call_incoming", (call,)),
        ("on_call_ringing", (call,)),
        ("on_call_answered", (call,)),
        ("on_bridge_start", (call,)),
        ("on_bridge_end", (call,)),
        ("on_dtmf_received", (call, "12")),
        ("on_call_hangup", (call,)),
    ] == handler.seen


def test_a_handler_is_told_of_connections_and_errors(scripted):
    """``on_connected`` with the session's id, ``on_error`` with the error."""
    client = scripted.client()
    handler = Everything()
    client.set_handler(handler)
    connecting = Running(client.connect)
    line = scripted.line()
    line.greet()
    connecting.result()
    line.send({"error": "boom"})
    sync(client, line)
    client.close()
    (connected, failed) = handler.seen
    assert ("on_connected", ("session-1",)) == connected
    assert "on_error" == failed[0]
    assert "boom" == failed[1][0].reason


def test_a_handler_is_told_of_a_lost_connection(scripted):
    """The Go SDK has no other word for it than its error callback."""
    client, line = scripted.connected(reconnect=False)
    handler, told = Everything(), threading.Event()
    client.set_handler(handler)
    client.on(Disconnected, lambda event: told.set())  # called after the handler's method
    line.drop()
    assert told.wait(SECONDS)
    assert ["on_error"] == [name for name, _ in handler.seen]
    assert isinstance(handler.seen[0][1][0], ConnectionLostError)
    client.close()


class Partial:
    """Any object will do."""

    def __init__(self):
        self.rang = Recorded()

    def on_call_ringing(self, call):
        self.rang(call)


def test_a_handler_with_some_of_the_methods(desk):
    """The others are not missed."""
    client, line = desk
    handler = Partial()
    client.set_handler(handler)
    line.event("call_answered", "id-9")
    line.event("call_ringing", "id-1")
    assert "id-1" == handler.rang.next().call_id


def test_a_handler_replaces_the_one_before(desk):
    """None takes it away; callbacks registered with ``on`` stay."""
    client, line = desk
    first, second, stays = Partial(), Partial(), Recorded()
    client.on(CallRinging, stays)
    client.set_handler(first)
    client.set_handler(second)
    line.event("call_ringing", "id-1")
    assert "id-1" == second.rang.next().call_id
    client.set_handler(None)
    line.event("call_ringing", "id-2")
    sync(client, line)
    assert first.rang.empty() and second.rang.empty()
    assert ["id-1", "id-2"] == [stays.next().call.call_id for _ in range(2)]


class Misspelt:
    def on_call_ring(self, call):
        pass


class NotAMethod:
    on_call_ringing = "ring"


@pytest.mark.parametrize(
    "handler",
    [Misspelt(), NotAMethod(), object(), "handler", 5],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_handler(desk, handler):
    """An object none of whose methods would ever be called is a mistake."""
    client, _ = desk
    with pytest.raises(InvalidArgumentError, match="handler"):
        client.set_handler(handler)


# --- whose call an incoming one becomes ----------------------------------------------------------


class Claims:
    def __init__(self, answer):
        self._answer = answer

    def on_call_incoming(self, call):
        return self._answer


@pytest.mark.parametrize(
    "answers, kept",
    [
        ([True], True),
        ([False], False),
        ([None], False),
        ([False, True], True),
        ([True, False], True),
        ([False, None], False),
        ([], False),
    ],
    ids=str,
)
@pytest.mark.parametrize("by", ["on", "set_handler"])
def test_a_call_is_claimed_by_the_return_value(desk, answers, kept, by):
    """Kept when one callback returns True; else dropped without a word to the CM."""
    client, line = desk
    for number, answer in enumerate(answers):
        if by == "set_handler" and number == 0:
            client.set_handler(Claims(answer))
        else:
            client.on(CallIncoming, lambda event, answer=answer: answer)
    incoming(line)
    sync(client, line)
    assert (["id-1"] if kept else []) == [call.call_id for call in client.calls()]
    assert line.nothing_came()


@pytest.mark.parametrize("command", ["accept", "reject"])
def test_a_call_is_claimed_by_a_command(desk, command):
    """Accepted it stays, rejected it goes with the CM's yes; a failed accept leaves it."""
    client, line = desk
    error = Recorded()
    client.on(ErrorOccurred, error)

    @client.on(CallIncoming)
    def answer(event):
        if command == "accept":
            event.call.accept(token="t", channel="c", uid="1")
        else:
            event.call.reject()

    incoming(line)
    line.answer(line.receive(command))
    sync(client, line)
    assert (["id-1"] if command == "accept" else []) == [c.call_id for c in client.calls()]
    incoming(line, "id-2")
    line.refuse(line.receive(command), "try again")
    assert "try again" == error.next().error.reason
    sync(client, line)
    assert client.call("id-2") is not None


def test_a_call_is_kept_while_it_is_being_decided(desk):
    """A callback may take its time, and accept by id."""
    client, line = desk
    begun, go = threading.Event(), threading.Event()

    @client.on(CallIncoming)
    def answer(event):
        begun.set()
        assert go.wait(SECONDS)
        client.accept("id-1", token="t", channel="c", uid="1")

    incoming(line)
    assert begun.wait(SECONDS)
    assert ["id-1"] == [call.call_id for call in client.calls()]
    go.set()
    line.answer(line.receive("accept"))
    sync(client, line)
    assert ["id-1"] == [call.call_id for call in client.calls()]


def test_a_callback_that_raises_does_not_keep_the_call(desk):
    """It has decided nothing; another one may."""
    client, line = desk

    @client.on(CallIncoming)
    def answer(event):
        raise ValueError("no")

    incoming(line)
    sync(client, line)
    assert [] == client.calls()
    client.on(CallIncoming, lambda event: True)
    incoming(line, "id-2")
    sync(client, line)
    assert ["id-2"] == [call.call_id for call in client.calls()]


def test_a_call_that_was_accepted_elsewhere_meanwhile_is_kept(desk):
    """Another thread accepted it while the callbacks were not interested."""
    client, line = desk
    begun, go = threading.Event(), threading.Event()

    @client.on(CallIncoming)
    def look(event):
        begun.set()
        assert go.wait(SECONDS)

    incoming(line)
    assert begun.wait(SECONDS)
    accepting = Running(client.accept, "id-1", token="t", channel="c", uid="1")
    line.answer(line.receive("accept"))
    accepting.result()
    go.set()
    sync(client, line)
    assert ["id-1"] == [call.call_id for call in client.calls()]
