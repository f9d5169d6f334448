"""Which callbacks want which event."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, TypedDict

import attrs

from telephony.errors import ConnectionLostError, InvalidArgumentError
from telephony.protocol.calls import CallInfo
from telephony.protocol.events import (
    BridgeEnded,
    BridgeStarted,
    CallAnswered,
    CallHangup,
    CallIncoming,
    CallRinging,
    Connected,
    Disconnected,
    DtmfReceived,
    ErrorOccurred,
    Event,
)
from telephony.protocol.wire import digits_of
from telephony.runtime.lock import ProcessLock

if TYPE_CHECKING:
    from datetime import datetime

    from telephony.call import Call
    from telephony.protocol.states import CallState

log = logging.getLogger("telephony")

Callback = Callable[..., Any]

_CALL_FIELDS = frozenset(field.alias for field in attrs.fields(CallInfo))
_NUMBERS = frozenset({"to", "from_"})


class Match(TypedDict, total=False):
    """What ``Client.on`` filters by, for type checkers: the fields of events and ``CallInfo``."""

    # of every event
    name: str
    timestamp: float | int | None
    raw: Mapping[str, Any]
    # of a call, at that moment
    call_id: str
    state: CallState
    direction: str
    from_: str | int
    to: str | int
    channel: str
    uid: str
    app_id: str
    video: bool
    created_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    hangup_cause: str | None
    duration: int | None
    billsec: int | None
    sip_disposition: str | None
    stale: bool
    active: bool
    # of some events
    call: Call | None
    info: CallInfo | None
    reason: str
    digits: str
    echo: bool
    session_id: str
    reconnected: bool
    seconds: float
    stale_calls: tuple[Call, ...]
    error: BaseException | None


class EventHandler:
    """The Go SDK's handler interface, with every method doing nothing: override what you need.

    An object with any of these methods will do for ``Client.set_handler``.
    """

    def on_connected(self, session_id: str) -> None:
        """The client is registered (again)."""

    def on_call_incoming(self, call: Call) -> bool:
        """Somebody calls. Accept or reject here, or return True to decide later."""
        return False

    def on_call_ringing(self, call: Call) -> None:
        """The far end rings."""

    def on_call_answered(self, call: Call) -> None:
        """The remote party picked up."""

    def on_bridge_start(self, call: Call) -> None:
        """The call's audio joined a channel."""

    def on_bridge_end(self, call: Call) -> None:
        """The call's audio left the channel."""

    def on_call_hangup(self, call: Call) -> None:
        """The call ended."""

    def on_dtmf_received(self, call: Call, digits: str) -> None:
        """Digits were heard, or are the echo of our own."""

    def on_error(self, error: Exception) -> None:
        """The connection was lost, or something else went wrong that no call of yours reports."""


def _lost_to_error(handle: Callback) -> Callback:
    """The Go SDK has no word for a lost connection but its error callback."""

    def told(event: Disconnected) -> None:
        if isinstance(event.error, ConnectionLostError):
            handle(event.error)

    return told


_Adapted = Callable[[Callback], Callable[[Any], Any]]

_METHODS: tuple[tuple[str, Any, _Adapted], ...] = (
    ("on_connected", Connected, lambda do: lambda event: do(event.session_id)),
    ("on_call_incoming", CallIncoming, lambda do: lambda event: do(event.call)),
    ("on_call_ringing", CallRinging, lambda do: lambda event: do(event.call)),
    ("on_call_answered", CallAnswered, lambda do: lambda event: do(event.call)),
    ("on_bridge_start", BridgeStarted, lambda do: lambda event: do(event.call)),
    ("on_bridge_end", BridgeEnded, lambda do: lambda event: do(event.call)),
    ("on_call_hangup", CallHangup, lambda do: lambda event: do(event.call)),
    ("on_dtmf_received", DtmfReceived, lambda do: lambda event: do(event.call, event.digits)),
    ("on_error", ErrorOccurred, lambda do: lambda event: do(event.error)),
    ("on_error", Disconnected, _lost_to_error),
)


