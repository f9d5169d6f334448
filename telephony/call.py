"""The live handle of one call: its newest state, its commands, its waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Mapping, TypeVar, overload

from telephony.errors import (
    CallEndedError,
    CallNotFoundError,
    ClientClosedError,
    InvalidArgumentError,
    NotConnectedError,
    TelephonyError,
    WaitTimeoutError,
)
from telephony.handlers import Registration
from telephony.protocol.calls import CallInfo, Place, TrackedCall
from telephony.protocol.commands import checked_wait
from telephony.protocol.events import Event
from telephony.protocol.states import UP, CallState
from telephony.runtime.deadline import Deadline

if TYPE_CHECKING:
    from telephony.client import Client

log = logging.getLogger("telephony")

#: After a hangup of our own, its ``call_hangup`` is waited for no longer than this.
HANGUP_SECONDS = 5.0
#: Digits that nobody collects are kept up to so many; the oldest go first.
DIGITS_MOST = 10_000

E = TypeVar("E", bound=Event)
R = TypeVar("R")
Predicate = Callable[[CallInfo], Any]


class _Waiter:
    """One thread that waits for a call: every snapshot since it began, so that none is missed."""

    __slots__ = ("woken", "infos")

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.infos: deque[CallInfo] = deque()


class Call(TrackedCall):
    """One phone call; the same object for the dial, its events and ``client.call()``.

    Thread-safe. Its attributes read the newest snapshot; ``info`` is that snapshot, which
    never changes once taken. Use it as a context manager to hang up on leaving::

        with client.dial(...) as call:
            call.wait_answered(timeout=30)
    """

    __slots__ = ("_client", "_waiters", "_digits", "registrations", "claimed", "__weakref__")

    def __init__(self, client: Client, info: CallInfo) -> None:
        super().__init__(info)
        self._client = client
        self._waiters: list[_Waiter] = []  # single list operations are atomic: no lock
        self._digits: deque[str] | None = None  # made for the first digit
        self.registrations: list[Registration] = []
        self.claimed = False  # an accept or a reject of it was begun

    # --- the newest snapshot ---------------------------------------------------------------

    @property
    def call_id(self) -> str:
        """The Call Manager's id; ``""`` while a dial has not been answered."""
        return self.info.call_id

    @property
    def state(self) -> CallState:
        return self.info.state

    @property
    def direction(self) -> str:
        """``inbound``, ``outbound`` or ``outbound_sip``."""
        return self.info.direction

    @property
    def from_(self) -> str:
        return self.info.from_

    @property
    def to(self) -> str:
        return self.info.to

    @property
    def channel(self) -> str:
        return self.info.channel

    @property
    def uid(self) -> str:
        return self.info.uid

    @property
    def app_id(self) -> str:
        return self.info.app_id

    @property
    def video(self) -> bool:
        return self.info.video

    @property
    def created_at(self) -> datetime | None:
        return self.info.created_at

    @property
    def answered_at(self) -> datetime | None:
        return self.info.answered_at

    @property
    def ended_at(self) -> datetime | None:
        return self.info.ended_at

    @property
    def hangup_cause(self) -> str | None:
        """``NORMAL_CLEARING``, ``USER_BUSY`` …; None until the call's ``call_hangup`` came."""
        return self.info.hangup_cause

    @property
    def duration(self) -> int | None:
        """Seconds from start to end, None until then."""
        return self.info.duration

    @property
    def billsec(self) -> int | None:
        """Seconds from answer to end, None until then."""
        return self.info.billsec

    @property
    def sip_disposition(self) -> str | None:
        return self.info.sip_disposition

    @property
    def sip_headers(self) -> Mapping[str, str]:
        return self.info.sip_headers

    @property
    def stale(self) -> bool:
        """There was an outage, and nothing has been heard of the call since."""
        return self.info.stale

    @property
    def active(self) -> bool:
        """The call may be up, as far as this client knows."""
        return self.info.active

    def __repr__(self) -> str:
        info = self.info
        number = info.from_ if info.direction == "inbound" else info.to
        return f"<Call {info.call_id or '(no id yet)'} {info.direction} {number} {info.state}>"

    # --- commands: Client's, without the first argument --------------------------------------

    def accept(
        self,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        webhook_url: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        video: bool = False,
        command_timeout: float | None = None,
    ) -> None:
        """See ``Client.accept``."""
        self._client.accept(
            self,
            token=token,
            channel=channel,
            uid=uid,
            app_id=app_id,
            webhook_url=webhook_url,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
            command_timeout=command_timeout,
        )

    def reject(self, reason: str = "", *, command_timeout: float | None = None) -> None:
        """See ``Client.reject``."""
        self._client.reject(self, reason, command_timeout=command_timeout)

    def hangup(self, *, command_timeout: float | None = None) -> None:
        """See ``Client.hangup``. Does nothing if the call is known to have ended."""
        if self.info.state is not CallState.HANGUP:
            self._client.hangup(self, command_timeout=command_timeout)

    def send_dtmf(self, digits: str, *, command_timeout: float | None = None) -> None:
        """See ``Client.send_dtmf``."""
        self._client.send_dtmf(self, digits, command_timeout=command_timeout)

    def bridge(
        self,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        video: bool = False,
        command_timeout: float | None = None,
    ) -> None:
        """See ``Client.bridge``."""
        self._client.bridge(
            self,
            token=token,
            channel=channel,
            uid=uid,
            app_id=app_id,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
            command_timeout=command_timeout,
        )

    def unbridge(self, *, command_timeout: float | None = None) -> None:
        """See ``Client.unbridge``."""
        self._client.unbridge(self, command_timeout=command_timeout)

    def rebridge(
        self,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """See ``Client.rebridge``."""
        self._client.rebridge(
            self,
            token=token,
            channel=channel,
            uid=uid,
            app_id=app_id,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            command_timeout=command_timeout,
        )

    def transfer(
        self, destination: str, leg: str | None = None, *, command_timeout: float | None = None
    ) -> None:
        """See ``Client.transfer``."""
        self._client.transfer(self, destination, leg, command_timeout=command_timeout)

    # --- callbacks -------------------------------------------------------------------------

    @overload
    def on(
        self, event_type: type[E], fn: None = None
    ) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...

    @overload
    def on(self, event_type: type[E], fn: Callable[[E], R]) -> Callable[[E], R]: ...

    def on(self, event_type: type[E], fn: Callable[[E], Any] | None = None) -> Any:
        """Call *fn* with each event of this type of this call; returns *fn*. Or a decorator.

        See ``Client.on`` for where and in which order callbacks run.
        """
        if fn is None:
            return lambda fn: self.on(event_type, fn)
        self.registrations.append(Registration.make(event_type, fn, {}))
        return fn

    # --- waits -----------------------------------------------------------------------------

    def wait_answered(self, timeout: float | None = None) -> CallInfo:
        """Block until the remote party has picked up; see ``wait_for``. Bridged counts too."""
        return self.wait_for(lambda info: info.state in UP, timeout, _what="answered")

    def wait_bridged(self, timeout: float | None = None) -> CallInfo:
        """Block until the call's audio is in a channel; see ``wait_for``."""
        return self.wait_for(CallState.BRIDGED, timeout)

    def wait_for(
        self,
        predicate_or_state: CallState | Predicate,
        timeout: float | None = None,
        *,
        _what: str = "what was waited for",
    ) -> CallInfo:
        """Block until the call is in a state, or a predicate of its ``CallInfo`` is true.

        Returns the snapshot in which it was; one that holds now returns at once, and none in
        between is missed. *timeout* is in seconds (0 looks once, None waits for ever).

        Raises ``CallEndedError`` if the call ends first, ``WaitTimeoutError``, or
        ``ClientClosedError``.
        """
        if isinstance(predicate_or_state, str):
            try:
                state = CallState(predicate_or_state)
            except ValueError:
                raise InvalidArgumentError(
                    f"there is no call state {predicate_or_state!r}"
                ) from None
            _what = str(state)

            test: Predicate = lambda info: info.state is state  # noqa: E731
        elif callable(predicate_or_state):
            test = predicate_or_state
        else:
            raise InvalidArgumentError(
                f"predicate_or_state must be a CallState or a function, not {predicate_or_state!r}"
            )
        deadline = Deadline(checked_wait("timeout", timeout))
        with _Waiting(self) as waiter:
            while True:
                while waiter.infos:
                    info = waiter.infos.popleft()
                    if test(info):
                        return info
                self._check_up(_what)
                if not waiter.woken.wait(deadline.remaining()):
                    raise WaitTimeoutError(
                        f"call {self.call_id or self.to} was not {_what} within {timeout:g} s "
                        f"(it is {self.state})"
                    )
                waiter.woken.clear()

    def wait_ended(self, timeout: float | None = None) -> CallInfo:
        """Block until the call has ended, and its ``call_hangup`` has told how.

        After a hangup of our own that event is waited for no longer than 5 s; its absence is
        no error. *timeout* is in seconds (None: for ever). Raises ``WaitTimeoutError`` or
        ``ClientClosedError``.
        """
        deadline = Deadline(checked_wait("timeout", timeout))
        with _Waiting(self) as waiter:
            while True:
                waiter.woken.clear()
                place, info = self.place, self.info
                remaining = deadline.remaining()
                if place is Place.GONE:
                    if info.state is not CallState.HANGUP and self._client.closed:
                        raise ClientClosedError("the client was closed: how the call ended is lost")
                    return info
                if place is Place.CLOSING and self.closed_at is not None:
                    patience = max(0.0, self.closed_at + HANGUP_SECONDS - time.monotonic())
                    if patience == 0.0:
                        return info
                    remaining = patience if remaining is None else min(patience, remaining)
                if not waiter.woken.wait(remaining) and deadline.expired:
                    raise WaitTimeoutError(
                        f"call {self.call_id or self.to} did not end within {timeout:g} s "
                        f"(it is {self.state})"
                    )

    def collect_digits(
        self,
        *,
        max_digits: int | None = None,
        terminator: str | None = "#",
        timeout: float | None = None,
        inter_digit: float | None = None,
        flush: bool = False,
    ) -> str:
        """Block until the far end has pressed enough digits; returns them.

        It ends with *max_digits* digits or with a *terminator* (any character in it; None or
        ``""``: no such end), which is left out. It ends with what there is, perhaps ``""``,
        after *timeout* seconds, or *inter_digit* seconds after a digit. Digits pressed since
        the answer are taken first (*flush* forgets them), and those beyond the end are left
        for the next call. Echoes of digits that this client sent are not counted.

        Raises ``CallEndedError`` if the call ends first (``.digits`` is what was heard), or
        ``ClientClosedError``. Works inside callbacks.
        """
        if max_digits is not None and (
            isinstance(max_digits, bool) or not isinstance(max_digits, int) or max_digits < 1
        ):
            raise InvalidArgumentError(f"max_digits must be 1 or more, not {max_digits!r}")
        if terminator is not None and not isinstance(terminator, str):
            raise InvalidArgumentError("terminator must be a string of digits or None")
        deadline = Deadline(checked_wait("timeout", timeout))
        checked_wait("inter_digit", inter_digit)
        gap = Deadline(None)
        ends = terminator or ""
        taken: list[str] = []
        if flush and self._digits is not None:
            self._digits.clear()
        with _Waiting(self) as waiter:
            while True:
                waiter.woken.clear()
                up = self.info.active
                while self._digits:
                    digit = self._digits.popleft()
                    if digit in ends:
                        return "".join(taken)
                    taken.append(digit)
                    if len(taken) == max_digits:
                        return "".join(taken)
                    gap = Deadline(inter_digit)
                if not up:
                    self._check_up("finished with its digits", "".join(taken))
                waits = [w for w in (deadline.remaining(), gap.remaining()) if w is not None]
                if not waiter.woken.wait(min(waits) if waits else None):
                    if self._digits:
                        continue  # the last of them came as time ran out
                    return "".join(taken)

    def _check_up(self, what: str, digits: str = "") -> None:
        """Raise if nothing more can happen to this call."""
        info = self.info
        if info.active:
            return
        if info.state is not CallState.HANGUP and self._client.closed:
            raise ClientClosedError(f"the client was closed before the call was {what}")
        name = info.call_id or info.to
        why = f"({info.hangup_cause})" if info.hangup_cause else f"(it was {info.state})"
        raise CallEndedError(
            f"call {name} ended {why} before it was {what}",
            call=self,
            cause=info.hangup_cause,
            digits=digits,
        )

    # --- as a context manager ----------------------------------------------------------------

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up if the call is still up, and wait (5 s at most) for its ``call_hangup``.

        While the connection is being made again, that is waited for, at most
        ``command_timeout`` seconds: a call must not stay up for want of one.
        """
        try:
            if self.info.active:
                self._hang_up_surely()
            if self.place is Place.CLOSING:
                self.wait_ended(HANGUP_SECONDS)
        except WaitTimeoutError:
            pass
        except TelephonyError as failure:
            if kind is None:
                raise
            log.error("call %s could not be hung up: %s", self.call_id, failure)

    def _hang_up_surely(self) -> None:
        deadline = Deadline(self._client.options.command_timeout)
        while True:
            try:
                self.hangup(command_timeout=max(0.001, deadline.remaining() or 0.0))
            except CallNotFoundError:
                return  # it ended by itself
            except NotConnectedError:
                if not self._client.wait_connected(deadline.remaining()):
                    raise
            else:
                return

    # --- told by the table, under the session's lock -------------------------------------------

    def changed(self, info: CallInfo) -> None:
        self.info = info
        for waiter in tuple(self._waiters):
            waiter.infos.append(info)
            waiter.woken.set()

    def heard(self, digits: str) -> None:
        if self._digits is None:
            self._digits = deque(maxlen=DIGITS_MOST)
        self._digits.extend(digits)
        for waiter in tuple(self._waiters):
            waiter.woken.set()


class _Waiting:
    """Registers a waiter with a call, with the newest snapshot as its first."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._waiter = _Waiter()

    def __enter__(self) -> _Waiter:
        self._call._waiters.append(self._waiter)
        # Registered first: what comes between the two is seen twice rather than not at all.
        self._waiter.infos.append(self._call.info)
        return self._waiter

    def __exit__(self, *_: object) -> None:
        self._call._waiters.remove(self._waiter)
