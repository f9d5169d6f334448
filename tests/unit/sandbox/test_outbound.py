"""Dials: their events, their responses, their refusals."""

from __future__ import annotations

import time

import pytest

from telephony.errors import InvalidArgumentError, TelephonyError
from telephony.sandbox import CallRecord
from tests.unit.sandbox.phone import DIAL

COMMON = {
    "event", "callid", "timestamp", "uid", "channel", "to", "from", "direction", "appid", "video",
}  # fmt: skip


def test_answered(cm, phone):
    """The whole life of a call, every frame in its place."""
    line = phone(cm)
    request_id = line.command("outbound", **DIAL)
    initiated, ringing = line.frame(), line.frame()
    assert ("call_initiated", "") == (initiated["event"], initiated["callid"])
    assert ("call_ringing", "") == (ringing["event"], ringing["callid"])
    response = line.frame()
    call_id = response["data"]["callid"]
    expected = {
        "response": "outbound",
        "status_code": 200,
        "data": {"success": True, "callid": call_id},
        "request_id": request_id,
    }
    assert expected == response
    answered, bridged = line.frame(), line.frame()
    assert ("call_answered", call_id) == (answered["event"], answered["callid"])
    assert ("agora_bridge_start", call_id) == (bridged["event"], bridged["callid"])
    peer = cm.peer(call_id)
    assert "bridged" == peer.state
    peer.hang_up()
    unbridged, hangup = line.frame(), line.frame()
    assert "agora_bridge_end" == unbridged["event"]
    assert "call_hangup" == hangup["event"]
    assert "NORMAL_CLEARING" == hangup["hangup_cause"]
    assert "recv_bye" == hangup["sip_disposition"]
    assert hangup["duration"].isdigit() and hangup["billsec"].isdigit()
    # It rang for 2 s of a clock on which a moment more of a busy machine is a second.
    assert 2 <= int(hangup["duration"]) - int(hangup["billsec"]) <= int(hangup["duration"])
    (record,) = cm.calls
    assert isinstance(record, CallRecord)
    assert ("hangup", "far end") == (record.state, record.ended_by)
    for event in (initiated, ringing, answered, bridged, unbridged, hangup):
        assert COMMON <= set(event)
        assert "outbound" == event["direction"]
        assert cm.app_id == event["appid"]
        assert (DIAL["channel"], DIAL["uid"]) == (event["channel"], event["uid"])
        assert (DIAL["to"], DIAL["from"]) == (event["to"], event["from"])
        assert event["video"] is False
        assert int is type(event["timestamp"])
        assert abs(event["timestamp"] - time.time()) < 5
        assert "token" not in event


def test_the_clock(sandbox, phone):
    """It rings after one second of the call clock, and is answered after one more."""
    line = phone(sandbox(time_scale=10.0))
    began = time.monotonic()
    request_id = line.command("outbound", **DIAL)
    line.event("call_initiated")
    line.event("call_ringing")
    ringing = time.monotonic() - began
    line.response(request_id)
    answered = time.monotonic() - began
    assert 0.09 < ringing < answered
    assert 0.19 < answered < 5


@pytest.mark.parametrize(
    ("outcome", "data", "events"),
    [
        ("busy", {"success": False, "reason": "Busy"}, ["call_initiated"]),
        (
            "no_answer",
            {"success": False, "reason": "No Answer"},
            ["call_initiated", "call_ringing"],
        ),
        ("no_gateway", {"success": False}, []),
        ("invalid", {"success": False, "reason": "Invalid number"}, []),
    ],
)
def test_refused(cm, phone, outcome, data, events):
    """What goes wrong is a refusal, and no call is left; the dial after it is answered."""
    cm.script_dial(outcome)
    line = phone(cm)
    response = line.ask("outbound", **DIAL)
    expected = {
        "response": "outbound", "status_code": 200, "data": data, "request_id": "outbound_1",
    }  # fmt: skip
    assert expected == response
    assert events == [event["event"] for event in line.events_until_now()]
    assert all(call.ended for call in cm.calls)
    line.dial()


def test_scripts_queue(cm, phone):
    """Each dial takes the oldest script that is for its number or for any."""
    cm.script_dial("busy", to="+1 (999)")
    cm.script_dial("invalid", reason="No such prefix")
    cm.script_dial("no_answer")
    line = phone(cm)
    reasons = [
        line.ask("outbound", **{**DIAL, "to": to})["data"].get("reason")
        for to in ("+1555", "+1999", "+1555", "+1555")
    ]
    assert ["No such prefix", "Busy", "No Answer", None] == reasons


