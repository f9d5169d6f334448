"""One client's conversation with the Call Manager: text in, outcomes out.

The CM greets (``connected``), we register, the CM says ``registered``; from then on
commands go out with a ``request_id`` each, and responses and events come in, in any order.
Events may come before ``registered`` too.

No I/O happens here. ``receive`` and the others return *outcomes*: what is to be done once
the session's lock has been let go. Whoever calls holds that lock and brings the time.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, Union, cast

import attrs

from telephony.errors import (
    CallNotFoundError,
    CommandRefusedError,
    CommandTimeoutError,
    ConnectionLostError,
    InvalidArgumentError,
    ProtocolError,
    RegistrationError,
    TelephonyError,
)
from telephony.protocol import wire
from telephony.protocol.calls import CLOSING, GONE, MULTI, ORPHAN, CallInfo, TrackedCall
from telephony.protocol.commands import (
    Accept,
    Bridge,
    CallCommand,
    Command,
    Dial,
    EndCall,
    HangUp,
    JoinCommand,
    Rebridge,
    Reject,
    SendDtmf,
    Subscribe,
    hang_up,
)
from telephony.protocol.events import ErrorOccurred, Event, event_name
from telephony.protocol.refusals import UNKNOWN_CALL, refused, registration_refused
from telephony.protocol.table import REMEMBERED_MOST, REMEMBERED_SECONDS, CallTable
from telephony.protocol.wire import Frame, Secrets, is_id, text_of, words_of

if TYPE_CHECKING:
    from telephony.call import Call

C = TypeVar("C", bound=TrackedCall)


# --- outcomes ----------------------------------------------------------------------------


@attrs.frozen
class Say:
    """Send this text; nobody waits for what is answered."""

    text: str = attrs.field(repr=False)


@attrs.frozen(slots=False)  # made in half the time, and soon gone
class Answer:
    """The command of this id has come to its end: with a response, or with an error."""

    request_id: str
    response: Frame | None = attrs.field(default=None, repr=False)
    error: TelephonyError | None = None


@attrs.frozen
class Registered:
    session_id: str


@attrs.frozen
class Refused:
    error: RegistrationError


#: An event among them is to be handed to whoever asked for its kind.
Outcome = Union[Say, Event, Answer, Registered, Refused]


# --- the conversation --------------------------------------------------------------------


class _Phase(Enum):
    GREETING = "the CM is to say connected"
    REGISTERING = "the CM is to say registered"
    REGISTERED = "commands and events"


GREETING, REGISTERING, REGISTERED = _Phase


@attrs.define(eq=False)
class Request(Generic[C]):
    """A command on its way: ``text`` is its frame, ``call`` the call it is about, if tracked."""

    request_id: str
    command: Command
    call: C | None
    text: str = attrs.field(repr=False)
    waited_for: bool = True
    abandoned_at: float = 0.0


class Session(Generic[C]):
    """The state of one client's conversation, over all its connections."""

    def __init__(
        self,
        *,
        auth_token: str,
        client_id: str,
        app_id: str,
        make_call: Callable[[CallInfo], C],
        subscriptions: tuple[str, ...] = (),
        keep_orphans: bool = False,
        stale_timeout: float = 3600.0,
    ) -> None:
        self._auth_token = auth_token
        self._client_id = client_id
        self._app_id = app_id
        self.own_app_id = "" if app_id == MULTI else app_id
        self.secrets = Secrets(auth_token)
        self.calls: CallTable[C] = CallTable(
            make_call, self.own_app_id, keep_orphans=keep_orphans, stale_timeout=stale_timeout
        )
        self.subscriptions = subscriptions  # as the CM last took them
        self.session_id = ""
        self.protocol_errors = 0
        self._phase = GREETING
        self._count = 0
        self._requests: dict[str, Request[C]] = {}
        self._to_end: list[C] = []  # orphans that turned up before we were registered
        # given up, but an answer may still come and change a call
        self._abandoned: OrderedDict[str, Request[C]] = OrderedDict()

    @property
    def registered(self) -> bool:
        return self._phase is REGISTERED

    @property
    def in_flight(self) -> int:
        return len(self._requests)

    def app_id_for(self, given: str | None, call: C | None, *, needed: bool) -> str | None:
        """The App ID a command carries: the one given, else the call's, else the client's.

        None if there is none to send; an ``InvalidArgumentError`` if one is *needed*.
        """
        app_id = given if given is not None else (call.info.app_id if call else "")
        if app_id == MULTI:
            raise InvalidArgumentError("app_id must be one App ID here, not MULTI")
        app_id = app_id or self.own_app_id
        if needed and not app_id:
            raise InvalidArgumentError(
                "app_id is needed: the client was made for MULTI and serves several App IDs"
            )
        return app_id or None

    # --- commands going out ------------------------------------------------------------

    def prepare(
        self,
        command: Command,
        call: C | None,
        now: float,
        created_at: datetime | None = None,
        *,
        waited_for: bool = True,
    ) -> Request[C]:
        """Give *command* its id and its text; a dial gets its call."""
        self._count += 1
        request_id = self.calls.why = f"{command.action}_{self._count}"
        frame = command.to_wire()
        frame["request_id"] = request_id
        text = wire.encode(frame)
        if isinstance(command, Dial):
            self._hide(command, command.sip)
            call = self.calls.dial(
                CallInfo(
                    direction="outbound",
                    to=command.to,
                    from_=command.from_,
                    channel=command.channel,
                    uid=command.uid,
                    app_id=command.app_id or "",
                    video=command.video,
                    created_at=created_at,
                )
            )
        elif isinstance(command, JoinCommand):
            self._hide(command)
        elif isinstance(command, SendDtmf) and call is not None:
            call._sent_digits(command.digits, now)  # its echo can overtake its response
        request = Request(request_id, command, call, text, waited_for)
        self._requests[request_id] = request
        return request

    def _hide(self, command: Dial | JoinCommand, sip: str | None = None) -> None:
        """Never show what is secret in *command*: not the App ID, which some give for a token."""
        token = command.token if command.token != command.app_id else None
        self.secrets.add(token=token, sip=sip)

    def not_sent(self, request: Request[C], now: float) -> None:
        """Not a byte of it left: as if it had never been."""
        known = self._requests.pop(request.request_id, None)
        self.calls.why = request.request_id
        call = request.call
        if isinstance(request.command, Dial) and call is not None:
            if known:
                self.calls.dial_failed(call, now)
            else:
                self.calls.end(call, now)
        elif isinstance(request.command, SendDtmf) and call is not None:
            call._digits_not_sent(request.command.digits)

    def is_open(self, request: Request[C]) -> bool:
        """Whether the answer to *request* is still to come."""
        return request.request_id in self._requests

    def give_up(self, request: Request[C], now: float) -> list[Outcome]:
        """Nobody waits for the answer any more; it still counts if it comes."""
        del self._requests[request.request_id]
        self.calls.why = request.request_id
        request.abandoned_at = now
        self._abandoned[request.request_id] = request
        if len(self._abandoned) > REMEMBERED_MOST:
            self._abandoned.popitem(last=False)
        if isinstance(request.command, Dial) and request.call is not None:
            self.calls.give_up(request.call, now)
            return self._end_known_orphans(now)
        self._maybe_joined(request, now)
        return []

    def _maybe_joined(self, request: Request[C], now: float) -> None:
        """Nobody knows whether the CM took the command: the call may be ours by now."""
        command, call = request.command, request.call
        if isinstance(command, (Accept, Bridge, Rebridge)) and call is not None:
            if call._place is not GONE:
                self.calls.maybe_joined(call, command.channel, command.uid, now)

    def disown(self, request: Request[C], now: float) -> list[Outcome]:
        """The dial was answered, but whoever dialled was interrupted and never got the call."""
        self.calls.why = request.request_id
        if isinstance(request.command, Dial) and request.call is not None:
            self.calls.orphan(request.call, now)
        return self._end_known_orphans(now)

    def _end_known_orphans(self, now: float) -> list[Outcome]:
        """Calls whose dial gave up after an event had told their id need no more waiting."""
        outcomes: list[Outcome] = []
        if self.registered:
            for call in self.calls.known_orphans():
                outcomes.append(self.calls.turn_up(call, now))
                outcomes += self._end_orphan(call, now)
        return outcomes

    def _end_orphan(self, call: C, now: float) -> list[Outcome]:
        if call._place is not CLOSING:
            return []
        command = hang_up(call.info.call_id, "outbound", call.info.app_id or None)
        return [Say(self.prepare(command, call, now, waited_for=False).text)]

    # --- the connection ------------------------------------------------------------------

    def begin(self) -> None:
        """A new connection is there."""
        self._phase = GREETING

    def lost(self, reason: str, now: float) -> list[Outcome]:
        """The connection is gone: what was under way has an unknown outcome."""
        self._phase = GREETING
        self.calls.why = "the connection was lost"
        outcomes: list[Outcome] = []
        for request in list(self._requests.values()):
            outcomes += self._unknown(request, self.lost_error(request, reason), now)
        self._requests.clear()
        self._abandoned.clear()  # no answer comes over another connection
        self.calls.mark_stale(now)
        return outcomes

    def _unknown(
        self, request: Request[C], error: ConnectionLostError, now: float
    ) -> list[Outcome]:
        if isinstance(request.command, Dial) and request.call is not None:
            self.calls.give_up(request.call, now)
        self._maybe_joined(request, now)
        if request.waited_for:
            return [Answer(request.request_id, error=error)]
        return [ErrorOccurred(error=error)]

    def lost_error(self, request: Request[C], reason: str) -> ConnectionLostError:
        """The error for a command whose answer was lost with the connection."""
        return ConnectionLostError(
            f"connection lost ({reason}) while {describe(request)} was under way: {_MAYBE_DONE}",
            action=request.command.action,
            request_id=request.request_id,
            call=cast("Call | None", request.call),
        )

    def timed_out(self, request: Request[C], seconds: float) -> CommandTimeoutError:
        """The error for a command whose answer did not come in time."""
        return CommandTimeoutError(
            f"command timeout: no answer to {describe(request)} within {seconds:g} s: "
            f"{_MAYBE_DONE}",
            action=request.command.action,
            request_id=request.request_id,
            call=cast("Call | None", request.call),
        )

    def expire(self, now: float) -> None:
        """Let go of what has been kept long enough."""
        self.calls.expire(now)
        while self._abandoned:
            request = next(iter(self._abandoned.values()))
            if request.abandoned_at + REMEMBERED_SECONDS > now:
                break
            self._abandoned.popitem(last=False)

    # --- what comes in -------------------------------------------------------------------

    def receive(self, message: str | bytes, now: float) -> list[Outcome]:
        """Take in one message of the CM's."""
        try:
            frame = wire.decode(message)
        except ProtocolError as error:
            return self.unreadable(error)
        if "event" in frame:
            call = self.calls.known(frame)
            if call is None:
                return self._event(frame, now)
            event = self.calls.step(call, frame, frame["event"], now)
            return [] if event is None else [event]
        request_id = frame.get("request_id")
        if isinstance(request_id, str):
            request = self._requests.get(request_id)
            if request is not None:
                return self._answered(request, frame, now)
            request = self._abandoned.get(request_id)
            if request is not None:
                return self._answered_late(request, frame, now)
        if self._phase is not REGISTERED:
            return self._greeted(frame, now)
        if frame.get("error"):
            error_ = refused("", frame, self.secrets)
            assert error_ is not None
            return [ErrorOccurred(error=error_, raw=frame)]
        if "response" in frame or "status" in frame:
            return []  # a second answer, or a word after registration
        return self.unreadable(ProtocolError("the CM sent neither event nor response nor error"))

    def unreadable(self, error: ProtocolError) -> list[Outcome]:
        """The CM sent what cannot be read; it is counted and told, and life goes on."""
        self.protocol_errors += 1
        return [ErrorOccurred(error=error)]

    def _greeted(self, frame: Frame, now: float) -> list[Outcome]:
        status = text_of(frame.get("status"))
        if not frame.get("error"):
            if status == "connected" and self._phase is GREETING:
                self.session_id = words_of(frame.get("session_id"))
                self._phase = REGISTERING
                return [Say(self._registration())]
            if status == "registered" and self._phase is REGISTERING:
                self.calls.why = status
                self._phase = REGISTERED
                outcomes: list[Outcome] = [Registered(self.session_id)]
                while self._to_end:
                    outcomes += self._end_orphan(self._to_end.pop(), now)
                return outcomes + self._end_known_orphans(now)
            if not status:
                return self.unreadable(ProtocolError("the CM sent no status in the handshake"))
        return [Refused(registration_refused(frame, self.secrets))]

    def _registration(self) -> str:
        frame: dict[str, Any] = {
            "action": "register",
            "auth_token": self._auth_token,
            "client_id": self._client_id,
            "appid": self._app_id,
        }
        if self.subscriptions:
            frame["subscribe_numbers"] = list(self.subscriptions)
        return wire.encode(frame)

    def _event(self, frame: Frame, now: float) -> list[Outcome]:
        """An event that is not plainly one of a call we know."""
        try:
            event_name(frame)
        except ProtocolError as error:
            return self.unreadable(error)
        found = self.calls.apply(frame, now)
        outcomes: list[Outcome] = [*found.events]
        if found.to_end is not None:
            if self.registered:
                outcomes += self._end_orphan(found.to_end, now)
            else:
                self._to_end.append(found.to_end)
        return outcomes

    def _answered(self, request: Request[C], frame: Frame, now: float) -> list[Outcome]:
        self.calls.why = request.request_id
        call_id = getattr(request.command, "call_id", None)
        error = refused(request.command.action, frame, self.secrets, call_id)
        del self._requests[request.request_id]  # from here on nothing can fail
        if isinstance(request.command, Dial):
            assert request.call is not None
            if error is not None:
                self.calls.dial_failed(request.call, now)
            else:
                request.call = self.calls.dialled(request.call, _call_id_of(frame), now)
        elif error is not None:
            self._undo(request, error, now)
        else:
            self._do(request, now)
        if not request.waited_for:
            gone = isinstance(error, CallNotFoundError)  # which is all an orphan's end is about
            return [] if error is None or gone else [ErrorOccurred(error=error, raw=frame)]
        return [Answer(request.request_id, frame, error), *self._end_known_orphans(now)]

    def _answered_late(self, request: Request[C], frame: Frame, now: float) -> list[Outcome]:
        """The command had been given up; what it did is true all the same."""
        self.calls.why = request.request_id
        refusal = refused(request.command.action, frame, self.secrets)
        del self._abandoned[request.request_id]
        if isinstance(request.command, Dial):
            call, call_id = request.call, _call_id_of(frame)
            if call is None:
                return []
            if refusal is not None:
                self.calls.refused(call, now)
                return []
            if call._place is ORPHAN:
                self.calls.identify(call, call_id, now)
            elif call._place is GONE:
                other = self.calls.get(call_id)  # made by events, as ours was taken for another
                if other is not None:
                    self.calls.orphan(other, now)
            return self._end_known_orphans(now)
        if refusal is not None:
            self._undo(request, refusal, now)
        else:
            self._do(request, now)
        return []

    def _do(self, request: Request[C], now: float) -> None:
        """The CM took the command: what that changes here."""
        command, call = request.command, request.call
        if isinstance(command, (Accept, Bridge, Rebridge)):
            where = (command.call_id, command.channel, command.uid, command.app_id)
            joined = self.calls.joined(call, *where)
            if joined is None and isinstance(command, Accept):
                self.calls.accepted(*where)
        elif isinstance(command, (EndCall, HangUp, Reject)):
            if call is not None:
                self.calls.close(call, now)
        elif isinstance(command, Subscribe):
            self.subscriptions = command.numbers

    def _undo(self, request: Request[C], error: CommandRefusedError, now: float) -> None:
        """The CM refused the command: what that says about the call."""
        command, call = request.command, request.call
        if call is None:
            return
        not_found = isinstance(error, CallNotFoundError)
        if isinstance(command, SendDtmf):
            call._digits_not_sent(command.digits)
        if not_found and isinstance(command, (EndCall, HangUp)):
            self.calls.close(call, now)  # the far end was first: its call_hangup is on its way
        elif not_found and isinstance(command, (Accept, Reject)):
            self.calls.decline(call, now)  # but not one that is up: two may have tried to accept
        elif call.info.stale and error.reason == UNKNOWN_CALL:
            self.calls.close(call, now)  # it ended while we were away


_MAYBE_DONE = "it may have been carried out, and is not sent again"


def _call_id_of(frame: Frame) -> str:
    data = frame.get("data")
    found = text_of(data.get("callid")) if isinstance(data, dict) else ""
    found = found or text_of(frame.get("callid"))
    return found if is_id(found) else ""


def describe(request: Request[Any]) -> str:
    """A command in words, for messages: ``outbound to +1555…``, ``hangup of call 4f…``."""
    command = request.command
    if isinstance(command, Dial):
        return f"{command.action} to {wire.shown(command.to)} ({request.request_id})"
    if isinstance(command, CallCommand):
        return f"{command.action} of call {command.call_id} ({request.request_id})"
    return f"{command.action} ({request.request_id})"
