# pyright: strict
"""A script, and what each of its calls gives: nothing is Any, nothing must be cast."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping

from typing_extensions import assert_type

from telephony import (
    Backoff,
    Call,
    CallEndedError,
    CallInfo,
    CallState,
    Client,
    CommandRefusedError,
    ConnectError,
    ConnectionState,
    DialFailedError,
    Health,
    OutcomeUnknownError,
    TelephonyError,
)


def make(channel: str, uid: str, app_id: str | None) -> str:
    return f"{channel}:{uid}:{app_id}"


client = Client(
    "wss://sipcm.example", "Basic …", None, "APPID",
    subscribe_numbers=["+18005550100"], reconnect=Backoff(initial=0.5), token_provider=make,
    orphan_policy="keep", proxy=False, headers={"X-Team": "a"}, command_timeout=5, workers=4,
)  # fmt: skip

assert_type(Client.from_env(workers=2, proxy="http://proxy:3128"), Client)
assert_type(client.connect(timeout=3), None)
assert_type(client.connected, bool)
assert_type(client.closed, bool)
assert_type(client.state, ConnectionState)
assert_type(client.wait_connected(timeout=1.5), bool)
assert_type(client.run_forever(), None)
assert_type(client.health(), Health)
assert_type(client.health().last_seen_age, "float | None")
assert_type(client.calls(), "list[Call]")
assert_type(client.call("id"), "Call | None")
assert_type(client.subscribe(["+18005550100"]), None)
assert_type(client.command("mute", callid="id", on=True), "dict[str, Any]")
assert_type(client.accept("id", channel="room", uid=1, token="…"), None)
assert_type(client.reject("id", "busy"), None)
assert_type(client.hangup("id", direction="outbound"), None)
assert_type(client.send_dtmf("id", "12#", command_timeout=1), None)
assert_type(client.bridge("id", channel="room", uid="1", sdk_options={"a": 1}), None)
assert_type(client.unbridge("id"), None)
assert_type(client.rebridge("id", channel="room", uid="1", current_channel="other"), None)
assert_type(client.transfer("id", "sip:desk", leg="A"), None)
assert_type(client.close(drain=1, hangup_active=True), None)


def talk() -> None:
    with client as same:
        assert_type(same, Client)
        with client.dial(
            to="+18005550100", from_="+15555550100", channel="room", uid=100, token="…",
            region="AREA_CODE_NA", timeout=20, audio_scenario=10, sdk_options={"a": 1},
        ) as call:  # fmt: skip
            assert_type(call, Call)
            assert_type(call.wait_answered(timeout=30), CallInfo)
            assert_type(call.wait_bridged(30), CallInfo)
            assert_type(call.wait_for(CallState.UNBRIDGED), CallInfo)
            assert_type(call.wait_for(lambda info: info.billsec, timeout=1), CallInfo)
            assert_type(call.collect_digits(max_digits=4, terminator=None, timeout=5), str)
            assert_type(call.accept(channel="room", uid="1"), None)
            assert_type(call.reject("busy"), None)
            assert_type(call.send_dtmf("1"), None)
            assert_type(call.bridge(channel="room", uid="1"), None)
            assert_type(call.unbridge(), None)
            assert_type(call.rebridge(channel="room", uid="1"), None)
            assert_type(call.transfer("sip:desk"), None)
            assert_type(call.hangup(), None)
        assert_type(call.wait_ended(timeout=5), CallInfo)
        client.hangup(call)


def read(call: Call) -> None:
    assert_type(call.info, CallInfo)
    assert_type(call.state, CallState)
    assert_type(call.created_at, "datetime | None")
    assert_type(call.answered_at, "datetime | None")
    assert_type(call.ended_at, "datetime | None")
    assert_type(call.hangup_cause, "str | None")
    assert_type(call.duration, "int | None")
    assert_type(call.billsec, "int | None")
    assert_type(call.sip_disposition, "str | None")
    assert_type(call.sip_headers, Mapping[str, str])
    assert_type(call.info.sip_headers, Mapping[str, str])
    assert_type((call.call_id, call.direction, call.from_, call.to), "tuple[str, str, str, str]")
    assert_type((call.channel, call.uid, call.app_id), "tuple[str, str, str]")
    assert_type((call.video, call.stale, call.active), "tuple[bool, bool, bool]")


try:
    talk()
except DialFailedError as refused:
    assert_type(refused.reason, str)
    assert_type(refused.data, Mapping[str, Any])
except CommandRefusedError as refused:
    assert_type(refused.status_code, "int | None")
except OutcomeUnknownError as unknown:
    assert_type(unknown.call, "Call | None")
    assert_type((unknown.action, unknown.request_id), "tuple[str, str]")
except CallEndedError as ended:
    assert_type(ended.call, Call)
    assert_type(ended.cause, "str | None")
    assert_type(ended.digits, str)
except ConnectError as failed:
    assert_type(failed.phase, str)
    assert_type(failed.status_code, "int | None")
except TelephonyError:
    pass