def test_a_letter_number_is_invalid(cm, phone):
    """What holds no digits and is no SIP address cannot be dialled."""
    response = phone(cm).ask("outbound", **{**DIAL, "to": "nobody"})
    assert {"success": False, "reason": "Invalid number"} == response["data"]


def test_busy_can_ring_first(cm, phone):
    """A callee may decline while it rings."""
    cm.script_dial("busy", ring=2, delay=None)
    line = phone(cm)
    assert "Busy" == line.ask("outbound", **DIAL)["data"]["reason"]
    line.event("call_ringing")


def test_the_timeout_bounds_ringing(cm, phone):
    """The dial's own timeout ends the ringing before the callee answers."""
    cm.script_dial("answer", ring=10_000)
    line = phone(cm)
    response = line.ask("outbound", **{**DIAL, "timeout": "3"})
    assert "No Answer" == response["data"]["reason"]
    assert "NO_ANSWER" == cm.calls[0].hangup_cause


def test_a_script_bounds_no_answer(cm, phone):
    """Nobody answers for as long as the script says, however long the dial would wait."""
    cm.script_dial("no_answer", ring=1)
    line = phone(cm)
    response = line.ask("outbound", **{**DIAL, "timeout": "100000"})
    assert "No Answer" == response["data"]["reason"]


def test_a_slow_response_is_overtaken(cm, phone):
    """With a delay the events come before the response."""
    cm.script_dial(delay=20)
    line = phone(cm)
    request_id = line.command("outbound", **DIAL)
    call_id = line.event("call_answered")["callid"]
    line.event("agora_bridge_start", callid=call_id)
    assert [] == [frame for frame in line.pending if "request_id" in frame]
    assert call_id == line.response(request_id)["data"]["callid"]


def test_an_early_response(cm, phone):
    """The call id can come before it rings; the ringing still carries none."""
    cm.script_dial(respond="early", ring=2)
    line = phone(cm)
    request_id = line.command("outbound", **DIAL)
    names = []
    while True:
        frame = line.frame()
        if frame.get("request_id") == request_id:
            call_id = frame["data"]["callid"]
            break
        names.append(frame["event"])
    assert ["call_initiated"] == names
    assert "" == line.event("call_ringing")["callid"]
    line.event("call_answered", callid=call_id)
    assert [] == [frame for frame in line.pending if "request_id" in frame]


@pytest.mark.parametrize(
    ("outcome", "cause"), [("busy", "USER_BUSY"), ("no_answer", "NO_ANSWER")]
)
def test_early_and_then_unsuccessful(sandbox, phone, outcome, cause):
    """A call whose id the client has ends with a hangup event instead of a refusal."""
    cm = sandbox(respond="early")
    cm.script_dial(outcome)
    line = phone(cm)
    call_id = line.dial()
    hangup = line.event("call_hangup")
    assert (call_id, cause, "0") == (hangup["callid"], hangup["hangup_cause"], hangup["billsec"])


def test_ended_while_it_rings(cm, phone):
    """An endcall ends a call that rings: its hangup event, then the dial is refused."""
    cm.script_dial(ring=10_000)
    line = phone(cm)
    request_id = line.command("outbound", **{**DIAL, "timeout": "20000"})
    line.event("call_ringing")
    call_id = cm.calls[0].call_id
    line.take("endcall", callid=call_id)
    hangup = line.event("call_hangup", callid=call_id)
    assert [] == [frame for frame in line.pending if "request_id" in frame]
    assert [] == [frame for frame in line.pending if frame["event"] == "agora_bridge_end"]
    assert "ORIGINATOR_CANCEL" == hangup["hangup_cause"]
    data = {"success": False, "reason": "Originator Cancel"}
    assert data == line.response(request_id)["data"]


def test_who_has_hung_up_is_not_called_back(cm, phone):
    """Nothing happens any more to a call that has ended."""
    cm.script_dial(ring=30)
    line = phone(cm)
    line.command("outbound", **DIAL)
    line.event("call_ringing")
    line.take("endcall", callid=cm.calls[0].call_id)
    assert line.hears_nothing(0.4)


def test_ended_while_it_rings_with_an_early_response(cm, phone):
    """The same when the client has its call id from the response."""
    cm.script_dial(ring=10_000, respond="early")
    line = phone(cm)
    call_id = line.dial(timeout="20000")
    line.take("endcall", callid=call_id)
    assert "send_bye" == line.event("call_hangup", callid=call_id)["sip_disposition"]


