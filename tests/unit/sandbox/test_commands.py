"""Commands on calls that are up, and commands that cannot be carried out."""

from __future__ import annotations

import pytest

from telephony.sandbox.commands import SPECS
from tests.unit.sandbox.phone import DIAL, JOIN, PATIENCE

MOVE = {
    "channel": "new", "uid": "300", "token": "t", "current_channel": "room", "current_uid": "100",
}  # fmt: skip


def test_dtmf_is_echoed_whole(cm, phone):
    """The sender hears its digits once, as it sent them; so does the far end."""
    line = phone(cm)
    call_id = line.bridged_call()
    line.take("send_dtmf", callid=call_id, digits="12*#")
    assert "12*#" == line.event("dtmf_received", callid=call_id)["digits"]
    assert [] == [e for e in line.events_until_now() if e["event"] == "dtmf_received"]
    assert "12*#" == cm.peer(call_id).heard


def test_dtmf_is_echoed_digit_by_digit(sandbox, phone):
    """The echo can come digit by digit."""
    cm = sandbox(dtmf_echo="digits")
    line = phone(cm)
    call_id = line.bridged_call()
    line.take("send_dtmf", callid=call_id, digits="12*#")
    echoes = [e["digits"] for e in line.events_until_now() if e["event"] == "dtmf_received"]
    assert ["1", "2", "*", "#"] == echoes


def test_dtmf_of_other_characters(cm, phone):
    """Only what is on a telephone's keys."""
    line = phone(cm)
    refusal = line.ask("send_dtmf", callid=line.dial(), digits="12A")
    assert "digits must be of 0-9 * #" == refusal["error"]


def test_bridge_moves_the_audio(cm, phone):
    """A bridge takes the audio from where it is to another channel."""
    line = phone(cm)
    call_id = line.bridged_call()
    line.take("bridge", callid=call_id, channel="other", uid="7", token="t", sdk_options="{}")
    left = line.event("agora_bridge_end")
    assert ("room", "100") == (left["channel"], left["uid"])
    joined = line.event("agora_bridge_start")
    assert ("other", "7", "{}") == (joined["channel"], joined["uid"], joined["sdk_options"])
    assert "rebridge" not in joined


def test_unbridge_and_bridge(cm, phone):
    """The SIP leg stays up without audio, and audio can come back."""
    line = phone(cm)
    call_id = line.bridged_call()
    line.take("unbridge", callid=call_id)
    line.event("agora_bridge_end")
    assert "unbridged" == cm.peer(call_id).state
    assert "call not bridged" == line.ask("unbridge", callid=call_id)["error"]
    line.take("bridge", callid=call_id, **JOIN)
    assert "support" == line.event("agora_bridge_start")["channel"]
    line.take("unbridge", callid=call_id)
    line.take("endcall", callid=call_id)
    names = [event["event"] for event in line.events_until_now()]
    assert ["agora_bridge_end", "call_hangup"] == names[-2:]


def test_rebridge(cm, phone):
    """A re-bridge leaves and joins, and both events say so."""
    line = phone(cm)
    call_id = line.bridged_call(sdk_options="{1}")
    request_id = line.command("rebridge", callid=call_id, **MOVE)
    left = line.event("agora_bridge_end")
    assert (True, "room") == (left["rebridge"], left["channel"])
    assert left["segment_billsec"].isdigit()
    assert {"success": True} == line.response(request_id)["data"]
    joined = line.event("agora_bridge_start", rebridge=True)
    assert ("new", "300") == (joined["channel"], joined["uid"])
    assert ("room", "100") == (joined["previous_channel"], joined["previous_uid"])
    assert "{1}" == joined["sdk_options"]
    assert "new" == cm.calls[0].channel


def test_rebridge_cannot_join(cm, phone):
    """A re-bridge that cannot join leaves the call up without audio, and is refused."""
    cm.fail_rebridge("join failed: token expired")
    line = phone(cm)
    call_id = line.bridged_call()
    refusal = line.ask("rebridge", callid=call_id, **MOVE)
    assert "join failed: token expired" == refusal["error"]
    failed = line.event("agora_bridge_failed")
    assert (True, "join failed: token expired") == (failed["rebridge"], failed["reason"])
    assert "unbridged" == cm.peer(call_id).state
    assert "call not bridged; use bridge" == line.ask("rebridge", callid=call_id, **MOVE)["error"]
    line.take("bridge", callid=call_id, **JOIN)
    line.event("agora_bridge_start", channel="support")


