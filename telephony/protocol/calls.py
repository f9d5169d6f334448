"""One call: what is known of it, and what an event changes in that."""

from __future__ import annotations

import functools
import operator
from datetime import datetime, timezone
from enum import Enum
from types import MappingProxyType
from typing import Any, Mapping

import attrs

from telephony.protocol.states import (
    ANSWERED,
    BRIDGED,
    HANGUP,
    INCOMING,
    ONCE,
    RINGING,
    TRANSITIONS,
    UNBRIDGED,
    UP,
    WINDING_DOWN,
    CallState,
)
from telephony.protocol.wire import (
    Frame,
    flag_of,
    headers_of,
    integer_of,
    number_of,
    shown,
    text_of,
    words_of,
)

#: An echo of our own digits is expected this long after the last of it was sent or heard.
ECHO_SECONDS = 10.0
#: Digits whose echo is awaited are remembered up to so many.
ECHO_MOST = 10_000

#: The App ID of a client that serves several; no call has it.
MULTI = "MULTI"


def _shown(number: str) -> str:
    return repr(shown(number))


@attrs.frozen(kw_only=True, weakref_slot=False)
class CallInfo:
    """What is known of a call at one moment; it never changes once taken.

    Text that is not known is ``""``, what belongs to a call's end is None until then.
    ``duration`` and ``billsec`` are whole seconds, the three times aware UTC datetimes.
    ``active`` is true while the call may be up, ``stale`` after an outage in which it may
    have ended, until its next event.
    """

    call_id: str = ""
    state: CallState = RINGING
    direction: str = ""
    from_: str = attrs.field(default="", repr=_shown)
    to: str = attrs.field(default="", repr=_shown)
    channel: str = ""
    uid: str = ""
    app_id: str = ""
    video: bool = False
    created_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    hangup_cause: str | None = None
    duration: int | None = None
    billsec: int | None = None
    sip_disposition: str | None = None
    # pairs, so that a snapshot can be hashed and pickled, and is nobody's to change
    _sip_headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    stale: bool = False
    active: bool = True

    @property
    def sip_headers(self) -> Mapping[str, str]:
        """The SIP headers of the call, read-only."""
        return MappingProxyType(dict(self._sip_headers))


_NAMES = tuple(field.name for field in attrs.fields(CallInfo))
_values_of = operator.attrgetter(*_NAMES)
_setters = {name: getattr(CallInfo, name).__set__ for name in _NAMES}


def evolved(info: CallInfo, changes: Mapping[str, Any]) -> CallInfo:
    """*info* with some of its attributes changed."""
    # attrs.evolve takes 14 µs where this takes 7, of the 32 of an event that moves its call.
    new: CallInfo = object.__new__(CallInfo)
    for set_value, value in zip(_setters.values(), _values_of(info)):
        set_value(new, value)
    for name, value in changes.items():
        _setters[name](new, value)
    return new


class Place(Enum):
    """Where the table keeps a call."""

    LIVE = "in calls()"
    CLOSING = "we hung it up, its call_hangup is to come"
    ORPHAN = "its dial gave up, it has not turned up"
    GONE = "ended, or not ours any more"


# By name: to look a member up in its class takes Python 3.11 ten times as long.
LIVE, CLOSING, ORPHAN, GONE = Place


class TrackedCall:
    """One call as the table keeps it: identity, the newest snapshot, and what tells copies.

    ``telephony.Call`` is this with commands and waits; what has an underscore is hidden from
    its users, and the business of the table and of ``advance``. All fields are written by these
    only, under the lock of the session; ``info`` is swapped whole and may be read anywhere.
    """

    __slots__ = (
        "info",
        "_place",
        "_leg",  # the state as the wire tells it, also while we are closing the call
        "_seen",  # bits of ONCE
        "_bridged_to",  # channel and uid of the last bridge start
        "_complete",  # the snapshot has all that any event may add to it but video and SIP headers
        "_failure",  # reason, if the last bridge event was a failure
        "_routes",  # the keys under which the table finds the call
        "_deadline",  # when the table lets go of the call where it now is, or None
        "_adopted",  # another client dialled it, and gave up: nobody here holds it
        "_accepted",  # the CM took our accept (or a bridge)
        "_held_until",  # when an incoming call that nobody accepts goes
        "_closed_at",  # when our own hangup was taken
        "_echoes",  # digits we sent and have not heard back
        "_echoes_until",
    )

    def __init__(self, info: CallInfo) -> None:
        self.info = info
        self._place = GONE
        self._leg = info.state
        self._seen = 0
        self._bridged_to: tuple[str, str] | None = None
        self._complete = False
        self._failure: str | None = None
        self._routes: tuple[tuple[str, str], ...] = ()
        self._deadline: float | None = None
        self._adopted = False
        self._accepted = False
        self._held_until: float | None = None
        self._closed_at: float | None = None
        self._echoes = ""
        self._echoes_until = 0.0

    def _changed(self, info: CallInfo) -> None:
        """The call's snapshot is now *info* (or its place changed)."""
        self.info = info

    def _heard(self, digits: str) -> None:
        """The far end pressed *digits*."""

    @property
    def _offered(self) -> bool:
        """Whether it came in and nobody here has accepted it."""
        return self._held_until is not None

    # --- the echo of our own digits ------------------------------------------------------

    def _sent_digits(self, digits: str, now: float) -> None:
        """We are about to send *digits*, whose echo is no key press."""
        if now > self._echoes_until:
            self._echoes = ""
        self._echoes = (self._echoes + digits)[-ECHO_MOST:]
        self._echoes_until = now + ECHO_SECONDS

    def _digits_not_sent(self, digits: str) -> None:
        """No echo of *digits* will come after all."""
        head, found, tail = self._echoes.rpartition(digits)
        if found:
            self._echoes = head + tail

    def _is_echo(self, digits: str, now: float) -> bool:
        """Whether *digits* are those of ours that are to come back next."""
        echoes = self._echoes
        if not digits or not echoes.startswith(digits) or now > self._echoes_until:
            return False
        self._echoes = self._echoes[len(digits):]
        self._echoes_until = now + ECHO_SECONDS
        return True


