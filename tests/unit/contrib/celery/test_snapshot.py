"""Calls and events as JSON, and back."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from telephony import (
    BridgeFailed,
    CallHangup,
    CallInfo,
    CallOrphaned,
    CallState,
    DtmfReceived,
    Gap,
    NotConnectedError,
    ProtocolError,
    UnknownEvent,
)
from telephony.contrib.celery import parse
from telephony.contrib.celery.snapshot import info_of, snapshot_of

INFO = CallInfo(
    call_id="call-1",
    state=CallState.BRIDGED,
    direction="outbound",
    from_="+1555",
    to="+1800",
    channel="room",
    uid="100",
    app_id="app",
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc),
    answered_at=datetime(2026, 1, 2, 3, 4, 9, tzinfo=timezone.utc),
    sip_headers=(("X-Shop", "7"),),
)


def payload(event, raw=None, **more):
    return {"event": event, "call": snapshot_of(INFO), "raw": raw or {}, "timestamp": 5, **more}


def test_there_and_back():
    """A snapshot that went through JSON is the same."""
    assert INFO == info_of(json.loads(json.dumps(snapshot_of(INFO))))


def test_a_later_version_may_know_more():
    """What a snapshot has that this version does not know is left out."""
    assert INFO == info_of({**snapshot_of(INFO), "weather": "fair"})


def test_credentials_stay_out():
    """A SIP URI's password and a secret header are masked in what is kept."""
    info = CallInfo(
        to="sip:alice:hush-hush@trunk", sip_headers=(("Authorization", "hush-hush"), ("X", "y"))
    )
    found = snapshot_of(info)
    assert "hush-hush" not in json.dumps(found)
    assert "y" == found["sip_headers"]["X"]


def test_parse_gives_the_classes_of_the_library():
    """Each payload is the event that a client's callback would have had."""
    ended = parse(payload("call_hangup"))
    assert isinstance(ended, CallHangup) and (INFO, 5) == (ended.info, ended.timestamp)
    digits = parse(payload("dtmf_received", {"digits": "12"}, echo=True))
    assert isinstance(digits, DtmfReceived) and ("12", True) == (digits.digits, digits.echo)
    failed = parse(payload("agora_bridge_failed", {"reason": "join failed"}))
    assert isinstance(failed, BridgeFailed) and "join failed" == failed.reason
    gap = parse(payload("gap", seconds=2.5))
    assert isinstance(gap, Gap) and (2.5, ["call-1"]) == (
        gap.seconds, [call.call_id for call in gap.stale_calls]
    )  # fmt: skip
    orphan = parse(payload("call_orphaned"))
    assert isinstance(orphan, CallOrphaned) and INFO == orphan.call.info
    assert isinstance(parse(payload("call_parked")), UnknownEvent)


def test_the_call_of_an_event_is_apart():
    """It shows the snapshot, and its commands say that they have no client."""
    call = parse(payload("call_answered")).call
    assert INFO == call.info
    with pytest.raises(NotConnectedError):
        call.hangup()


@pytest.mark.parametrize("wrong", [{}, {"event": 5, "raw": {}, "call": {}}, {"event": "x"}])
def test_what_is_no_payload(wrong):
    """Something else that a task is given is told apart."""
    with pytest.raises(ProtocolError):
        parse(wrong)
