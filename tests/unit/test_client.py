"""The facade: looking, commands, tokens, callbacks, closing, and running until told to stop."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading

import pytest

from telephony import (
    CallAnswered,
    CallNotFoundError,
    CallRinging,
    Client,
    ClientClosedError,
    CommandRefusedError,
    Connected,
    ConnectionLostError,
    ConnectionState,
    Disconnected,
    ErrorOccurred,
    Health,
    InvalidArgumentError,
    RegistrationError,
)
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running


@pytest.fixture
def connected(scripted):
    """Makes connected clients, and closes them."""
    clients = []

    def connected(**options):
        client, line = scripted.connected(**options)
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


def dialled(client, line, callid="id-1", **fields):
    dialling = Running(client.dial, **{**DIAL, **fields})
    line.answer(line.receive("outbound"), callid=callid)
    return dialling.result()


# --- looking -------------------------------------------------------------------------------------


def test_health(connected):
    """A frozen snapshot of what is going on."""
    client, line = connected(workers=1)
    assert Health is type(client.health())
    call = dialled(client, line)
    begun, go = threading.Event(), threading.Event()

    @client.on(CallRinging)
    def hold(event):
        begun.set()
        assert go.wait(SECONDS)

    client.on(CallAnswered, lambda event: None)
    line.event("call_ringing", "id-1")
    line.event("call_answered", "id-1")
    line.send("nonsense")
    assert begun.wait(SECONDS)
    sync(client, line)
    hanging_up = Running(call.hangup)
    command = line.receive("endcall")
    health = client.health()
    assert (True, "session-1", 1, 1, 1, 0, 1, 0) == (
        health.connected,
        health.session_id,
        health.in_flight,
        health.queued_events,
        health.active_calls,
        health.reconnects,
        health.protocol_errors,
        health.dropped_events,
    )
    assert health.last_seen_age >= 0
    line.answer(command)
    hanging_up.result()
    go.set()
    assert 0 == client.health().active_calls
    assert 1 == health.active_calls
    with pytest.raises(AttributeError):
        health.active_calls = 2


def test_health_of_an_idle_client(scripted):
    """It blocks for nothing and needs no connection."""
    client = scripted.client()
    expected = Health(
        connected=False,
        session_id="",
        last_seen_age=None,
        in_flight=0,
        queued_events=0,
        active_calls=0,
        reconnects=0,
        protocol_errors=0,
        dropped_events=0,
    )
    assert expected == client.health()


def test_calls(connected):
    """A list of its own each time, oldest first; one by its id, or None."""
    client, line = connected()
    first = dialled(client, line, "id-1")
    second = dialled(client, line, "id-2", channel="hall")
    assert [first, second] == client.calls()
    client.calls().clear()
    assert 2 == len(client.calls())
    assert second is client.call("id-2")
    assert client.call("id-9") is None
    line.event("call_hangup", "id-1")
    sync(client, line)
    assert [second] == client.calls()
    assert client.call("id-1") is None


# --- commands ------------------------------------------------------------------------------------


def test_any_other_command(connected):
    """Its fields as they are, None left out; the whole response comes back."""
    client, line = connected()
    running = Running(client.command, "mute", callid="id-1", on=True, n=None, command_timeout=5)
    frame = line.receive("mute")
    line.answer(frame, extra=[1])
    response = running.result()
    assert {"action": "mute", "callid": "id-1", "on": True} == {
        key: value for key, value in frame.items() if key != "request_id"
    }
    assert {"success": True, "extra": [1]} == response["data"]
    assert ("mute", 200) == (response["response"], response["status_code"])


def test_any_other_command_refused(connected):
    """As the known ones."""
    client, line = connected()
    running = Running(client.command, "mute", callid="id-1")
    line.refuse(line.receive("mute"), "callid not found")
    with pytest.raises(CallNotFoundError):
        running.result()
    running = Running(client.command, "mute")
    line.refuse(line.receive("mute"), "unknown action")
    with pytest.raises(CommandRefusedError) as caught:
        running.result()
    assert ("mute", "unknown action") == (caught.value.action, caught.value.reason)


@pytest.mark.parametrize(
    "action, fields",
    [
        ("", {}),
        ("  ", {}),
        (None, {}),
        (5, {}),
        ("mute", {"request_id": "x"}),
        ("mute", {"when": object()}),
        ("mute", {"gain": float("nan")}),
        ("mute", {"command_timeout": 0}),
        ("mute", {"command_timeout": -1}),
    ],
    ids=lambda value: str(value).split(" object")[0],
)
def test_any_other_command_with_bad_input(connected, action, fields):
    """Nothing is sent, and nothing is left under way."""
    client, line = connected(command_timeout=1)
    with pytest.raises(InvalidArgumentError):
        client.command(action, **fields)
    assert line.nothing_came()
    assert 0 == client.health().in_flight


def test_subscribing(connected):
    """The list replaces the one before, once the CM took it; ``[]`` is all again."""
    client, line = connected(subscribe_numbers=["+1800"])
    for numbers in (["+1900", "+1700"], []):
        running = Running(client.subscribe, numbers)
        frame = line.receive("subscribe")
        assert {"action": "subscribe", "numbers": numbers} == {
            key: value for key, value in frame.items() if key != "request_id"
        }
        line.answer(frame)
        assert running.result() is None


def test_subscribing_before_connecting(scripted):
    """The registration names them."""
    client = scripted.client(subscribe_numbers=["+1800"])
    client.subscribe(["+1900"])
    connecting = Running(client.connect)
    assert ["+1900"] == scripted.line().greet()["subscribe_numbers"]
    connecting.result()
    client.close()


def test_subscribing_after_closing(scripted):
    """It is refused: nobody would ever register them."""
    client = scripted.client()
    client.close()
    with pytest.raises(ClientClosedError):
        client.subscribe(["+1900"])


@pytest.mark.parametrize("numbers", ["+1800", 5, None, [""], [5]])
def test_subscribing_to_what_is_no_list(scripted, numbers):
    """One string is not taken for many, connected or not."""
    client = scripted.client()
    with pytest.raises(InvalidArgumentError, match="^numbers"):
        client.subscribe(numbers)


def test_hanging_up_a_call_not_known(connected):
    """By the direction it is given; without one it is ``hangup``."""
    client, line = connected()
    for direction, action in (
        ("outbound", "endcall"),
        ("outbound_sip", "endcall"),
        ("inbound", "hangup"),
        (None, "hangup"),
    ):
        running = Running(client.hangup, "id-9", direction=direction)
        frame = line.receive(action)
        assert ("id-9", "APP") == (frame["callid"], frame["appid"])
        line.answer(frame)
        running.result()
    with pytest.raises(InvalidArgumentError, match="^direction"):
        client.hangup("id-9", direction="sideways")


def test_a_rebridge_needs_to_know_where_the_call_is(connected):
    """For a call not known it has to be told."""
    client, line = connected()
    where = {"token": "t", "channel": "hall", "uid": 7}
    with pytest.raises(InvalidArgumentError, match="^current_channel"):
        client.rebridge("id-9", **where)
    running = Running(client.rebridge, "id-9", **where, current_channel="room", current_uid=0)
    frame = line.receive("rebridge")
    assert ("room", "0") == (frame["current_channel"], frame["current_uid"])
    line.answer(frame)
    running.result()


BAD_CALL = {
    "accept": {"token": "t", "channel": "c", "uid": "1"},
    "reject": {},
    "hangup": {},
    "send_dtmf": {"digits": "1"},
    "bridge": {"token": "t", "channel": "c", "uid": "1"},
    "unbridge": {},
    "transfer": {"destination": "+1"},
}


@pytest.mark.parametrize("method", BAD_CALL)
@pytest.mark.parametrize(
    "name, value",
    [("call_id", ""), ("call_id", None), ("call_id", 5), ("command_timeout", 0),
     ("command_timeout", -1), ("command_timeout", "5")],
)
def test_bad_input_to_every_command(connected, method, name, value):
    """Named, and nothing is sent."""
    client, line = connected()
    arguments = {"call_id": "id-1", **BAD_CALL[method], name: value}
    with pytest.raises(InvalidArgumentError, match=f"^{name}"):
        getattr(client, method)(**arguments)
    assert line.nothing_came()


@pytest.mark.parametrize(
    "name, value",
    [("to", ""), ("from_", 5), ("channel", ""), ("uid", ""), ("uid", None), ("region", ""),
     ("token", ""), ("timeout", -1), ("video", "yes"), ("app_id", ""), ("app_id", "MULTI"),
     ("command_timeout", 0), ("sip", "a\nb")],
)
def test_bad_input_to_dial(connected, name, value):
    """Named, nothing is sent, and no call is left."""
    client, line = connected()
    with pytest.raises(InvalidArgumentError, match=f"^{name}"):
        client.dial(**{**DIAL, name: value})
    assert line.nothing_came()
    assert [] == client.calls()


# --- MULTI -------------------------------------------------------------------------------------


def test_multi_needs_an_app_id(connected):
    """A dial, an accept or a bridge for which none is known is refused before it is sent."""
    client, line = connected(app_id="MULTI")
    with pytest.raises(InvalidArgumentError, match="^app_id"):
        client.dial(**DIAL)
    for method in ("accept", "bridge"):
        with pytest.raises(InvalidArgumentError, match="^app_id"):
            getattr(client, method)("id-9", **BAD_CALL[method])
    assert line.nothing_came()


def test_multi_takes_the_calls_app_id(connected):
    """Of the dial, or as the CM told it."""
    client, line = connected(app_id="MULTI")
    call = dialled(client, line, app_id="B")
    running = Running(call.unbridge)
    frame = line.receive("unbridge")
    line.answer(frame)
    running.result()
    assert "B" == frame["appid"]
    running = Running(client.unbridge, "id-9")
    frame = line.receive("unbridge")
    line.answer(frame)
    running.result()
    assert "appid" not in frame


# --- tokens --------------------------------------------------------------------------------------


def test_the_token_provider(connected):
    """It is asked with channel, uid and App ID where no token is given, and only there."""
    asked = []

    def provide(channel, uid, app_id):
        asked.append((channel, uid, app_id))
        return f"token-{len(asked)}"

    client, line = connected(token_provider=provide)
    dialling = Running(client.dial, **{**DIAL, "token": None, "uid": 100})
    frame = line.receive("outbound")
    line.answer(frame, callid="id-1")
    call = dialling.result()
    assert "token-1" == frame["token"]
    for method, app_id in (("accept", "B"), ("bridge", None), ("rebridge", None)):
        running = Running(getattr(call, method), channel="hall", uid=7, app_id=app_id)
        frame = line.receive(method)
        line.answer(frame)
        running.result()
    assert "token-4" == frame["token"]
    assert [
        ("room", "100", "APP"),
        ("hall", "7", "B"),
        ("hall", "7", "B"),
        ("hall", "7", "B"),
    ] == asked
    running = Running(call.bridge, token="given", channel="hall", uid=7)
    frame = line.receive("bridge")
    line.answer(frame)
    running.result()
    assert "given" == frame["token"]
    assert 4 == len(asked)


@pytest.mark.parametrize("provider", [None, lambda *a: None, lambda *a: "", lambda *a: 5])
def test_no_token(connected, provider):
    """Neither given nor provided: nothing is sent."""
    client, line = connected(token_provider=provider)
    with pytest.raises(InvalidArgumentError, match="^token"):
        client.dial(**{**DIAL, "token": None})
    assert line.nothing_came()


def test_a_token_provider_that_raises(connected):
    """Its error is the caller's; nothing is sent."""
    client, line = connected(token_provider=lambda *a: {}["no such key"])
    with pytest.raises(KeyError):
        client.dial(**{**DIAL, "token": None})
    assert line.nothing_came()