def can_be_next(call: TrackedCall, name: str) -> bool:
    """Whether the event *name* would move *call*, or be the first of its kind."""
    return call._leg in TRANSITIONS.get(name, {}) and not call._seen & ONCE.get(name, 0)


def advance(call: TrackedCall, frame: Frame, name: str) -> dict[str, Any] | None:
    """Take in one event of *call*; returns what it changes in the snapshot.

    None if the event is late or a copy, and so changes nothing.
    """
    moves = TRANSITIONS.get(name)
    if moves is None:
        return _common(call, frame)
    info, leg = call.info, call._leg
    after = moves.get(leg)
    if after is None or (call._place is CLOSING and name not in WINDING_DOWN):
        return None
    if name in ONCE:
        if call._seen & ONCE[name]:
            return None
        call._seen |= ONCE[name]

    new = _common(call, frame)
    if name == "dtmf_received":
        if leg is not info.state and call._place is not CLOSING:
            new["state"] = leg  # of a call that moved while its dial had given up
        if info.answered_at is None and leg in UP:
            new["answered_at"] = moment_of(frame)
        return new
    if name == "agora_bridge_start":
        channel = text_of(frame.get("channel")) or info.channel
        uid = text_of(frame.get("uid")) or info.uid
        if leg is BRIDGED and call._bridged_to == (channel, uid):
            return None
        call._bridged_to = (channel, uid)
        call._failure = None
        new.update(channel=channel, uid=uid)
    elif name == "agora_bridge_end":
        call._failure = None
    elif name == "agora_bridge_failed":
        reason = words_of(frame.get("reason"))
        if leg is UNBRIDGED and call._failure == reason:
            return None
        call._failure = reason

    call._leg = after
    if after is not info.state and call._place is not CLOSING:
        new["state"] = after
    if after in UP and info.answered_at is None:
        new["answered_at"] = moment_of(frame)
    if after is HANGUP:
        new.update(
            state=after,
            ended_at=moment_of(frame),
            hangup_cause=words_of(frame.get("hangup_cause")) or None,
            duration=integer_of(frame.get("duration")),
            billsec=integer_of(frame.get("billsec")),
            sip_disposition=words_of(frame.get("sip_disposition")) or None,
        )
    return new


def _common(call: TrackedCall, frame: Frame) -> dict[str, Any]:
    """What *frame* adds to a snapshot: it fills what is empty, and contradicts nothing."""
    info = call.info
    new: dict[str, Any] = {}
    if not call._complete:
        for name, wire in _IDENTITY:
            if not getattr(info, name):
                value = words_of(frame.get(wire))
                if value and not (name == "app_id" and value == MULTI):
                    new[name] = shared(value) if name in _SHARED else value
        if info.created_at is None:
            new["created_at"] = moment_of(frame)
    if info.direction == "outbound" and frame.get("direction") == "outbound_sip":
        new["direction"] = "outbound_sip"  # a dial cannot know which gateway takes it
    if "video" in frame and not info.video and flag_of(frame["video"]):
        new["video"] = True
    if "sip_headers" in frame and not info._sip_headers:
        new["_sip_headers"] = tuple(headers_of(frame.get("sip_headers")).items())
    return new


_IDENTITY = (
    ("direction", "direction"),
    ("from_", "from"),
    ("to", "to"),
    ("channel", "channel"),
    ("uid", "uid"),
    ("app_id", "appid"),
)


def is_complete(info: CallInfo) -> bool:
    """Whether nothing is missing that every event may add."""
    names = (name for name, _ in _IDENTITY)
    return info.created_at is not None and all(getattr(info, name) for name in names)


#: Of these all calls have a few values among them: one string serves them …
_SHARED = frozenset({"direction", "app_id"})
#: … up to so many. Python's own interned strings can be there for good.
SHARED_MOST = 1000
_shared: dict[str, str] = {}


def shared(text: str) -> str:
    """*text*, or the equal string that was here before."""
    if len(_shared) < SHARED_MOST:
        return _shared.setdefault(text, text)
    return _shared.get(text, text)


def unheard_of(frame: Frame, name: str, channel: str = "", uid: str = "") -> CallInfo:
    """What a call was before the event *name*, the first that is heard of it; see ``advance``."""
    direction = shared(words_of(frame.get("direction")))
    if name == "call_incoming":
        direction = direction or "inbound"
    state = INCOMING if direction == "inbound" else RINGING
    if name == "dtmf_received":
        state = ANSWERED
    return CallInfo(state=state, direction=direction, channel=channel, uid=uid)


def moment_of(frame: Frame) -> datetime | None:
    """A frame's timestamp as an aware UTC datetime."""
    timestamp = number_of(frame.get("timestamp"))
    return None if timestamp is None else _moment(timestamp)


@functools.lru_cache(maxsize=64)  # one for all the calls of a second
def _moment(timestamp: float | int) -> datetime | None:
    try:
        return datetime.fromtimestamp(timestamp, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
