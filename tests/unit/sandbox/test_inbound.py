"""Inbound calls: who is offered them, who gets them, and what the caller hears."""

from __future__ import annotations

import pytest

from telephony.errors import InvalidArgumentError, TelephonyError, WaitTimeoutError
from tests.unit.sandbox.phone import JOIN, PATIENCE, Lookup, request

DID = "+18005550100"


def test_accepted(cm, phone):
    """The whole life of an inbound call."""
    line = phone(cm)
    caller = cm.incoming(to=DID, from_="+1555", sip_headers={"X-Tenant": "7"})
    assert (False, "incoming", None) == (caller.accepted, caller.state, caller.sip_status)
    offer = line.event("call_incoming")
    assert caller.call_id == offer["callid"]
    assert (DID, DID, "+1555") == (offer["did"], offer["to"], offer["from"])
    assert ("inbound", cm.app_id) == (offer["direction"], offer["appid"])
    assert {"X-Tenant": "7"} == offer["sip_headers"]
    line.take("accept", callid=caller.call_id, **JOIN)
    assert caller.wait_accepted(PATIENCE) is True
    assert 200 == caller.sip_status
    answered = line.frame()
    assert "call_answered" == answered["event"]
    assert ("support", "200") == (answered["channel"], answered["uid"])
    assert "agora_bridge_start" == line.frame()["event"]
    line.take("hangup", callid=caller.call_id)
    assert "agora_bridge_end" == line.frame()["event"]
    hangup = line.frame()
    assert "call_hangup" == hangup["event"]
    assert ("NORMAL_CLEARING", "send_bye") == (hangup["hangup_cause"], hangup["sip_disposition"])
    assert "NORMAL_CLEARING" == caller.wait_ended(PATIENCE)
    assert "hangup" == cm.calls[0].ended_by


def test_pin(cm, phone):
    """A pin, and the SIP headers, come with an inbound call_initiated to who accepted."""
    line = phone(cm)
    caller = cm.incoming(to=DID, from_="+1555", pin="4711", sip_headers={"X-A": "b"})
    assert "pin" not in line.event("call_incoming")
    line.take("accept", callid=caller.call_id, **JOIN)
    initiated = line.frame()
    assert "call_initiated" == initiated["event"]
    assert ("4711", {"X-A": "b"}) == (initiated["pin"], initiated["sip_headers"])
    assert "call_answered" == line.frame()["event"]


def test_nobody_there(cm):
    """With no client the caller hears a 404 at once."""
    caller = cm.incoming(to=DID, from_="+1555")
    assert (True, False, 404) == (caller.ended, caller.accepted, caller.sip_status)
    assert "UNALLOCATED_NUMBER" == caller.hangup_cause
    assert caller.wait_accepted(PATIENCE) is False


def test_who_is_eligible(sandbox, phone):
    """Registered for the DID's App ID or MULTI, and subscribed to the DID or to nothing."""
    cm = sandbox(app_ids=["app-a", "app-b"])
    eligible = [
        phone(cm, "all", appid="app-a"),
        phone(cm, "this", appid="app-a", subscribe_numbers=["1 (800) 555-0100", "+1999"]),
        phone(cm, "multi", appid="MULTI"),
        phone(cm, "multi-this", appid="MULTI", subscribe_numbers=[DID]),
    ]
    others = [
        phone(cm, "other-did", appid="app-a", subscribe_numbers=["+1999"]),
        phone(cm, "other-app", appid="app-b"),
        phone(cm, "multi-other", appid="MULTI", subscribe_numbers=["+1999"]),
    ]
    caller = cm.incoming(to=DID, from_="+1555")
    for line in eligible:
        offers = [event["callid"] for event in line.events_until_now()]
        assert [caller.call_id] == offers, line.client_id
    for line in others:
        assert [] == line.events_until_now(), line.client_id


def test_a_did_without_digits(cm, phone):
    """A call for a name, not a number, is offered once to those who take everything."""
    line = phone(cm)
    caller = cm.incoming(to="reception", from_="+1555")
    assert [caller.call_id] == [event["callid"] for event in line.events_until_now()]


def test_allow_list(sandbox, phone):
    """With an allow-list a DID's calls go to its App ID, and other numbers to nobody."""
    cm = sandbox(dids={"app-a": [DID], "app-b": ["+1900", DID]})
    assert ("app-a", "app-b") == cm.app_ids
    a, b = phone(cm, "a", appid="app-a"), phone(cm, "b", appid="app-b")
    assert "app-a" == (cm.incoming(to=DID, from_="1"), a.event("call_incoming"))[1]["appid"]
    assert "app-b" == (cm.incoming(to="1900", from_="1"), b.event("call_incoming"))[1]["appid"]
    cm.incoming(to=DID, from_="1", app_id="app-b")
    assert "app-b" == b.event("call_incoming")["appid"]
    assert cm.incoming(to="+1901", from_="1").ended
    assert cm.incoming(to="+1900", from_="1", app_id="app-a").ended
    assert [] == a.events_until_now() + b.events_until_now()