@attrs.frozen
class Registration:
    """One callback and what it wants."""

    event_type: type[Event]
    fn: Callback
    match: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def make(cls, event_type: object, fn: object, match: Mapping[str, Any]) -> Registration:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise InvalidArgumentError(
                f"event_type must be one of the event classes, not {event_type!r}"
            )
        if not callable(fn):
            raise InvalidArgumentError(f"fn must be a function, not {fn!r}")
        if any(map(inspect.iscoroutinefunction, (fn, getattr(fn, "__call__", None)))):
            raise InvalidArgumentError(
                "fn must be a plain function: callbacks run on threads, and nothing would await it"
            )
        known = _CALL_FIELDS | {field.name for field in attrs.fields(event_type)}
        wanted: list[tuple[str, Any]] = []
        for name, value in match.items():
            if name not in known:
                raise InvalidArgumentError(
                    f"{name} is no field of {event_type.__name__} or CallInfo to filter by"
                )
            if name in _NUMBERS:
                value = digits_of(str(value))
            wanted.append((name, value))
        return cls(event_type, fn, tuple(wanted))

    def wants(self, event: Event) -> bool:
        if not isinstance(event, self.event_type):
            return False
        try:
            return all(_fits(event, name, value) for name, value in self.match)
        except Exception:  # a value of the user's that cannot be compared
            log.exception("a filter of a callback for %s failed", event.name)
            return False


def _fits(event: Event, name: str, wanted: Any) -> bool:
    value = getattr(event, name, None)
    if value is None:
        value = getattr(getattr(event, "info", None), name, None)
    if name in _NUMBERS:
        value = digits_of(value or "")
    return bool(value == wanted)


class Handlers:
    """The callbacks of one client."""

    def __init__(self) -> None:
        self._lock = ProcessLock()  # guards the replacing of the tuples; reading needs none
        self._callbacks: tuple[Registration, ...] = ()
        self._methods: tuple[Registration, ...] = ()
        # The callbacks by type of event, None where one has a filter to be asked; a new dict
        # whenever the callbacks change.
        self._unasked: dict[type[Event], tuple[Callback, ...] | None] = {}

    def add(self, event_type: object, fn: object, match: Mapping[str, Any]) -> None:
        registration = Registration.make(event_type, fn, match)
        with self._lock:
            self._callbacks += (registration,)
            self._unasked = {}

    def remove(self, fn: object) -> None:
        with self._lock:
            self._callbacks = tuple(r for r in self._callbacks if r.fn != fn)
            self._unasked = {}

    def set_object(self, handler: object | None) -> None:
        """Let *handler*'s methods be called, and no earlier object's any more."""
        methods: list[Registration] = []
        for name, event_type, adapted in _METHODS:
            method = getattr(handler, name, None)
            if method is not None:
                if not callable(method):
                    raise InvalidArgumentError(f"handler.{name} must be a method")
                methods.append(Registration(event_type, adapted(method)))
        if handler is not None and not methods:
            raise InvalidArgumentError(
                f"handler has none of the methods {', '.join(sorted({m[0] for m in _METHODS}))}"
            )
        with self._lock:
            self._methods = tuple(methods)
            self._unasked = {}

    def wanting(self, event: Event, call: Call | None) -> tuple[Callback, ...]:
        """The callbacks for *event* (of *call*): the client's as they were added, then the call's.
        """
        own: Iterable[Registration] = ()
        if call is None or not (own := call._registrations):
            try:
                found = self._unasked[type(event)]
            except KeyError:
                found = self._note(type(event))
            if found is not None:
                return found
        return tuple(
            registration.fn
            for registration in (*self._methods, *self._callbacks, *own)
            if registration.wants(event)
        )

    def _note(self, kind: type[Event]) -> tuple[Callback, ...] | None:
        """Note the callbacks for every event of this type; None if they depend on the event."""
        unasked = self._unasked
        all_ = (*self._methods, *self._callbacks)
        matching = [one for one in all_ if issubclass(kind, one.event_type)]
        depends = any(one.match for one in matching)
        unasked[kind] = found = None if depends else tuple(one.fn for one in matching)
        return found