@pytest.mark.parametrize("name, value", [("uid", ""), ("uid", None), ("uid", True), ("channel", 5)])
def test_the_token_provider_is_not_asked_for_nonsense(connected, name, value):
    """What is wrong is refused before a token is made for it."""
    asked = []
    client, line = connected(token_provider=lambda *a: asked.append(a) or "t")
    with pytest.raises(InvalidArgumentError, match=f"^{name}"):
        client.dial(**{**DIAL, "token": None, name: value})
    assert [] == asked


# --- callbacks -----------------------------------------------------------------------------------


def test_a_callback_that_raises(connected, caplog):
    """Logged with its traceback, told, and nothing else stops."""
    client, line = connected()
    told, seen = Recorded(), Recorded()
    client.on(ErrorOccurred, told)

    @client.on(CallRinging)
    def fail(event):
        raise ValueError("of the callback")

    client.on(CallRinging, seen)
    line.event("call_ringing", "id-1")
    assert ValueError is type(told.next().error)
    assert CallRinging is type(seen.next())
    assert "of the callback" in caplog.text
    assert "Traceback" in caplog.text
    sync(client, line)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_a_callback_that_raises_more_than_an_exception(connected, error):
    """It ends neither the process nor the thread: the call's next event is told."""
    client, line = connected(workers=1)
    seen = Recorded()

    @client.on(CallRinging)
    def fail(event):
        raise error("of the callback")

    client.on(CallAnswered, seen)
    line.event("call_ringing", "id-1")
    line.event("call_answered", "id-1")
    assert CallAnswered is type(seen.next())