def test_first_accept_wins(cm, phone):
    """All are offered the call, one gets it, and only that one hears of it from then on."""
    lines = [phone(cm, f"client-{number}") for number in range(3)]
    caller = cm.incoming(to=DID, from_="+1555")
    for line in lines:
        line.event("call_incoming", callid=caller.call_id)
    answers = [line.ask("accept", callid=caller.call_id, **JOIN) for line in lines]
    assert {"success": True} == answers[0]["data"]
    assert ["callid not found"] * 2 == [answer["error"] for answer in answers[1:]]
    for line in lines[1:]:
        for action, more in [("hangup", {}), ("send_dtmf", {"digits": "1"}), ("bridge", JOIN)]:
            refusal = line.ask(action, callid=caller.call_id, **more)
            assert "callid not found" == refusal["error"]
    again = lines[0].ask("accept", callid=caller.call_id, **JOIN)
    assert "call already accepted" == again["error"]
    caller.press("5")
    lines[0].event("dtmf_received", digits="5")
    assert [] == lines[1].events_until_now() + lines[2].events_until_now()


def test_only_who_was_offered_may_accept(sandbox, phone):
    """A client that the call was not for cannot take it or turn it away."""
    cm = sandbox()
    phone(cm, "in")
    out = phone(cm, "out", subscribe_numbers=["+1999"])
    caller = cm.incoming(to=DID, from_="+1555")
    assert "callid not found" == out.ask("accept", callid=caller.call_id, **JOIN)["error"]
    assert "callid not found" == out.ask("reject", callid=caller.call_id)["error"]
    assert caller.ended is False


def test_rejected(cm, phone):
    """A reject lets the caller hear a 404; the call is nobody's then."""
    line, other = phone(cm, "one"), phone(cm, "two")
    caller = cm.incoming(to=DID, from_="+1555")
    line.take("reject", callid=caller.call_id, reason="busy")
    assert "CALL_REJECTED" == caller.wait_ended(PATIENCE)
    assert (False, 404) == (caller.accepted, caller.sip_status)
    assert "callid not found" == other.ask("accept", callid=caller.call_id, **JOIN)["error"]


def test_hold_ends(sandbox, phone):
    """Nobody accepts in time: 404, and who comes later does not find the call."""
    cm = sandbox(lookup_hold=5)
    line = phone(cm)
    caller = cm.incoming(to=DID, from_="+1555")
    assert "NO_ANSWER" == caller.wait_ended(PATIENCE)
    assert 404 == caller.sip_status
    assert "callid not found" == line.ask("accept", callid=caller.call_id, **JOIN)["error"]


def test_an_accepted_call_is_not_held(sandbox, phone):
    """The hold is for calls that nobody has accepted."""
    cm = sandbox(lookup_hold=50)
    line = phone(cm)
    caller = cm.incoming(to=DID, from_="+1555")
    line.take("accept", callid=caller.call_id, **JOIN)
    line.event("agora_bridge_start")
    assert line.hears_nothing(0.6)
    assert caller.ended is False


def test_cm_hold_bounds_the_lookup(sandbox, phone):
    """The CM holds no call longer than its own limit, and a call may have its own."""
    cm = sandbox(lookup_hold=1e6, cm_hold=3)
    phone(cm)
    assert "NO_ANSWER" == cm.incoming(to=DID, from_="+1555").wait_ended(PATIENCE)
    cm = sandbox()
    phone(cm)
    assert "NO_ANSWER" == cm.incoming(to=DID, from_="+1555", hold=1).wait_ended(PATIENCE)


def test_the_caller_gives_up(cm, phone):
    """A caller may hang up before anybody accepts."""
    line = phone(cm)
    caller = cm.incoming(to=DID, from_="+1555")
    caller.hang_up("ORIGINATOR_CANCEL")
    assert caller.ended
    assert "callid not found" == line.ask("accept", callid=caller.call_id, **JOIN)["error"]


def test_far_end(cm, phone):
    """The caller presses keys, one event each or one in all, hears digits, and hangs up."""
    line = phone(cm)
    caller = cm.incoming(to=DID, from_="+1555")
    with pytest.raises(TelephonyError, match="is incoming"):
        caller.press("1")
    line.take("accept", callid=caller.call_id, **JOIN)
    caller.press("12#")
    assert ["1", "2", "#"] == [line.event("dtmf_received")["digits"] for _ in range(3)]
    caller.press("12#", together=True)
    assert "12#" == line.event("dtmf_received")["digits"]
    for wrong in ("", "A", "1 2"):
        with pytest.raises(InvalidArgumentError, match="digits"):
            caller.press(wrong)
    line.take("send_dtmf", callid=caller.call_id, digits="98")
    assert "98" == caller.wait_heard("98", PATIENCE)
    assert "98" == caller.heard
    with pytest.raises(WaitTimeoutError, match="heard"):
        caller.wait_heard("7", timeout=0.01)
    with pytest.raises(WaitTimeoutError, match="ended"):
        caller.wait_ended(timeout=0.01)
    caller.hang_up("USER_BUSY")
    hangup = line.event("call_hangup")
    assert ("USER_BUSY", "recv_bye") == (hangup["hangup_cause"], hangup["sip_disposition"])
    caller.hang_up()
    assert ("USER_BUSY", "far end") == (caller.hangup_cause, cm.calls[0].ended_by)