def test_rebridge_refusals(cm, phone, monkeypatch):
    """A re-bridge must know where the call is, and there is one at a time."""
    line = phone(cm)
    call_id = line.bridged_call()
    monkeypatch.setattr("telephony.sandbox.audio.JOIN", 50.0)
    for wrong in ({"current_channel": "x"}, {"current_uid": "x"}):
        refusal = line.ask("rebridge", callid=call_id, **{**MOVE, **wrong})
        assert "current channel/uid mismatch" == refusal["error"]
    moving = line.command("rebridge", callid=call_id, **MOVE)
    again = line.command("rebridge", callid=call_id, **MOVE)
    bridge = line.command("bridge", callid=call_id, **JOIN)
    for request_id in (again, bridge):
        assert "rebridge already in progress" == line.response(request_id)["error"]
    assert {"success": True} == line.response(moving)["data"]


def test_hung_up_while_it_moves(cm, phone, monkeypatch):
    """A call that ends while it is between channels answers its re-bridge too."""
    line = phone(cm)
    call_id = line.bridged_call()
    monkeypatch.setattr("telephony.sandbox.audio.JOIN", 1e6)
    moving = line.command("rebridge", callid=call_id, **MOVE)
    line.event("agora_bridge_end")
    cm.peer(call_id).hang_up()
    assert "callid not found" == line.response(moving)["error"]
    line.event("call_hangup", callid=call_id)


@pytest.mark.parametrize("leg", [None, "A", "B", "aleg", "bleg"])
def test_transfer(cm, phone, leg):
    """A transferred far end leaves for its destination a little later."""
    line = phone(cm)
    call_id = line.bridged_call()
    more = {"leg": leg} if leg else {}
    line.take("transfer", callid=call_id, destination="+1777", **more)
    assert "+1777" == cm.peer(call_id).transferred_to
    line.event("agora_bridge_end")
    hangup = line.event("call_hangup")
    assert ("BLIND_TRANSFER", "recv_bye") == (hangup["hangup_cause"], hangup["sip_disposition"])


def test_a_transferred_call_stays_a_moment(cm, phone, monkeypatch):
    """Until the far end leaves, the call is up, and can be ended by us."""
    monkeypatch.setattr("telephony.sandbox.switch.TRANSFER", 1e6)
    line = phone(cm)
    call_id = line.bridged_call()
    line.take("transfer", callid=call_id, destination="+1777")
    assert "bridged" == cm.peer(call_id).state
    line.take("endcall", callid=call_id)
    assert "NORMAL_CLEARING" == line.event("call_hangup")["hangup_cause"]


def test_a_second_transfer_replaces_the_first(cm, phone, monkeypatch):
    """The far end leaves once, for where it was sent last."""
    line = phone(cm)
    call_id = line.bridged_call()
    for seconds, destination in ((30.0, "+1777"), (1e6, "+1888")):
        monkeypatch.setattr("telephony.sandbox.switch.TRANSFER", seconds)
        line.take("transfer", callid=call_id, destination=destination)
    assert line.hears_nothing(0.4)
    assert "+1888" == cm.peer(call_id).transferred_to


def test_unbridged_before_it_joined(cm, phone, monkeypatch):
    """Audio that is on its way to the channel does not get there after an unbridge."""
    monkeypatch.setattr("telephony.sandbox.audio.JOIN", 30.0)
    line = phone(cm)
    line.take("unbridge", callid=line.dial())
    assert line.hears_nothing(0.4)


def test_transfer_of_no_leg(cm, phone):
    """There are only two legs."""
    line = phone(cm)
    refusal = line.ask("transfer", callid=line.dial(), destination="+1777", leg="C")
    assert "leg must be one of" in refusal["error"]


@pytest.mark.parametrize("action", ["endcall", "hangup"])
def test_both_words_end_a_call(cm, phone, action):
    """Either ends a call whatever its direction; which it was can be asserted."""
    line = phone(cm)
    call_id = line.bridged_call()
    line.take(action, callid=call_id)
    assert "send_bye" == line.event("call_hangup")["sip_disposition"]
    assert action == cm.calls[0].ended_by
    assert "callid not found" == line.ask(action, callid=call_id)["error"]


ON_A_CALL = sorted(set(SPECS) - {"outbound", "subscribe"})
ALL_FIELDS = {**JOIN, **MOVE, "reason": "", "digits": "1", "destination": "+1"}


@pytest.mark.parametrize("action", ON_A_CALL)
def test_a_call_that_is_not_there(cm, phone, action):
    """Every command on a call says so when there is none."""
    fields = {**ALL_FIELDS, "callid": "nowhere"}
    expected = {"error": "callid not found", "request_id": f"{action}_1"}
    assert expected == phone(cm).ask(action, **fields)