def test_a_callback_for_errors_that_raises(connected, caplog):
    """It is logged, and does not go round and round."""
    client, line = connected()
    called = Recorded()

    @client.on(ErrorOccurred)
    def fail(event):
        called(event)
        raise ValueError("of the error callback")

    line.send("nonsense")
    called.next()
    client.close(drain=SECONDS)
    assert called.empty()
    assert 1 == caplog.text.count("ValueError: of the error callback")


def test_the_callback_context(connected):
    """Entered around every callback, on its thread; left also when it raises."""
    steps = queue.SimpleQueue()

    @contextlib.contextmanager
    def context():
        steps.put(("enter", threading.current_thread()))
        try:
            yield
        finally:
            steps.put(("leave", threading.current_thread()))

    client, line = connected(callback_context=context)

    @client.on(CallRinging)
    def ring(event):
        steps.put(("call", threading.current_thread()))
        raise ValueError("of the callback")

    line.event("call_ringing", "id-1")
    sync(client, line)
    client.close(drain=SECONDS)
    found = [steps.get(timeout=SECONDS) for _ in range(3)]
    assert ["enter", "call", "leave"] == [name for name, _ in found]
    assert 1 == len({thread for _, thread in found})
    assert steps.empty()


def test_a_callback_context_that_raises(connected, caplog):
    """The callback is not called; it is told as the callback's own error would be."""
    def context():
        raise LookupError("of the context")

    client, line = connected(callback_context=context)
    seen = Recorded()
    client.on(CallRinging, seen)
    line.event("call_ringing", "id-1")
    sync(client, line)
    client.close(drain=SECONDS)
    assert seen.empty()
    assert "of the context" in caplog.text