def test_waiting_for_an_accept_that_does_not_come(cm, phone):
    """A wait has an end."""
    phone(cm)
    caller = cm.incoming(to=DID, from_="+1555")
    with pytest.raises(WaitTimeoutError, match="answered"):
        caller.wait_accepted(timeout=0.01)


def test_subscribe_replaces(cm, phone):
    """A subscription replaces the whole list; an empty one is everything again."""
    line = phone(cm, subscribe_numbers=["+1100"])
    assert cm.incoming(to="+1200", from_="1").ended
    line.take("subscribe", numbers=["+1200", "+1300"])
    assert not cm.incoming(to="+1200", from_="1").ended
    assert cm.incoming(to="+1100", from_="1").ended
    status = request(cm, "GET", "/v1/api/websocket-status")[1]
    assert ["1200", "1300"] == status["clients"][0]["subscribed_numbers"]
    for everything in ([], None):
        line.take("subscribe", numbers=everything)
        assert not cm.incoming(to="+1100", from_="1").ended
        line.take("subscribe", numbers=["+1200"])
    for wrong in ("+1100", [5], ["nobody"]):
        assert "numbers" in line.ask("subscribe", numbers=wrong)["error"]


def test_lookup_accepted(cm, phone):
    """The gateway hears where to join from the first accept."""
    line = phone(cm)
    lookup = Lookup(cm, DID, callid="call-from-gateway", pin="12")
    offer = line.event("call_incoming")
    assert "call-from-gateway" == offer["callid"]
    line.take(
        "accept", callid="call-from-gateway", **JOIN, webhook_url="http://hook",
        sdk_options="{}", audio_scenario="10", video=True,
    )  # fmt: skip
    status, body = lookup.answer()
    expected = {
        "token": "rtc-2", "channel": "support", "uid": "200", "appid": cm.app_id,
        "webhook_url": "http://hook", "sdk_options": "{}", "audio_scenario": "10", "video": True,
    }  # fmt: skip
    assert (200, expected) == (status, body)
    assert line.event("call_answered")["video"] is True
    assert "12" == line.event("call_initiated")["pin"]


def test_the_cm_adds_its_webhook(cm, phone):
    """A client need not say where the gateway reports to."""
    line = phone(cm)
    lookup = Lookup(cm, DID)
    line.take("accept", callid=line.event("call_incoming")["callid"], **JOIN)
    assert lookup.answer()[1]["webhook_url"].startswith(cm.http_url)


def test_lookup_rejected_or_too_long(sandbox, phone):
    """A reject, and the hold's end, are a 404 to the gateway."""
    cm, hasty = sandbox(), sandbox(lookup_hold=5)
    line, slow = phone(cm), phone(hasty)
    lookup = Lookup(cm, DID)
    line.take("reject", callid=line.event("call_incoming")["callid"], reason="no")
    assert 404 == lookup.answer()[0]
    assert 404 == Lookup(hasty, DID).answer()[0]
    slow.event("call_incoming")


def test_lookup_for_nobody(cm):
    """No eligible client: 500 not found."""
    assert (500, {"error": "not found"}) == Lookup(cm, DID).answer()


def test_lookup_given_up(cm, phone):
    """A gateway that does not wait any more takes its call with it."""
    import http.client
    import json
    from urllib.parse import urlsplit

    line = phone(cm)
    gateway = http.client.HTTPConnection(urlsplit(cm.http_url).netloc, timeout=PATIENCE)
    gateway.request("POST", "/v1/api/service", json.dumps({"action": "lookup", "did": DID}))
    call_id = line.event("call_incoming")["callid"]
    gateway.close()
    assert "ORIGINATOR_CANCEL" == cm.peer(call_id).wait_ended(PATIENCE)
    assert "callid not found" == line.ask("accept", callid=call_id, **JOIN)["error"]


def test_lookups_that_make_no_sense(cm, phone):
    """What is wrong with a lookup is said, and breaks nothing."""
    phone(cm)
    taken = cm.incoming(to=DID, from_="1").call_id
    for body, status, error in [
        ("{", 400, "not a JSON object"),
        ([], 400, "not a JSON object"),
        ({"action": "look"}, 400, "unknown action"),
        ({"action": "lookup"}, 500, "missing parameters: did"),
        ({"action": "lookup", "did": DID, "callerid": 5}, 500, "must be strings"),
        ({"action": "lookup", "did": DID, "callid": taken}, 500, "in use"),
    ]:
        answer = request(cm, "POST", "/v1/api/service", body)
        assert status == answer[0]
        assert error in answer[1]["error"]
