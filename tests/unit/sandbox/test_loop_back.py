"""Dials to a DID that the sandbox serves: two legs, tied together."""

from __future__ import annotations

import pytest

from telephony import CallIncoming
from tests.unit.sandbox.phone import DIAL, JOIN

DID = "+18005550100"


@pytest.fixture
def loop(sandbox, phone):
    """Return a sandbox that serves a DID, a dialler and somebody who answers."""
    cm = sandbox(dids=[DID])
    return cm, phone(cm, "dialler", subscribe_numbers=["+1999"]), phone(cm, "answerer")


def dial_and_accept(dialler, answerer):
    request_id = dialler.command("outbound", **{**DIAL, "to": DID})
    inbound = answerer.event("call_incoming")["callid"]
    dialler.event("call_ringing")
    answerer.take("accept", callid=inbound, **JOIN)
    outbound = dialler.response(request_id)["data"]["callid"]
    for line, call_id in ((dialler, outbound), (answerer, inbound)):
        line.event("call_answered", callid=call_id)
        line.event("agora_bridge_start", callid=call_id)
    return outbound, inbound


def test_two_calls(loop):
    """The inbound leg is a call of its own, and its accept answers the outbound one."""
    cm, dialler, answerer = loop
    outbound, inbound = dial_and_accept(dialler, answerer)
    assert outbound != inbound
    expected = [("outbound", "dialler", "bridged"), ("inbound", "answerer", "bridged")]
    assert expected == [(call.direction, call.owner, call.state) for call in cm.calls]


@pytest.mark.parametrize("ender", ["dialler", "answerer", "far end"])
def test_either_end_ends_both(loop, ender):
    """Each leg has its own hangup, for its own owner, and says whose goodbye it was."""
    cm, dialler, answerer = loop
    outbound, inbound = dial_and_accept(dialler, answerer)
    if ender == "dialler":
        dialler.take("endcall", callid=outbound)
    elif ender == "answerer":
        answerer.take("hangup", callid=inbound)
    else:
        cm.peer(outbound).hang_up()
    byes = [
        line.event("call_hangup", callid=call_id)["sip_disposition"]
        for line, call_id in ((dialler, outbound), (answerer, inbound))
    ]
    expected = ["send_bye", "recv_bye"] if ender == "dialler" else ["recv_bye", "send_bye"]
    assert expected == byes
    rest = dialler.events_until_now() + answerer.events_until_now()
    assert [] == [event for event in rest if event["event"] == "call_hangup"]


def test_digits_reach_the_other_owner(loop):
    """Digits are echoed to the sender and heard by the other leg's owner."""
    cm, dialler, answerer = loop
    outbound, inbound = dial_and_accept(dialler, answerer)
    dialler.take("send_dtmf", callid=outbound, digits="123")
    assert "123" == dialler.event("dtmf_received", callid=outbound)["digits"]
    assert "123" == answerer.event("dtmf_received", callid=inbound)["digits"]
    answerer.take("send_dtmf", callid=inbound, digits="9#")
    assert "9#" == answerer.event("dtmf_received", callid=inbound)["digits"]
    assert "9#" == dialler.event("dtmf_received", callid=outbound)["digits"]
    assert ("123", "9#") == (cm.peer(outbound).heard, cm.peer(inbound).heard)


def test_digits_of_the_number_reach_the_other_owner(loop):
    """Digits after the answer come after the inbound leg's answer."""
    cm, dialler, answerer = loop
    dialler.command("outbound", **{**DIAL, "to": DID + ";dtmf=77#"})
    inbound = answerer.event("call_incoming")["callid"]
    answerer.take("accept", callid=inbound, **JOIN)
    assert "call_answered" == answerer.frame()["event"]
    assert "77#" == answerer.frame()["digits"]


def test_rejected(loop):
    """Rejecting the inbound leg ends the outbound one: a hangup, and the dial is refused."""
    cm, dialler, answerer = loop
    request_id = dialler.command("outbound", **{**DIAL, "to": DID})
    answerer.take("reject", callid=answerer.event("call_incoming")["callid"], reason="no")
    assert "CALL_REJECTED" == dialler.event("call_hangup")["hangup_cause"]
    data = {"success": False, "reason": "Call Rejected"}
    assert data == dialler.response(request_id)["data"]
    assert [True, True] == [call.ended for call in cm.calls]
    assert [] == answerer.events_until_now()


def test_hold_ends(sandbox, phone):
    """Nobody accepts in time: no answer."""
    cm = sandbox(dids=[DID], lookup_hold=4)
    line = phone(cm)
    assert "No Answer" == line.ask("outbound", **{**DIAL, "to": DID})["data"]["reason"]


