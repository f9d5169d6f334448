"""Events of calls, made from frames."""

from __future__ import annotations

import attrs
import pytest

from telephony.protocol.calls import CallInfo
from telephony.protocol.events import (
    CALL_EVENTS,
    DtmfReceived,
    UnknownEvent,
    call_event,
    dtmf_received,
)

INFO = CallInfo(
    call_id="id-1",
    hangup_cause="NORMAL_CLEARING",
    duration=7,
    billsec=5,
    sip_disposition="send_bye",
)
CALL = object()


def made(name):
    raw = {"event": name, "timestamp": 1780000000, "reason": "busy", "digits": "1"}
    if name == "dtmf_received":
        return dtmf_received(raw, CALL, INFO, "1", False)
    return call_event(name, raw, CALL, INFO)


@pytest.mark.parametrize("name", [*CALL_EVENTS, "new_one"])
def test_each_is_as_its_class_would_make_it(name):
    """They get their attributes at once, and not by their ``__init__``; all of them."""
    event = made(name)
    kind = CALL_EVENTS.get(name, UnknownEvent)
    assert kind is type(event)
    fields = [field.name for field in attrs.fields(kind)]
    assert sorted(fields) == sorted(vars(event))
    again = kind(**{field: getattr(event, field) for field in fields})
    assert vars(again) == vars(event)
    assert repr(again) == repr(event)
    assert (name, 1780000000, CALL, INFO) == (event.name, event.timestamp, event.call, event.info)


def test_each_is_frozen():
    """Whatever way it was made."""
    for name in CALL_EVENTS:
        event = made(name)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            event.name = "other"
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            del event.raw


def test_what_an_end_tells():
    """It is the snapshot's."""
    event = made("call_hangup")
    told = (event.hangup_cause, event.duration, event.billsec, event.sip_disposition)
    assert ("NORMAL_CLEARING", 7, 5, "send_bye") == told
    assert "busy" == made("agora_bridge_failed").reason
    assert isinstance(made("dtmf_received"), DtmfReceived)
