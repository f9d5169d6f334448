"""Fault 4: in the Go SDK refusals look like something else."""

from __future__ import annotations

import pytest

from telephony import CallIncoming, CallNotFoundError, CommandRefusedError, DialFailedError
from tests.conftest import DIAL
from tests.regression.conftest import JOIN, answered, dialled, offered, synced
from tests.scripted import SECONDS, Recorded, Running


def refusals(command):
    """The three shapes of a refusal, as the wire has them."""
    echo = {"request_id": command["request_id"]}
    return {
        "error": {"error": "no resource", **echo},
        "success": {
            "response": command["action"], "status_code": 200,
            "data": {"success": False, "reason": "no resource"}, **echo,
        },
        "status": {
            "response": command["action"], "status_code": 503,
            "data": {"reason": "no resource"}, **echo,
        },
    }  # fmt: skip


@pytest.mark.parametrize("shape", ["error", "success", "status"])
def test_a_refused_dial_has_its_reason(connected, shape):
    """However the CM says no to a dial, it is a ``DialFailedError`` with the reason as sent."""
    client, line = connected()
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    line.send(refusals(command)[shape])
    with pytest.raises(DialFailedError) as caught:
        dialling.result()
    assert ("outbound", "no resource") == (caught.value.action, caught.value.reason)
    assert [] == client.calls()
    assert 0 == client.health().in_flight


def test_a_refused_dial_without_a_reason(connected):
    """``success`` false and no word why: no gateways, says protocol.md."""
    client, line = connected()
    dialling = Running(client.dial, **DIAL)
    line.answer(line.receive("outbound"), success=False, gateway_ip="192.0.2.1")
    with pytest.raises(DialFailedError, match="no gateways available") as caught:
        dialling.result()
    assert "no gateways available" == caught.value.reason
    assert ("192.0.2.1", 200) == (caught.value.data["gateway_ip"], caught.value.status_code)


@pytest.mark.parametrize(
    "outcome, reason",
    [("busy", "Busy"), ("no_answer", "No Answer"), ("invalid", "Invalid number"),
     ("no_gateway", "no gateways available")],
)  # fmt: skip
def test_what_the_sandbox_refuses_dials_with(cm, client, outcome, reason):
    """Busy, no answer, invalid number, no gateway: each is told apart by its reason."""
    cm.script_dial(outcome)
    with pytest.raises(DialFailedError) as caught:
        client.dial(**DIAL)
    assert reason == caught.value.reason
    assert [] == client.calls()


COMMANDS = {
    "accept": lambda call: call.accept(**JOIN),
    "reject": lambda call: call.reject("no"),
    "endcall": lambda call: call.hangup(),
    "send_dtmf": lambda call: call.send_dtmf("1"),
    "bridge": lambda call: call.bridge(**JOIN),
    "unbridge": lambda call: call.unbridge(),
    "rebridge": lambda call: call.rebridge(**JOIN),
    "transfer": lambda call: call.transfer("+15550009"),
}


@pytest.mark.parametrize("shape", ["error", "success", "status"])
@pytest.mark.parametrize("action", COMMANDS)
def test_a_refused_command_is_no_success(connected, action, shape):
    """Every command on a call raises what the CM refused it with, and the call lives on."""
    client, line = connected()
    call = answered(client, line)
    running = Running(COMMANDS[action], call)
    line.send(refusals(line.receive(action))[shape])
    with pytest.raises(CommandRefusedError) as caught:
        running.result()
    error = caught.value
    assert (action, "no resource", "call-1") == (error.action, error.reason, error.call_id)
    assert CallNotFoundError is not type(error)
    assert [call] == client.calls() and "answered" == call.state


@pytest.mark.parametrize("action", COMMANDS)
def test_a_404_is_not_found(connected, action):
    """A 404 with nothing else in it is a ``CallNotFoundError``."""
    client, line = connected()
    running = Running(COMMANDS[action], answered(client, line))
    command = line.receive(action)
    line.send(
        {"response": action, "status_code": 404, "data": {}, "request_id": command["request_id"]}
    )
    with pytest.raises(CallNotFoundError) as caught:
        running.result()
    assert 404 == caught.value.status_code