@pytest.mark.parametrize("action", sorted(set(ON_A_CALL) - {"accept", "reject"}))
def test_a_call_of_somebody_else(cm, phone, action):
    """Nor does anybody reach another client's call."""
    call_id = phone(cm, "owner").dial()
    refusal = phone(cm, "thief").ask(action, **ALL_FIELDS, callid=call_id)
    assert "callid not found" == refusal["error"]


@pytest.mark.parametrize("action", ["send_dtmf", "bridge", "unbridge", "rebridge", "transfer"])
def test_a_call_that_rings(cm, phone, action):
    """What needs an answered call says so."""
    cm.script_dial(ring=10_000, respond="early")
    line = phone(cm)
    refusal = line.ask(action, **ALL_FIELDS, callid=line.dial(timeout="20000"))
    assert "call not answered" == refusal["error"]


@pytest.mark.parametrize("action", sorted(SPECS))
def test_missing_fields_are_named(cm, phone, action):
    """A command without its fields is refused by naming each."""
    spec = SPECS[action]
    line = phone(cm)
    error = line.ask(action)["error"]
    assert f"missing parameters: {', '.join((*spec.filled, *spec.present))}" == error
    full = {**DIAL, **ALL_FIELDS, "callid": "x", "numbers": []}
    for name in spec.filled:
        assert f"missing parameters: {name}" == line.ask(action, **{**full, name: ""})["error"]
    for name in (*spec.filled, *spec.present):
        assert name in line.ask(action, **{**full, name: 5})["error"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("timeout", "soon"), ("timeout", "-1"), ("timeout", "nan"), ("timeout", 30), ("video", "yes")],
)
def test_fields_of_the_wrong_kind(cm, phone, field, value):
    """Values are strings, but video; and a timeout is a number of seconds."""
    assert field in phone(cm).ask("outbound", **{**DIAL, field: value})["error"]


def test_unknown_actions(cm, phone):
    """An action nobody knows, or none, is an error with the request's id."""
    line = phone(cm)
    assert {"error": "unknown action: dance", "request_id": "dance_1"} == line.ask("dance")
    for action in (None, 5, ["x"], ""):
        line.send({"action": action, "request_id": "r"})
        assert {"error": "missing parameters: action", "request_id": "r"} == line.frame()
    line.send({"action": "dance"})
    assert {"error": "unknown action: dance"} == line.frame()


def test_text_comes_back_as_it_went(cm, phone):
    """Any text is UTF-8 on the way back, and what cannot be is replaced."""
    line = phone(cm)
    line.send_text('{"action": "x", "request_id": "é☎"}')
    assert "é☎" == line.frame()["request_id"]
    line.send_text('{"action": "x", "request_id": "\\ud800"}')
    assert "?" == line.frame()["request_id"]


@pytest.mark.parametrize("text", ["{", "", "nonsense", "[" * 100_000, '"text"', "[]", "5"])
def test_no_json(cm, phone, text):
    """What is no JSON object is an error; the connection stays."""
    line = phone(cm)
    line.send_text(text)
    assert "not " in line.frame()["error"]
    line.take("subscribe", numbers=[])


def test_no_text(cm, phone):
    """Binary frames are not spoken."""
    line = phone(cm)
    line.send_binary(b"{}")
    assert {"error": "not a text frame"} == line.frame()


def test_what_was_sent_is_kept(cm, phone):
    """All frames, the registration first, in order; a wait takes each once."""
    line = phone(cm)
    line.dial()
    line.take("subscribe", numbers=["+1"])
    assert ["register", "outbound", "subscribe"] == [frame["action"] for frame in cm.frames]
    assert cm.auth_token == cm.frames[0]["auth_token"]
    assert {**DIAL, "action": "outbound", "request_id": "outbound_1"} == cm.frames[1]
    assert ["+1"] == cm.wait_for_command("subscribe", timeout=PATIENCE)["numbers"]
    line.take("subscribe", numbers=["+2"])
    line.take("subscribe", numbers=["+3"])
    assert ["+3"] == cm.wait_for_command("subscribe", PATIENCE, numbers=["+3"])["numbers"]
    assert ["+2"] == cm.wait_for_command("subscribe", timeout=PATIENCE)["numbers"]
    with pytest.raises(TimeoutError, match="subscribe"):
        cm.wait_for_command("subscribe", timeout=0.01)


def test_an_app_id_is_text(cm, phone):
    """Anything else is refused."""
    line = phone(cm)
    answer = line.response(line.command("endcall", callid="x", appid=7))
    assert "appid must be a string" == answer["error"]
