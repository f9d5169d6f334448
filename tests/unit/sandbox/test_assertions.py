"""Assertions about what was sent: what they take, and what they say when they fail."""

from __future__ import annotations

import re

import pytest

from telephony import CallIncoming, Client, CommandRefusedError, InvalidArgumentError
from telephony import WaitTimeoutError
from telephony.sandbox import Sandbox, SandboxNotRunningError
from telephony.sandbox.words import TOLD_CHARACTERS, command
from tests import canary
from tests.conftest import DIAL
from tests.scripted import SECONDS, Running

TO, FROM = DIAL["to"], DIAL["from_"]


@pytest.fixture
def call(client):
    """A call that was dialled."""
    return client.dial(**DIAL)


def failure(assertion, *args, **fields):
    """What an assertion says when it fails; no secret is in it."""
    with pytest.raises(AssertionError) as raised:
        assertion(*args, **fields)
    text = str(raised.value)
    assert [] == [mark for mark in canary.MARKS if mark in text]
    return text.splitlines()


@pytest.mark.parametrize("fields", [
    {}, {"to": TO}, {"to": "1 (800) 555-1234"}, {"to": 18005551234}, {"from_": FROM},
    {"from": FROM}, {"uid": 100}, {"uid": "100", "channel": "room"}, {"app_id": "sandbox-app"},
    {"appid": "sandbox-app"}, {"sip_domain": None}, {"to": TO, "times": 1},
])  # fmt: skip
def test_dialed(cm, call, fields):
    """By any of the fields, in either spelling; numbers by their digits."""
    frame = cm.assert_dialed(**fields)
    assert ("outbound", TO) == (frame["action"], frame["to"])
    with pytest.raises(AssertionError):
        cm.assert_not_dialed(**{name: value for name, value in fields.items() if name != "times"})


@pytest.mark.parametrize("fields", [
    {"to": "+18005551235"}, {"to": "8005551234"}, {"to": f"{TO};dtmf=1"}, {"from_": TO},
    {"uid": 1}, {"to": None}, {"channel": None}, {"sip_domain": "x"}, {"video": True},
    {"times": 2}, {"times": 0}, {"to": ""}, {"uid": True},
])  # fmt: skip
def test_not_dialed(cm, call, fields):
    """Every field has to fit, and so has the number of times."""
    with pytest.raises(AssertionError):
        cm.assert_dialed(**fields)
    if "times" not in fields:
        cm.assert_not_dialed(**fields)


@pytest.mark.parametrize("action, fields, named", [
    ("dial", {}, "'dial'; there are accept, "),
    ("outbound", {"number": "+1800"}, "'number'; there are "),
])
def test_what_nobody_would_ever_send(cm, action, fields, named):
    """Asserting that it was not sent would never fail."""
    with pytest.raises(InvalidArgumentError, match=named):
        cm.assert_not_sent(action, **fields)


def test_digits_behind_a_number(cm, client):
    """They count only where they are asked for."""
    client.dial(**DIAL | {"to": f"{TO};dtmf=12#"})
    cm.assert_dialed(to=TO)
    cm.assert_dialed(to=f"{TO}#12#")
    cm.assert_not_dialed(to=f"{TO};dtmf=13")


def test_none_at_all(cm, client):
    """Nothing of anything: no frame."""
    assert {} == cm.assert_dialed(times=0)
    cm.assert_not_sent("accept")


def test_a_call_stands_for_its_id(cm, call):
    """As an object of the client's, or the far end."""
    call.send_dtmf("1")
    for each in (call, cm.peer(call), call.call_id):
        assert "1" == cm.assert_sent("send_dtmf", call_id=each)["digits"]
        assert "1" == cm.wait_for_command("send_dtmf", callid=each)["digits"]
        call.send_dtmf("1")


def test_lists_of_numbers(cm, client):
    """By their digits, in order, as many."""
    client.subscribe(["+18005551234", "+18005551235"])
    cm.assert_sent("subscribe", numbers=["1 800 555 1234", "18005551235"])
    cm.assert_not_sent("subscribe", numbers=["+18005551234"])
    cm.assert_not_sent("subscribe", numbers=["+18005551235", "+18005551234"])


def test_names_are_compared_as_they_are(cm, client, call):
    """A SIP URI is no number, whatever digits it has."""
    call.transfer("sip:desk1@host")
    cm.assert_sent("transfer", destination="sip:desk1@host")
    cm.assert_not_sent("transfer", destination="sip:door1@host")
    cm.assert_not_sent("transfer", destination="1")


def test_what_was_dialed_instead(cm, client):
    """The nearest first, with what differs; secrets masked."""
    client.dial(**DIAL | {"to": "+18005550001", "channel": "lobby"}).send_dtmf("4")
    client.dial(**DIAL | {"to": "+18005550002"})
    said = failure(cm.assert_dialed, to=TO, channel="room")
    assert f"no client sent outbound to='{TO}' channel='room'" == said[0]
    assert "sent, nearest first:" == said[1]
    assert said[2].startswith("  outbound to='+18005550002' from_='+15551234567' channel='room'")
    assert said[2].endswith("  <- to differs")
    assert said[3].endswith("  <- to and channel differ")
    assert said[4].startswith("  send_dtmf call_id=")
    assert 5 == len(said)
    assert "token=… region='AREA_CODE_NA' sip=…" in said[2]


