"""The sandbox misbehaving as it is told to."""

from __future__ import annotations

import socket
import time

import pytest
import websocket

from telephony.errors import InvalidArgumentError
from tests.unit.sandbox.phone import DIAL, PATIENCE, Phone, request

PONG = 0xA


def test_dropped_connections(cm, phone):
    """Connections end as in a crash: reset, without a WebSocket close; calls go on."""
    line, fresh = phone(cm), phone(cm, register=False)
    call_id = line.bridged_call()
    line.pending.clear()
    cm.drop_connections()
    for each in (line, fresh):
        with pytest.raises(ConnectionResetError):
            each.frame()
    assert cm.peer(call_id).ended is False
    assert 0 == request(cm, "GET", "/v1/api/websocket-status")[1]["client_count"]
    again = phone(cm)
    again.take("endcall", callid=call_id)


def test_silence(cm, phone):
    """Nothing is sent, not even a pong; the socket stays open; it can speak again."""
    line = phone(cm)
    cm.silence()
    line.ping()
    request_id = line.command("subscribe", numbers=["+1"])
    cm.wait_for_command("subscribe", timeout=PATIENCE)
    with pytest.raises(TimeoutError):
        line.frame(timeout=0.1)
    cm.silence(False)
    line.take("subscribe", numbers=["+2"])
    # What was to be said in the silence is lost.
    assert [] == [frame for frame in line.pending if frame.get("request_id") == request_id]
    line.ping()
    line.wait_opcode(PONG)


def test_connecting_in_the_silence(cm, phone):
    """Who connects in the silence is accepted by TCP, and by nobody else until it ends."""
    cm.silence()
    with pytest.raises(websocket.WebSocketTimeoutException):
        websocket.create_connection(cm.url, timeout=0.1)
    cm.silence(False)
    phone(cm)