def test_commands_in_the_callback_for_connected(scripted):
    """Callbacks are not on the thread that reads the answers."""
    client = scripted.client()
    done = Recorded()
    client.on(Connected, lambda event: done(client.command("hello")))
    connecting = Running(client.connect)
    line = scripted.line()
    line.greet()
    connecting.result()
    line.answer(line.receive("hello"), n=5)
    assert 5 == done.next()["data"]["n"]
    client.close()


# --- closing -------------------------------------------------------------------------------------


def test_with_client(scripted):
    """Connected within, closed after."""
    client = scripted.client()

    def block():
        with client as entered:
            assert client is entered
            return client.state

    running = Running(block)
    scripted.line().greet()
    assert ConnectionState.CONNECTED is running.result()
    assert ConnectionState.CLOSED is client.state


def test_closing_tells_once(connected):
    """``Disconnected`` without an error."""
    client, _ = connected()
    seen = Recorded()
    client.on(Disconnected, seen)
    client.close()
    client.close(drain=SECONDS)
    assert seen.next().error is None
    assert seen.empty()


def test_closing_within_a_callback(connected):
    """It does not wait for itself."""
    client, line = connected()
    done = Recorded()

    @client.on(CallRinging)
    def ring(event):
        client.close(drain=SECONDS)
        done(client.state)

    line.event("call_ringing", "id-1")
    assert ConnectionState.CLOSED is done.next()


def test_closing_waits_for_callbacks_when_asked_to(connected):
    """Running and queued ones."""
    client, line = connected(workers=1)
    begun, go, seen = threading.Event(), threading.Event(), Recorded()

    @client.on(CallRinging)
    def ring(event):
        begun.set()
        assert go.wait(SECONDS)
        seen(event)

    client.on(CallAnswered, seen)
    line.event("call_ringing", "id-1")
    line.event("call_answered", "id-1")
    sync(client, line)
    assert begun.wait(SECONDS)
    client.close()
    assert seen.empty()
    closing = Running(client.close, drain=SECONDS)
    go.set()
    closing.result()
    assert [CallRinging, CallAnswered] == [type(seen.next()) for _ in range(2)]


def test_closing_hangs_up_when_asked_to(connected):
    """Every active call, each in its way; refusals and silence do not stop it."""
    client, line = connected()
    first = dialled(client, line, "id-1")
    line.event("call_answered", "id-2", direction="inbound")
    sync(client, line)
    closing = Running(client.close, hangup_active=True)
    frames = [line.receive() for _ in range(2)]
    assert {("endcall", "id-1"), ("hangup", "id-2")} == {
        (frame["action"], frame["callid"]) for frame in frames
    }
    line.answer(frames[0])
    line.refuse(frames[1], "try again")
    closing.result()
    assert "hangup" == first.state
    assert [] == client.calls()


@pytest.mark.parametrize("drain", [-1, "5", float("nan"), None])
def test_closing_with_bad_input(scripted, drain):
    """Named."""
    with pytest.raises(InvalidArgumentError, match="^drain"):
        scripted.client().close(drain=drain)