def test_nothing_was_sent(cm, client):
    """A registration is nothing, unless it is asked for."""
    said = failure(cm.assert_dialed)
    assert ["no client sent outbound", "nothing but a registration was sent"] == said
    said = failure(cm.assert_sent, "register", app_id="other")
    line = "  register auth_token=… .* app_id='sandbox-app'  <- app_id differs"
    assert re.fullmatch(line, said[2])


def test_how_often(cm, call):
    """Too often, and too seldom."""
    said = failure(cm.assert_dialed, times=2)
    assert "the clients did not send outbound twice, but once" == said[0]
    said = failure(cm.assert_dialed, to="+1", times=3)
    assert "the clients did not send outbound to='+1' 3 times, but not at all" == said[0]


def test_what_was_sent_after_all(cm, call):
    """All that fit are shown."""
    call.send_dtmf("1")
    call.send_dtmf("2")
    said = failure(cm.assert_not_sent, "send_dtmf", call_id=call)
    assert f"a client sent send_dtmf call_id='{call.call_id}', twice:" == said[0]
    assert ["'1'", "'2'"] == [line.partition("digits=")[2] for line in said[1:]]


def test_not_too_much_is_said(cm, call):
    """Ten commands, and of long texts a part."""
    for number in range(12):
        call.send_dtmf(str(number))
    said = failure(cm.assert_sent, "send_dtmf", digits="99")
    assert "  … and 3 more" == said[-1]
    assert 13 == len(said)
    long = command("note", {"text": "x" * 1000})
    assert TOLD_CHARACTERS + 20 > len(long)


@pytest.mark.parametrize("fields, expected", [
    ({"to": "sip:alice:pa55word@host"}, "note to='…@host'"),
    ({"to": "host;username=alice;password=pa55word"}, "note to='host;username=…;password=…'"),
    ({"sip": "x", "auth_token": "x", "Authorization": "x", "api_key": "x", "token": None},
     "note sip=… auth_token=… Authorization=… api_key=… token=None"),
    ({"numbers": ["sip:alice:pa55word@host"]}, "note numbers=['…@host']"),
    ({"data": {"rtc_token": "x", "n": 1}}, "note data={'rtc_token': '…', 'n': 1}"),
    ({"sdk_options": '{"token": "x", "n": "1"}'},
     """note sdk_options='{"token": "…", "n": "1"}'"""),
])  # fmt: skip
def test_secrets_are_masked(fields, expected):
    """By the name of the field, and in URIs."""
    assert expected == command("note", fields)


def test_hung_up(cm, client, call):
    """By a client of ours; whatever the call is given as."""
    said = failure(cm.assert_hung_up, call)
    assert re.fullmatch(f"call {call.call_id} was not hung up: it is still (answered|bridged)",
                        said[0])
    assert "nothing was sent for this call" == said[1]
    call.hangup()
    for each in (call, call.call_id, cm.peer(call)):
        cm.assert_hung_up(each)


def test_ended_by_others(cm, client, call):
    """Is not hung up."""
    call.send_dtmf("1")
    cm.peer(call).hang_up("NO_USER_RESPONSE")
    said = failure(cm.assert_hung_up, call)
    assert said[0].endswith("was not hung up: it was ended by far end, with NO_USER_RESPONSE")
    assert "sent for this call:" == said[1]
    assert "digits='1'" in said[2]
    client.on(CallIncoming, lambda event: event.call.reject())
    caller = cm.incoming(to=TO, from_=FROM)
    assert not caller.wait_accepted(SECONDS)
    assert "ended by reject" in failure(cm.assert_hung_up, caller)[0]
    assert ["the sandbox knows no call 'x'"] == failure(cm.assert_hung_up, "x")


def test_a_refused_hangup_does_not_count(cm, client, call):
    """What was sent is not what became of it."""
    cm.refuse("not now", action="endcall")
    with pytest.raises(CommandRefusedError):
        call.hangup()
    said = failure(cm.assert_hung_up, call)
    assert "endcall" in said[2]


def test_waiting_for_a_command(cm, call):
    """By Python's names too; what came instead is in the error."""
    pressing = Running(call.send_dtmf, "7")
    assert "7" == cm.wait_for_command("send_dtmf", timeout=SECONDS, call_id=call)["digits"]
    pressing.result()
    with pytest.raises(WaitTimeoutError) as raised:
        cm.wait_for_command("send_dtmf", timeout=0.01, digits="8")
    said = str(raised.value).splitlines()
    assert "no client sent send_dtmf digits='8' within 0.01 s" == said[0]
    assert "sent, nearest first:" == said[1]
    assert said[2].startswith(f"  outbound to='{TO}'")  # the 7 was returned, and counts no more
    assert 3 == len(said)


def test_the_environment_of_another_process(monkeypatch):
    """A client made from it is the sandbox's."""
    with Sandbox(tokens={"A": "Basic one", "B": "Basic two"}) as cm:
        assert {"CM_HOST": cm.url, "AUTH_TOKEN": "Basic one", "APPID": "A"} == cm.environ
        for name, value in cm.environ.items():
            monkeypatch.setenv(name, value)
        with Client.from_env() as client:
            assert client.connected
    with pytest.raises(SandboxNotRunningError):
        cm.environ