def test_silence_before_the_start(sandbox):
    """A sandbox can start silent; whoever waits for it to speak is let go when it stops."""
    cm = sandbox()
    cm.stop()
    cm.silence()
    cm.start()
    with socket.create_connection(("127.0.0.1", cm.port), timeout=0.1) as line:
        line.sendall(
            b"GET /v1/ws/events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        with pytest.raises(TimeoutError):
            line.recv(1)
        cm.stop()
        line.settimeout(PATIENCE)
        assert b"HTTP/1.1 503" == line.recv(12)


def test_a_close_in_the_silence(cm):
    """A client that closes in the silence gets no goodbye."""
    line = Phone(cm)
    cm.silence()
    line._ws.send_close()
    with pytest.raises(ConnectionResetError):
        line.frame()
    line.close()


def test_refusals_queue(cm, phone):
    """Each refusal answers one command, oldest first; those for an action wait for it."""
    line = phone(cm)
    cm.refuse("out of order", action="outbound")
    cm.refuse("rate limited", times=2)
    errors = [line.ask("subscribe", numbers=[]).get("error") for _ in range(3)]
    assert ["rate limited", "rate limited", None] == errors
    expected = {"error": "out of order", "request_id": "outbound_4"}
    assert expected == line.ask("outbound", **DIAL)
    line.dial()


def test_refusals_in_all_forms(cm, phone):
    """An error, an unsuccessful answer and a status code are all refusals."""
    line = phone(cm)
    cm.refuse("one")
    cm.refuse("two", form="data")
    cm.refuse("three", form="status", status_code=503)
    assert {"error": "one", "request_id": "x_1"} == line.ask("x")
    data = {"success": False, "reason": "two"}
    expected = {"response": "x", "status_code": 200, "data": data, "request_id": "x_2"}
    assert expected == line.ask("x")
    answer = line.ask("x")
    assert (503, {"reason": "three"}) == (answer["status_code"], answer["data"])
    cm.refuse("full", form="status", action="register")
    late = phone(cm, register=False)
    late.register()
    assert {"status": "full"} == late.frame()
    for wrong in ({"form": "shout"}, {"status_code": 200}):
        with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
            cm.refuse("no", **wrong)


def test_anything_can_be_sent(cm, phone):
    """Frames that nobody knows yet, and text that is no frame, go to one client or to all."""
    one, two = phone(cm, "one"), phone(cm, "two")
    cm.send({"event": "call_recorded", "callid": "x"})
    cm.send({"error": "slow down"}, client_id="two")
    cm.send({"error": "slow down"}, client_id="nobody")
    cm.send("{", client_id="one")
    assert ["call_recorded"] * 2 == [one.frame()["event"], two.frame()["event"]]
    assert {"error": "slow down"} == two.frame()
    with pytest.raises(ValueError):
        one.frame()


def test_a_registration_is_refused(cm, phone):
    """Registrations can be refused like commands; the next one is taken."""
    cm.refuse("unauthorized")
    line = phone(cm, register=False)
    line.register(auth_token=cm.auth_token, appid=cm.app_id)
    assert {"error": "unauthorized"} == line.frame()
    line.wait_closed()
    cm.refuse("later", action="subscribe")
    phone(cm)


def test_delayed_responses(cm, phone):
    """Responses are held back for real seconds, events are not, until it is taken back."""
    line = phone(cm)
    cm.delay(0.2)
    began = time.monotonic()
    request_id = line.command("outbound", **DIAL)
    line.event("call_answered")
    line.response(request_id)
    assert time.monotonic() - began > 0.2
    cm.delay(0)
    cm.delay(60, action="subscribe")
    began = time.monotonic()
    line.dial()
    slow = line.command("subscribe", numbers=[])
    with pytest.raises(TimeoutError):
        line.response(slow, timeout=0.05)
    cm.delay(0)
    line.take("subscribe", numbers=[])
    assert time.monotonic() - began < 10


def test_a_delayed_registration(cm, phone):
    """With the registration's answer held back, events come before it."""
    cm.delay(0.1, action="register")
    line = phone(cm, register=False)
    line.register(auth_token=cm.auth_token, appid=cm.app_id)
    cm.wait_for_command("register", timeout=PATIENCE)
    cm.incoming(to="+1800", from_="1")
    assert "call_incoming" == line.frame()["event"]
    assert "registered" == line.frame()["status"]


def test_duplicates(cm, phone):
    """Every event comes twice, responses once."""
    cm.duplicate()
    line = phone(cm)
    call_id = line.dial()
    first, second = line.event("call_answered"), line.event("call_answered")
    assert first == second
    cm.duplicate(False)
    line.take("endcall", callid=call_id)
    line.event("call_hangup")
    assert [] == [e for e in line.events_until_now() if e["event"] == "call_hangup"]


def pressed(line, peer, digits):
    peer.press(digits)
    return "".join(line.event("dtmf_received")["digits"] for _ in digits)


def test_reordered(cm, phone):
    """Events that come together change places, all of them arrive, a seed repeats it."""
    digits = "0123456789*#"
    line = phone(cm)
    peer = cm.peer(line.bridged_call())
    cm.reorder(seed=1)
    shuffled = pressed(line, peer, digits)
    assert (digits != shuffled, sorted(digits)) == (True, sorted(shuffled))
    cm.reorder(seed=1)
    assert shuffled == pressed(line, peer, digits)
    cm.reorder(seed=2)
    assert shuffled != pressed(line, peer, digits)
    cm.reorder(on=False)
    assert digits == pressed(line, peer, digits)


def test_cleared(cm, phone):
    """All faults end at once."""
    cm.silence()
    cm.refuse("no", times=5)
    cm.delay(60)
    cm.duplicate()
    cm.reorder()
    cm.fail_rebridge()
    cm.clear_faults()
    line = phone(cm)
    line.bridged_call()
    names = [event["event"] for event in line.events_until_now()]
    assert ["call_initiated", "call_ringing", "call_answered"] == names


def test_who_does_not_read_is_cut_off(cm, phone, monkeypatch):
    """A client that never reads cannot fill the sandbox's memory."""
    monkeypatch.setattr("telephony.sandbox.clients.MAX_UNSENT", 50)
    line = phone(cm)
    peer = cm.peer(line.bridged_call())
    # What the kernel and aiohttp take by themselves comes first.
    while request(cm, "GET", "/v1/api/websocket-status")[1]["client_count"]:
        peer.press("1" * 5000)


@pytest.mark.parametrize("times", [0, -1, 1.5])
def test_how_often_it_refuses(cm, times):
    """Once or more."""
    with pytest.raises(InvalidArgumentError, match="times"):
        cm.refuse("no", times=times)


@pytest.mark.parametrize("seconds", [-1, "1", True, float("nan")])
def test_how_long_it_delays(cm, seconds):
    """A number of seconds, 0 or more."""
    with pytest.raises(InvalidArgumentError, match="seconds"):
        cm.delay(seconds)


def test_a_fault_of_the_sandbox_itself(cm, phone, caplog):
    """It is told to the client, and in full in the log; the connection stays."""
    line = phone(cm)

    def broken(*_):
        raise ZeroDivisionError("a bug")

    cm.run(lambda: setattr(cm._running.server.commands, "execute", broken))
    answer = line.response(line.command("subscribe", numbers=["+1"]))
    assert "internal error" == answer["error"]
    assert "a bug" in caplog.text
    line.ping()
    line.wait_opcode(PONG)