@pytest.mark.parametrize("action", ["subscribe", "brand_new"])
@pytest.mark.parametrize("shape", ["error", "success", "status"])
def test_commands_of_no_call_are_refused_too(connected, action, shape):
    """``subscribe`` and ``command`` raise as well."""
    client, line = connected()
    if action == "subscribe":
        running = Running(client.subscribe, ["+1800"])
    else:
        running = Running(client.command, action)
    line.send(refusals(line.receive(action))[shape])
    with pytest.raises(CommandRefusedError) as caught:
        running.result()
    assert (action, "no resource") == (caught.value.action, caught.value.reason)


def test_the_sandbox_says_not_found(cm, client):
    """A command for a call nobody has is a ``CallNotFoundError``, on the sandbox too."""
    with pytest.raises(CallNotFoundError):
        client.send_dtmf("no-such-call", "1")


def test_a_refusal_masks_our_own_secrets(connected):
    """A reason that repeats our token is shown without it."""
    client, line = connected()
    dialling = Running(client.dial, **{**DIAL, "token": "rtc-secret-token"})
    line.refuse(line.receive("outbound"), "bad token rtc-secret-token for room")
    with pytest.raises(DialFailedError) as caught:
        dialling.result()
    assert "rtc-secret-token" not in f"{caught.value} {caught.value.reason} {caught.value!r}"
    assert caught.value.reason.startswith("bad token ")


def test_answers_in_any_order(connected):
    """Each command has its own answer, whatever the order they come in."""
    client, line = connected()
    running = [Running(client.command, "ask", number=n) for n in range(20)]
    commands = [line.receive("ask") for _ in running]
    for command in reversed(commands):
        line.answer(command, number=command["number"])
    assert list(range(20)) == [asking.result()["data"]["number"] for asking in running]


def test_an_answer_to_no_request_is_nothing(connected):
    """Second answers and answers to nobody change nothing."""
    client, line = connected()
    call = dialled(client, line)
    line.send({"response": "endcall", "status_code": 200, "data": {"success": True},
               "request_id": "endcall_99"})  # fmt: skip
    line.send({"error": "callid not found", "request_id": "outbound_1"})
    synced(client, line)
    assert [call] == client.calls() and call.active


def test_hanging_up_a_call_that_is_gone(connected):
    """``hangup`` of a call the CM knows no more raises, and the call is over here too."""
    client, line = connected()
    call = answered(client, line)
    hanging = Running(call.hangup)
    line.refuse(line.receive("endcall"), "callid not found")
    with pytest.raises(CallNotFoundError):
        hanging.result()
    assert [] == client.calls() and not call.active


def test_the_hold_is_over(cm):
    """An accept after the gateway's 15 s (sped up) is refused, and the call goes at once."""
    client = cm.client()
    kept = Recorded()
    client.on(CallIncoming, lambda event: kept(event) or True)
    with client:
        far = cm.incoming(to="+1800", from_="+1555", hold=25)
        call = kept.next().call
        assert "NO_ANSWER" == far.wait_ended(SECONDS)
        with pytest.raises(CallNotFoundError):
            call.accept(**JOIN)
        assert [] == client.calls()


def test_only_the_first_accept_wins(connected):
    """Refused as not found, an accept drops the call; refused otherwise it stays."""
    client, line = connected()
    call = offered(client, line)
    accepting = Running(call.accept, **JOIN)
    line.refuse(line.receive("accept"), "no resource")
    with pytest.raises(CommandRefusedError):
        accepting.result()
    assert [call] == client.calls()
    accepting = Running(call.accept, **JOIN)
    line.refuse(line.receive("accept"), "callid not found")
    with pytest.raises(CallNotFoundError):
        accepting.result()
    assert [] == client.calls()
