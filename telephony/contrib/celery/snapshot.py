"""Calls and events as JSON: what Redis keeps of a call, and what the tasks for events are given."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, cast

import attrs

from telephony.client import Client
from telephony.contrib.webhooks import parse_event
from telephony.errors import ProtocolError, TelephonyError
from telephony.protocol import events
from telephony.protocol.calls import CallInfo
from telephony.protocol.events import CallEvent, CallOrphaned, Event, Gap
from telephony.protocol.states import CallState
from telephony.protocol.wire import Secrets, encode, masked, redact, shown, text_of

_TIMES = ("created_at", "answered_at", "ended_at")
_NAMES = tuple(
    field.name for field in attrs.fields(CallInfo) if field.name not in ("_sip_headers", *_TIMES)
)

Snapshot = dict[str, Any]


def snapshot_of(info: CallInfo) -> Snapshot:
    """What is known of a call as a JSON object, without secrets; times are ISO 8601."""
    found: Snapshot = {name: getattr(info, name) for name in _NAMES}
    found.update(
        state=str(info.state.value),
        from_=shown(info.from_),
        to=shown(info.to),
        sip_headers={k: shown(v) for k, v in redact(dict(info.sip_headers)).items()},
    )
    for name in _TIMES:
        moment = getattr(info, name)
        found[name] = None if moment is None else moment.isoformat()
    return found


def info_of(snapshot: Mapping[str, Any]) -> CallInfo:
    """The ``CallInfo`` that ``snapshot_of`` made this of; what a later version adds is left out."""
    given: dict[str, Any] = {name: snapshot[name] for name in _NAMES if name in snapshot}
    for name in _TIMES:
        text = snapshot.get(name)
        given[name] = None if text is None else datetime.fromisoformat(text)
    given["state"] = CallState(given.get("state", "ringing"))
    headers = tuple(dict(snapshot.get("sip_headers") or {}).items())
    return CallInfo(**given, sip_headers=headers)


def parse(payload: Mapping[str, Any], client: Any = None) -> Event:
    """The event that a task for events was given, as the same class that a client's callbacks get.

    ``info`` is the call's snapshot right after the event. ``call`` is a call apart: it has that
    snapshot for good, and its commands go through *client* (an object with the methods of
    ``Client``), or raise ``NotConnectedError`` without one. Raises ``ProtocolError`` for what is no
    such payload.
    """
    try:
        name, raw, info = payload["event"], payload["raw"], info_of(payload["call"])
        if not isinstance(name, str) or not isinstance(raw, Mapping):
            raise TypeError
    except (KeyError, TypeError, ValueError):
        raise ProtocolError("the payload is not one that a line's event has") from None
    if not raw:  # it was too large to be kept
        raw = {"event": name, "callid": info.call_id, "timestamp": payload.get("timestamp")}
    carrier = {"event": "call_initiated", "callid": info.call_id or "unknown"}
    call = cast(CallEvent, parse_event(carrier, client)).call
    if not isinstance(call._client, Client):  # it is one apart, and not the client's own
        call._changed(info)
    if name == "gap":
        return Gap(
            timestamp=payload.get("timestamp"),
            seconds=float(payload.get("seconds") or 0.0),
            stale_calls=(call,),
        )
    if name == "call_orphaned":
        return CallOrphaned(timestamp=payload.get("timestamp"), call=call)
    if name == "dtmf_received":
        digits = text_of(raw.get("digits"))
        return events.dtmf_received(raw, call, info, digits, bool(payload.get("echo")))
    return events.call_event(name, raw, call, info)


def masked_arguments(arguments: Any) -> Any:
    """A task's arguments with their secrets masked."""
    try:
        return masked(encode({"shown": arguments}), Secrets(""))["shown"]
    except (TelephonyError, TypeError, ValueError):
        return "…"
