"""What the library tells: frozen values, one class for each kind of event.

``Event`` is the root. A ``CallEvent`` is about one call: ``call`` is the live handle,
``info`` the snapshot right after this event. The others are about the connection. They have no
slots: a frozen object without them is made in half the time, and events are soon gone. Those that
add no field are plain subclasses: attrs would write the same methods again, at each import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import attrs

from telephony.errors import ProtocolError
from telephony.protocol.wire import is_id, number_of, text_of, words_of

if TYPE_CHECKING:
    from telephony.call import Call
    from telephony.errors import TelephonyError
    from telephony.protocol.calls import CallInfo

_NOTHING: Mapping[str, Any] = {}


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Event:
    """Anything that happens. ``on(Event)`` sees all.

    ``name`` is the wire's word (or the library's, for its own events), ``timestamp`` Unix
    seconds as the Call Manager sent them, or None, ``raw`` the frame as received.
    """

    name: str
    timestamp: float | int | None = None
    raw: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=False)


@attrs.frozen(kw_only=True, eq=False, slots=False)
class CallEvent(Event):
    """An event of one call."""

    call: Call
    info: CallInfo = attrs.field(repr=False)


class CallIncoming(CallEvent):
    """Somebody calls a number we are subscribed to; accept or reject it within 15 s."""


class CallInitiated(CallEvent):
    """The gateway took the request; nothing rings yet."""


class CallRinging(CallEvent):
    """The far end rings."""


class CallAnswered(CallEvent):
    """The remote party picked up."""


class BridgeStarted(CallEvent):
    """The call's audio joined a channel; ``info`` has its name and the uid."""


class BridgeEnded(CallEvent):
    """The call's audio left the channel; the SIP leg is still up."""


@attrs.frozen(kw_only=True, eq=False, slots=False)
class BridgeFailed(CallEvent):
    """The call's audio could not join the other channel; the SIP leg is up, without one."""

    reason: str


@attrs.frozen(kw_only=True, eq=False, slots=False)
class CallHangup(CallEvent):
    """The call ended. ``duration`` and ``billsec`` are seconds; what was not sent is None."""

    hangup_cause: str | None
    duration: int | None
    billsec: int | None
    sip_disposition: str | None


@attrs.frozen(kw_only=True, eq=False, slots=False)
class DtmfReceived(CallEvent):
    """Digits were pressed at the far end, or (``echo``) come back from our own ``send_dtmf``."""

    digits: str
    echo: bool


@attrs.frozen(kw_only=True, eq=False, slots=False)
class UnknownEvent(CallEvent):
    """An event this version has no class for, or one that fits no call it knows.

    Unlike with other call events, ``call`` and ``info`` are None when it names no call that is
    tracked.
    """

    call: Call | None = None  # type: ignore[assignment]
    info: CallInfo | None = attrs.field(default=None, repr=False)  # type: ignore[assignment]


@attrs.frozen(kw_only=True, eq=False, slots=False)
class CallOrphaned(Event):
    """A call whose dial had given up turned up after all.

    Under the orphan policy ``"hangup"`` its ``endcall`` has been sent; under ``"keep"`` it
    is tracked again.
    """

    name: str = "call_orphaned"
    call: Call


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Connected(Event):
    """The client is registered. ``reconnected`` is true after an outage."""

    name: str = "connected"
    session_id: str
    reconnected: bool


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Disconnected(Event):
    """The connection is gone. ``error`` says why; it is None after ``close()``."""

    name: str = "disconnected"
    error: TelephonyError | None


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Gap(Event):
    """Events may have been missed: there was no connection for ``seconds``.

    ``stale_calls`` are the calls that may have ended meanwhile.
    """

    name: str = "gap"
    seconds: float
    stale_calls: tuple[Call, ...]


@attrs.frozen(kw_only=True, eq=False, slots=False)
class ErrorOccurred(Event):
    """Something went wrong that no method call of yours could report."""

    name: str = "error"
    error: BaseException


#: the wire's event names and their classes
CALL_EVENTS: Mapping[str, type[CallEvent]] = {
    "call_incoming": CallIncoming,
    "call_initiated": CallInitiated,
    "call_ringing": CallRinging,
    "call_answered": CallAnswered,
    "agora_bridge_start": BridgeStarted,
    "agora_bridge_end": BridgeEnded,
    "agora_bridge_failed": BridgeFailed,
    "dtmf_received": DtmfReceived,
    "call_hangup": CallHangup,
}


#: What an event is told apart by; calls are kept under them.
_IDS = ("event", "callid", "channel", "uid", "appid")


def event_name(frame: Mapping[str, Any], what: str = "the CM sent") -> str:
    """The name of the event in *frame*; raises ``ProtocolError`` if it is none that can be kept.

    *what* begins the error's text.
    """
    name = text_of(frame.get("event"))
    if not name:
        raise ProtocolError(f"{what} an event without a name")
    for key in _IDS:
        text = text_of(frame.get(key))
        if text and not is_id(text):
            raise ProtocolError(f"{what} an event with no sound {key}")
    return name


# All fields of a frozen event at once: its __init__, which sets each, takes half as long again.
# A test holds this against the classes above.
_new, _set = object.__new__, object.__setattr__


def dtmf_received(
    raw: Mapping[str, Any], call: Any, info: CallInfo, digits: str, echo: bool
) -> DtmfReceived:
    """The frame *raw* of *call*, as an event."""
    # Apart from `call_event`, as these are by far the most: that is 28 bytecodes of 640 less.
    event: DtmfReceived = _new(DtmfReceived)
    _set(event, "__dict__", {
        "name": "dtmf_received",
        "timestamp": number_of(raw.get("timestamp")),
        "raw": raw,
        "call": call,
        "info": info,
        "digits": digits,
        "echo": echo,
    })
    return event


def call_event(name: str, raw: Mapping[str, Any], call: Any, info: CallInfo) -> CallEvent:
    """The event of *call* that the frame *raw* tells of."""
    event: CallEvent = _new(CALL_EVENTS.get(name, UnknownEvent))
    fields = {
        "name": name,
        "timestamp": number_of(raw.get("timestamp")),
        "raw": raw,
        "call": call,
        "info": info,
    }
    if name == "call_hangup":
        fields["hangup_cause"] = info.hangup_cause
        fields["duration"] = info.duration
        fields["billsec"] = info.billsec
        fields["sip_disposition"] = info.sip_disposition
    elif name == "agora_bridge_failed":
        fields["reason"] = words_of(raw.get("reason"))
    _set(event, "__dict__", fields)
    return event
