"""Handshake, authorization, MULTI, keepalive, and who is told what after a reconnect."""

from __future__ import annotations

import pytest

from telephony.sandbox.clients import Registry
from tests.unit.sandbox.phone import DIAL, PATIENCE, Phone, request

PING, PONG = 0x9, 0xA


def test_handshake(cm, phone):
    """The CM speaks first, with a session id, and then takes the client in."""
    first, second = phone(cm, "one"), phone(cm, "two")
    assert {"status", "session_id"} == set(first.hello)
    assert "connected" == first.hello["status"]
    assert first.hello["session_id"] != second.hello["session_id"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth_token": "Basic wrong"},
        {"appid": "not-served"},
        {"auth_token": None},
        {"appid": 7},
        {"auth_token": ""},
    ],
)
def test_unauthorized(cm, phone, wrong):
    """A wrong token or App ID is refused in the CM's words, and the socket closed."""
    line = phone(cm, register=False)
    line.register(**{"auth_token": cm.auth_token, "appid": cm.app_id, **wrong})
    assert {"error": "unauthorized"} == line.frame()
    line.wait_closed()
    assert 0 == request(cm, "GET", "/v1/api/websocket-status")[1]["client_count"]


def test_client_id_is_needed(cm, phone):
    """A registration without a name is refused by naming the field."""
    line = phone(cm, "", register=False)
    line.register(auth_token=cm.auth_token, appid=cm.app_id)
    assert {"error": "missing parameters: client_id"} == line.frame()


def test_subscriptions_must_be_numbers(cm, phone):
    """A registration with a broken list is refused."""
    line = phone(cm, register=False)
    line.register(auth_token=cm.auth_token, appid=cm.app_id, subscribe_numbers=[5])
    assert {"error": "subscribe_numbers must be a list of strings"} == line.frame()


def test_tokens_per_app_id(sandbox, phone):
    """An App ID with a token of its own opens with that only; the others with the common one."""
    cm = sandbox(app_ids=["app-a", "app-b"], tokens={"app-b": "Basic b"}, auth_token="Basic main")
    phone(cm, "a", appid="app-a")
    phone(cm, "b", appid="app-b", auth_token="Basic b")
    phone(cm, "m", appid="MULTI")
    for app_id, token in [("app-b", "Basic main"), ("app-a", "Basic b"), ("MULTI", "Basic b")]:
        line = phone(cm, register=False)
        line.register(appid=app_id, auth_token=token)
        assert {"error": "unauthorized"} == line.frame()


def test_multi_needs_an_app_id_in_every_command(sandbox, phone):
    """In MULTI mode a command without a real App ID is refused, one with it carried out."""
    cm = sandbox(app_ids=["app-a", "app-b"])
    line = phone(cm, appid="MULTI")
    refusal = "appid required in MULTI mode"
    assert refusal == line.ask("outbound", **DIAL)["error"]
    assert refusal == line.ask("outbound", **DIAL, appid="MULTI")["error"]
    assert "appid not authorized" == line.ask("outbound", **DIAL, appid="app-c")["error"]
    call_id = line.dial(appid="app-b")
    assert "app-b" == line.event("call_answered", callid=call_id)["appid"]
    for action in ("endcall", "hangup", "unbridge", "reject", "accept"):
        assert refusal == line.ask(action, callid=call_id)["error"]
    assert "callid not found" == line.ask("endcall", callid=call_id, appid="app-a")["error"]
    line.take("endcall", callid=call_id, appid="app-b")
    line.take("subscribe", numbers=["+1800"])


def test_another_app_id_than_ones_own(sandbox, phone):
    """A client of one App ID cannot speak for another."""
    cm = sandbox(app_ids=["app-a", "app-b"])
    line = phone(cm, appid="app-a")
    assert "appid not authorized" == line.ask("outbound", **DIAL, appid="app-b")["error"]


def test_register_comes_first(cm, phone):
    """Commands before the registration are refused; the connection stays."""
    line = phone(cm, register=False)
    expected = {"error": "not registered", "request_id": "outbound_1"}
    assert expected == line.ask("outbound", **DIAL)
    line.register(auth_token=cm.auth_token, appid=cm.app_id)
    assert "registered" == line.frame()["status"]


def test_register_comes_in_time(sandbox, phone):
    """Who does not register is told so and closed."""
    line = phone(sandbox(register_timeout=0.05), register=False)
    assert {"error": "not registered in time"} == line.frame()
    line.wait_closed()


def test_who_registered_in_time_stays(sandbox, phone):
    """The time to register ends with the registration."""
    line = phone(sandbox(register_timeout=0.3))
    with pytest.raises(TimeoutError):
        line.frame(timeout=0.4)
    line.take("subscribe", numbers=[])


def test_second_registration_replaces_the_first(cm, phone):
    """One client_id, one connection: the newest."""
    old = phone(cm, "same")
    new = phone(cm, "same")
    old.wait_closed()
    status = request(cm, "GET", "/v1/api/websocket-status")[1]
    assert ["same"] == [client["client_id"] for client in status["clients"]]
    assert cm.incoming(to="+1800", from_="+1555").ended is False
    assert "+1800" == new.event("call_incoming")["did"]


def test_events_follow_the_client_id(cm, phone):
    """A call's events go to its client wherever it is now; what it missed is lost."""
    line = phone(cm, "mover")
    other = phone(cm, "other")
    call_id = line.bridged_call()
    line.close()
    peer = cm.peer(call_id)
    while request(cm, "GET", "/v1/api/websocket-status")[1]["client_count"] > 1:
        pass
    peer.press("1")
    again = phone(cm, "mover")
    peer.press("2")
    assert "2" == again.event("dtmf_received", callid=call_id)["digits"]
    again.take("endcall", callid=call_id)
    again.event("call_hangup", callid=call_id)
    assert [] == other.events_until_now()


def test_pings_are_answered(cm, phone):
    """A ping comes back as a pong, payload and all."""
    line = phone(cm)
    line.ping()
    assert b"are you there" == line.wait_opcode(PONG)


def test_the_cm_pings(sandbox, phone):
    """The CM pings by itself."""
    line = phone(sandbox(ping_interval=0.05))
    line.wait_opcode(PING)
    line.wait_opcode(PING)


def test_a_silent_peer_is_dropped(sandbox):
    """No ping, pong or frame for too long: the connection is cut."""
    cm = sandbox(ping_interval=0.05, ping_timeout=1.5)
    line = Phone(cm)
    # Nothing is read, so no ping is answered.
    cm.wait_for_command("register", timeout=PATIENCE)
    while request(cm, "GET", "/v1/api/websocket-status")[1]["client_count"]:
        pass
    line.close()


def test_a_peer_that_answers_is_not_dropped(sandbox, phone):
    """Pongs are life enough."""
    cm = sandbox(ping_interval=0.05, ping_timeout=1.5)
    line = phone(cm)
    for _ in range(40):
        line.wait_opcode(PING)
    line.take("subscribe", numbers=[])


def test_a_replaced_connection_is_offered_nothing():
    """From the moment it is replaced, not from the moment its socket is closed."""

    class Line:
        client_id = app_id = ""
        numbers = ()

    registry, old, new = Registry(), Line(), Line()
    assert None is registry.register(old, "same", "app", ["1800"])
    assert old is registry.register(new, "same", "app", [])
    assert [new] == registry.eligible("app", "1800")
    registry.remove(old)
    assert new is registry.get("same")