def test_the_far_end_picks_up_when_told(cm, phone):
    """A call that would ring for ever is answered once, at once, and only while it rings."""
    cm.script_dial("no_answer", ring=100_000, respond="early")
    line = phone(cm)
    call_id = line.dial()
    line.event("call_ringing")
    callee = cm.peer(call_id)
    callee.pick_up()
    line.event("call_answered", callid=call_id)
    assert callee.accepted
    with pytest.raises(TelephonyError, match="does not ring here"):
        callee.pick_up()


def test_nobody_picks_up_what_does_not_ring_here(cm, phone):
    """An inbound call is a client's to accept, and so is one that looped back."""
    line = phone(cm, subscribe_numbers=["+18005550001"])
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    with pytest.raises(TelephonyError, match="is incoming: it does not ring here"):
        caller.pick_up()
    line.event("call_incoming")
    line.command("outbound", **{**DIAL, "to": "+18005550001"})
    line.event("call_ringing")
    dialled = next(call for call in cm.calls if call.direction == "outbound")
    with pytest.raises(TelephonyError, match="is ringing: it does not ring here"):
        cm.peer(dialled.call_id).pick_up()


def test_digits_after_the_answer(cm, phone):
    """Digits that the dialled number carries are heard by the far end, in both spellings."""
    line = phone(cm)
    for to, digits in (("+1555;dtmf=1234#", "1234#"), ("+1555#1234", "1234")):
        call_id = line.dial(to=to)
        assert digits == cm.peer(call_id).wait_heard(digits, timeout=5)
        assert "+1555" == line.event("call_answered", callid=call_id)["to"]


def test_video_and_options_come_back(cm, phone):
    """Video is a bool in every event, sdk_options come with the bridge."""
    line = phone(cm)
    line.dial(video=True, sdk_options='{"a":1}')
    assert line.event("call_answered")["video"] is True
    assert '{"a":1}' == line.event("agora_bridge_start")["sdk_options"]


def test_unknown_regions_and_fields_are_taken(cm, phone):
    """More regions and fields may come: they are not refused."""
    phone(cm).dial(region="AREA_CODE_MOON", something="new", prompt="beep", sip="h:5081")


def test_outbound_sip(cm, phone):
    """A call over a trunk may be of a direction of its own, and has a recording's name."""
    cm.script_dial(direction="outbound_sip")
    line = phone(cm)
    call_id = line.dial()
    answered = line.event("call_answered", callid=call_id)
    assert "outbound_sip" == answered["direction"]
    assert answered["wav_file"]
    line.take("endcall", callid=call_id)


def test_a_hangup_with_the_composite(cm, phone):
    """A leg's hangup may name the call by App ID, channel and uid."""
    cm.script_dial(composite_hangup=True)
    line = phone(cm)
    line.take("endcall", callid=line.dial())
    assert f"{cm.app_id}:room:100" == line.event("call_hangup")["callid"]


def test_one_channel_and_uid_in_two_app_ids(sandbox, phone):
    """Two App IDs, one channel and uid: two calls."""
    cm = sandbox(app_ids=["app-a", "app-b"])
    line = phone(cm, appid="MULTI")
    first, second = line.dial(appid="app-a"), line.dial(appid="app-b")
    assert first != second
    line.take("endcall", callid=first, appid="app-a")
    assert "app-a" == line.event("call_hangup")["appid"]
    assert [False, True] == [cm.peer(second).ended, cm.peer(first).ended]


@pytest.mark.parametrize(
    "options",
    [
        {"outcome": "maybe"},
        {"respond": "late"},
        {"ring": -1},
        {"delay": -1},
        {"direction": "inbound"},
    ],
)
def test_scripts_are_checked(cm, options):
    """A script that makes no sense is refused at once, naming what is wrong."""
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        cm.script_dial(**options)


def test_a_callee_who_takes_long(cm, phone):
    """A script's ringing is not cut short when the dial sets no limit."""
    cm.script_dial("answer", ring=40)
    one = phone(cm)
    unlimited = {name: value for name, value in DIAL.items() if name != "timeout"}
    answer = one.response(one.command("outbound", **unlimited))
    assert answer["data"]["success"] is True
    one.ask("endcall", callid=answer["data"]["callid"])
    assert 40 <= int(one.event("call_hangup")["duration"])


def test_no_gateway_in_other_words(cm, phone):
    """The refusal's words are those of the script."""
    line = phone(cm)
    cm.script_dial("no_gateway", reason="closed for repairs")
    answer = line.response(line.command("outbound", **DIAL))
    assert {"success": False, "reason": "closed for repairs"} == answer["data"]
