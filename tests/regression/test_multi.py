"""MULTI mode: one client, several App IDs, every command with its own."""

from __future__ import annotations

import pytest

from telephony import CallIncoming, InvalidArgumentError
from telephony.sandbox import Sandbox
from tests.conftest import DIAL, PATIENT
from tests.regression.conftest import JOIN, answered, dialled, offered, synced
from tests.scripted import SECONDS, Recorded, Running


def test_the_registration_says_multi(scripted):
    """The word itself is sent as the App ID."""
    client = scripted.client(app_id="MULTI")
    connecting = Running(client.connect)
    assert "MULTI" == scripted.line().greet()["appid"]
    connecting.result()
    client.close()


@pytest.mark.parametrize("app_id", [None, "", "MULTI"])
def test_no_app_id_is_no_dial(connected, app_id):
    """Nor accept nor bridge of a call whose App ID is not known; nothing is sent."""
    client, line = connected(app_id="MULTI")
    for command in (
        lambda: client.dial(**DIAL, app_id=app_id),
        lambda: client.accept("call-5", **JOIN, app_id=app_id),
        lambda: client.bridge("call-5", **JOIN, app_id=app_id),
    ):
        with pytest.raises(InvalidArgumentError, match="app_id"):
            command()
    synced(client, line)
    assert line.nothing_came() and [] == client.calls()


def test_every_command_carries_the_calls_app_id(connected):
    """Reject and re-bridge included; ``subscribe`` carries none."""
    client, line = connected(app_id="MULTI")
    call = answered(client, line, app_id="APP-B")
    rejected = offered(client, line, appid="APP-C")
    commands = [
        ("send_dtmf", lambda: call.send_dtmf("1"), "APP-B"),
        ("bridge", lambda: call.bridge(**JOIN), "APP-B"),
        ("unbridge", lambda: call.unbridge(), "APP-B"),
        ("rebridge", lambda: call.rebridge(**JOIN), "APP-B"),
        ("transfer", lambda: call.transfer("+1555"), "APP-B"),
        ("reject", lambda: rejected.reject(), "APP-C"),
        ("endcall", lambda: call.hangup(), "APP-B"),
        ("subscribe", lambda: client.subscribe(["+1800"]), None),
    ]
    for action, command, app_id in commands:
        running = Running(command)
        frame = line.receive(action)
        assert app_id == frame.get("appid"), action
        line.answer(frame)
        running.result()


def test_the_token_provider_hears_the_app_id(connected):
    """It is asked with channel, uid and the App ID of the call, where no token is given."""
    asked = []

    def provide(channel, uid, app_id):
        asked.append((channel, uid, app_id))
        return f"token-{app_id}"

    client, line = connected(app_id="MULTI", token_provider=provide)
    dialling = Running(client.dial, **{**DIAL, "token": None, "uid": 7}, app_id="APP-A")
    frame = line.receive("outbound")
    assert ("token-APP-A", "7") == (frame["token"], frame["uid"])
    line.answer(frame, callid="call-1")
    dialling.result()
    accepting = Running(offered(client, line, appid="APP-B").accept, channel="c", uid="8")
    frame = line.receive("accept")
    assert ("token-APP-B", "APP-B") == (frame["token"], frame["appid"])
    line.answer(frame)
    accepting.result()
    assert [("room", "7", "APP-A"), ("c", "8", "APP-B")] == asked


def test_events_of_an_app_id_that_is_not_told(connected):
    """A composite finds its call by the App ID in it, not by the route alone."""
    client, line = connected(app_id="MULTI")
    one = dialled(client, line, "call-a", app_id="APP-A")
    two = dialled(client, line, "call-b", app_id="APP-B")
    line.event("call_hangup", "APP-A:room:100", hangup_cause="USER_BUSY")
    assert "USER_BUSY" == one.wait_ended(SECONDS).hangup_cause
    synced(client, line)
    assert [two] == client.calls() and two.active


def test_two_app_ids_on_the_sandbox():
    """Calls of two App IDs on one route, inbound and outbound, hung up one by one."""
    with Sandbox(**PATIENT, dids={"app-a": ["+18001"], "app-b": ["+18002"]}) as cm:
        with cm.client(app_id="MULTI") as client:
            kept = Recorded()
            client.on(CallIncoming, lambda event: kept(event) or True)
            one, two = (client.dial(**DIAL, app_id=app) for app in ("app-a", "app-b"))
            for number, app in (("+18001", "app-a"), ("+18002", "app-b")):
                cm.incoming(to=number, from_="+1555")
                call = kept.next().call
                assert app == call.app_id
                call.accept(token="t", channel="in", uid="1")
                call.wait_bridged(SECONDS)
            assert 4 == len(client.calls())
            two.hangup()
            assert "NORMAL_CLEARING" == two.wait_ended(SECONDS).hangup_cause
            assert one.active and one in client.calls()
            for call in client.calls():
                call.hangup()
                call.wait_ended(SECONDS)
            assert [] == client.calls()