def test_the_dial_times_out(loop):
    """The dial's own timeout ends both legs before the hold does."""
    cm, dialler, answerer = loop
    response = dialler.ask("outbound", **{**DIAL, "to": DID, "timeout": "3"})
    assert "No Answer" == response["data"]["reason"]
    inbound = answerer.event("call_incoming")["callid"]
    assert "callid not found" == answerer.ask("accept", callid=inbound, **JOIN)["error"]


def test_an_answered_dial_does_not_time_out(loop):
    """The dial's timeout is for ringing only."""
    cm, dialler, answerer = loop
    request_id = dialler.command("outbound", **{**DIAL, "to": DID, "timeout": "50"})
    answerer.take("accept", callid=answerer.event("call_incoming")["callid"], **JOIN)
    outbound = dialler.response(request_id)["data"]["callid"]
    # More than the timeout on the call clock.
    with pytest.raises(TimeoutError):
        dialler.wait(lambda frame: frame.get("event") == "call_hangup", timeout=0.6)
    dialler.take("endcall", callid=outbound)


def test_nobody_serves_the_did(sandbox, phone):
    """A DID of ours with nobody to answer is not found."""
    cm = sandbox(dids=[DID])
    line = phone(cm, subscribe_numbers=["+1999"])
    assert "Not Found" == line.ask("outbound", **{**DIAL, "to": DID})["data"]["reason"]


def test_the_dialler_gives_up(loop):
    """Ending the outbound leg while it rings takes the offer back."""
    cm, dialler, answerer = loop
    request_id = dialler.command("outbound", **{**DIAL, "to": DID})
    inbound = answerer.event("call_incoming")["callid"]
    dialler.take("endcall", callid=cm.calls[0].call_id)
    assert "Originator Cancel" == dialler.response(request_id)["data"]["reason"]
    assert "callid not found" == answerer.ask("accept", callid=inbound, **JOIN)["error"]


def test_one_client_at_both_ends(sandbox, phone):
    """A client may dial its own DID; its legs are told apart by their ids."""
    cm = sandbox(dids=[DID])
    line = phone(cm)
    outbound, inbound = dial_and_accept(line, line)
    line.take("hangup", callid=inbound)
    assert outbound == line.event("call_hangup", direction="outbound")["callid"]
    assert inbound == line.event("call_hangup", direction="inbound")["callid"]


def test_across_app_ids(sandbox, phone):
    """The inbound leg belongs to the App ID of the DID."""
    cm = sandbox(dids={"app-a": [], "app-b": [DID]})
    dialler, answerer = phone(cm, "a", appid="app-a"), phone(cm, "b", appid="app-b")
    dialler.command("outbound", **{**DIAL, "to": DID})
    assert "app-b" == answerer.event("call_incoming")["appid"]
    assert "app-a" == dialler.event("call_ringing")["appid"]


def test_a_subscribed_number_is_served(cm, phone):
    """Without an allow-list the DIDs served are those that clients subscribe to."""
    line = phone(cm, subscribe_numbers=["+1 800 555 0100"])
    line.dial(to="+18005550101")
    assert [] == [event for event in line.events_until_now() if event["direction"] == "inbound"]
    line.command("outbound", **{**DIAL, "to": DID})
    line.event("call_incoming")


def test_a_script_comes_first(loop):
    """A script can make a DID of ours busy."""
    cm, dialler, answerer = loop
    cm.script_dial("busy")
    assert "Busy" == dialler.ask("outbound", **{**DIAL, "to": DID})["data"]["reason"]
    assert [] == answerer.events_until_now()


def test_a_number_that_loops_back_without_an_allow_list(sandbox, phone):
    """For a client subscribed to nothing too; other numbers simply answer."""
    cm = sandbox(loop_back=["+18005550100"])
    one = phone(cm)
    one.command("outbound", **{**DIAL, "to": "+1 (800) 555-0100"})
    assert "call_incoming" == one.event("call_incoming")["event"]


def test_a_did_of_two_app_ids_goes_where_somebody_is(sandbox):
    """A lookup reaches the App ID whose clients are there."""
    cm = sandbox(app_ids=["app-a", "app-b"], dids={"app-a": ["+18001"], "app-b": ["+18001"]})
    with cm.client(app_id="app-b") as client:
        client.on(CallIncoming, lambda event: event.call.accept(token="t", channel="c", uid="1"))
        assert cm.incoming(to="+18001", from_="+1555").wait_accepted(10)