def test_a_wait_that_is_none(scripted):
    """Negative waits are refused by name."""
    client = scripted.client()
    with pytest.raises(InvalidArgumentError, match="^timeout"):
        client.wait_connected(-1)
    assert not client.wait_connected(0)


def test_commands_under_way_when_the_client_is_closed(connected):
    """A dial too; its handle is with the error."""
    client, line = connected()
    dialling = Running(client.dial, **DIAL)
    line.receive("outbound")
    client.close()
    with pytest.raises(ConnectionLostError) as caught:
        dialling.result()
    assert DIAL["to"] == caught.value.call.to
    assert not caught.value.call.active


# --- run_forever ---------------------------------------------------------------------------------


def test_run_forever_until_closed(scripted):
    """On any thread."""
    client = scripted.client()
    running = Running(client.run_forever)
    scripted.line().greet()
    assert client.wait_connected(SECONDS)
    client.close()
    assert running.result() is None


def of_the_process(number: int) -> None:
    signal.pthread_kill(threading.main_thread().ident, number)


@pytest.mark.parametrize("send", [of_the_process, signal.raise_signal])
def test_run_forever_hangs_up(cm, send):
    """If it is to; the signal comes while it waits, under gevent in another greenlet, too."""
    client, ended = cm.client(), []

    def dial_and_stop() -> None:
        assert client.wait_connected(SECONDS)
        ended.append(client.dial(**DIAL))
        send(signal.SIGTERM)

    calling = Running(dial_and_stop)
    client.run_forever(hangup_active=True)
    calling.result()
    assert "hangup" == ended[0].state
    cm.assert_hung_up(ended[0])


def test_run_forever_until_closed_in_a_callback(scripted):
    """The service's own way to end."""
    client = scripted.client()
    client.on(CallRinging, lambda event: client.close())
    running = Running(client.run_forever)
    line = scripted.line()
    line.greet()
    line.event("call_ringing", "id-1")
    assert running.result() is None
    assert ConnectionState.CLOSED is client.state


def test_run_forever_cannot_connect(scripted):
    """The error is raised, and the client is closed."""
    client = scripted.client()
    running = Running(client.run_forever)
    scripted.line().send({"error": "unauthorized"})
    with pytest.raises(RegistrationError):
        running.result()
    assert ConnectionState.CLOSED is client.state


def test_run_forever_without_reconnect(scripted):
    """The lost connection is raised."""
    client = scripted.client(reconnect=False)
    running = Running(client.run_forever)
    line = scripted.line()
    line.greet()
    line.drop()
    with pytest.raises(ConnectionLostError):
        running.result()


SERVICE = """
import sys
from telephony import CallRinging, Client, Connected, Disconnected

client = Client(sys.argv[1], "Basic c2VjcmV0LXRva2Vu", "service", "APP")
client.on(Connected, lambda event: print("connected", flush=True))
client.on(Disconnected, lambda event: print("disconnected", event.error, flush=True))
client.run_forever()
client.close(drain=10)
print("returned", client.state, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("phase", ["connected", "connecting"])
def test_run_forever_until_a_signal(scripted, number, phase):
    """The process closes its connection and goes on, as if ``close()`` had been called."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, scripted.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        line = scripted.line(30)
        expected = []
        if phase == "connected":
            line.greet()
            assert "connected\n" == process.stdout.readline()
            expected = ["disconnected None"]
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert "" == errors
    assert [*expected, "returned closed"] == out.splitlines()
    assert 0 == process.returncode
    assert line.closed.wait(SECONDS)


def test_signals_are_given_back(scripted):
    """Afterwards they do what they did before."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    client = scripted.client()
    closing = Running(lambda: (scripted.line().greet(), client.close()))
    client.run_forever()
    closing.result()
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_to_run_once_closed():
    """It is not waited for what cannot come."""
    client = Client("ws://127.0.0.1:1", "Basic x", None, "APP")
    client.close()
    with pytest.raises(ClientClosedError, match="new one"):
        client.run_forever()


def test_where_there_is_no_poll(cm, monkeypatch):
    """``select`` does, as on Windows: a call, an event, a command and the end."""
    monkeypatch.delattr(select, "poll")
    answered = threading.Event()
    with cm.client() as client:
        client.on(CallAnswered, lambda event: answered.set())
        with client.dial(**DIAL) as call:
            call.wait_answered(SECONDS)
            assert answered.wait(SECONDS)
            call.send_dtmf("1")
            assert "1" == cm.peer(call).wait_heard("1", SECONDS)
        assert "HANGUP" == call.state.name
