"""Waiting for a call: for a state, for its end, for digits."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, cast

from telephony.errors import (
    CallEndedError,
    ClientClosedError,
    InvalidArgumentError,
    WaitTimeoutError,
)
from telephony.protocol.calls import CLOSING, GONE, CallInfo, TrackedCall
from telephony.protocol.commands import checked_wait
from telephony.protocol.states import BRIDGED, HANGUP, UP, CallState
from telephony.protocol.wire import shown
from telephony.runtime.deadline import Deadline, wait

if TYPE_CHECKING:
    from telephony.call import Call

#: After a hangup of our own, its ``call_hangup`` is waited for no longer than this.
HANGUP_SECONDS = 5.0
#: A thread that waits for a state is told so many changes before it must have looked.
CHANGES_MOST = 10_000
#: Digits that nobody collects are kept up to so many; the oldest go first.
DIGITS_MOST = 10_000

Predicate = Callable[[CallInfo], Any]


class _Waiter:
    """One thread that waits for a call: every snapshot since it began, so that none is missed."""

    __slots__ = ("woken", "infos")

    def __init__(self, most: int) -> None:
        self.woken = threading.Event()
        self.infos: deque[CallInfo] = deque(maxlen=most)


class AwaitedCall(TrackedCall):
    """A tracked call that threads can wait for. No wait goes through the callback queue."""

    __slots__ = ("_waiters", "_digits")

    def __init__(self, info: CallInfo) -> None:
        super().__init__(info)
        self._waiters: list[_Waiter] = []  # single list operations are atomic: no lock
        self._digits: deque[str] | None = None  # made for the first digit

    def _client_closed(self) -> bool:
        """Whether the client that tracks the call was closed."""
        raise NotImplementedError

    def _check_process(self) -> None:
        """Raise ``ForkedClientError`` in a child process, where no event ever comes."""
        raise NotImplementedError

    def wait_answered(self, timeout: float | None = None) -> CallInfo:
        """Block until the remote party has picked up; see ``wait_for``. Bridged counts too."""
        return self.wait_for(lambda info: info.state in UP, timeout, _what="answered")

    def wait_bridged(self, timeout: float | None = None) -> CallInfo:
        """Block until the call's audio is in a channel; see ``wait_for``."""
        return self.wait_for(BRIDGED, timeout)

    def wait_for(
        self,
        predicate_or_state: CallState | Predicate,
        timeout: float | None = None,
        *,
        _what: str = "as it was waited for",
    ) -> CallInfo:
        """Block until the call is in a state, or a predicate of its ``CallInfo`` is true.

        Returns the snapshot in which it was; one that holds now returns at once, and none in
        between is missed. *timeout* is in seconds (0 looks once, None waits for ever).

        Raises ``CallEndedError`` if the call ends first, ``WaitTimeoutError``,
        ``ClientClosedError``, or ``InvalidArgumentError``. Works inside callbacks.
        """
        if isinstance(predicate_or_state, str):
            try:
                state = CallState(predicate_or_state)
            except ValueError:
                raise InvalidArgumentError(
                    f"predicate_or_state: there is no call state {predicate_or_state!r}"
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
        with _Waiting(self, CHANGES_MOST) as waiter:
            while True:
                waiter.woken.clear()
                up = self.info.active  # read first: what led to its end is looked at below
                while waiter.infos:
                    info = waiter.infos.popleft()
                    if test(info):
                        return info
                if not up:
                    self._check_up(f"will not be {_what}")
                self._check_process()
                if not wait(waiter.woken, deadline.remaining()) and not waiter.infos:
                    raise self._too_long(f"was not {_what}", timeout)

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
                place, info = self._place, self.info
                remaining = deadline.remaining()
                if place is GONE and not info.active:  # the place changes first
                    if info.state is not HANGUP and self._client_closed():
                        raise ClientClosedError("the client was closed: how the call ended is lost")
                    return info
                if place is CLOSING and self._closed_at is not None:
                    patience = max(0.0, self._closed_at + HANGUP_SECONDS - time.monotonic())
                    if patience == 0.0:
                        return info
                    remaining = patience if remaining is None else min(patience, remaining)
                self._check_process()
                if not wait(waiter.woken, remaining) and deadline.expired:
                    raise self._too_long("did not end", timeout)

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

        Raises ``CallEndedError`` if the call ends first (``.digits`` is what was heard),
        ``ClientClosedError``, or ``InvalidArgumentError``. Works inside callbacks.
        """
        if max_digits is not None and (
            isinstance(max_digits, bool) or not isinstance(max_digits, int) or max_digits < 1
        ):
            raise InvalidArgumentError(f"max_digits must be 1 or more, not {max_digits!r}")
        if terminator is not None and not (
            isinstance(terminator, str) and set(terminator) <= set("0123456789*#")
        ):
            raise InvalidArgumentError(f"terminator must be of 0-9 * # or None, not {terminator!r}")
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
                    self._check_up("gives no more digits", "".join(taken))
                self._check_process()
                waits = [w for w in (deadline.remaining(), gap.remaining()) if w is not None]
                if not wait(waiter.woken, min(waits) if waits else None):
                    if self._digits:
                        continue  # the last of them came as time ran out
                    return "".join(taken)

    def _too_long(self, what: str, timeout: float | None) -> WaitTimeoutError:
        info = self.info
        return WaitTimeoutError(
            f"call {info.call_id or shown(info.to)} {what} within {timeout} s (it is {info.state})"
        )

    def _check_up(self, what: str, digits: str = "") -> None:
        """Raise if nothing more can happen to this call."""
        info = self.info
        if info.active:
            return
        if info.state is not HANGUP and self._client_closed():
            raise ClientClosedError("the client was closed: nothing more is heard of the call")
        how = "ended" if info.state is HANGUP else "was let go of"
        why = f" ({info.hangup_cause})" if info.hangup_cause else ""
        raise CallEndedError(
            f"call {info.call_id or shown(info.to)} {how}{why} and {what}",
            call=cast("Call", self),
            cause=info.hangup_cause,
            digits=digits,
        )

    # --- told by the table, under the session's lock -------------------------------------------

    def _changed(self, info: CallInfo) -> None:
        self.info = info
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.infos.append(info)
                waiter.woken.set()

    def _heard(self, digits: str) -> None:
        if self._digits is None:
            self._digits = deque(maxlen=DIGITS_MOST)
        self._digits.extend(digits)
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.woken.set()


class _Waiting:
    """Registers a waiter with a call, with the newest snapshot as its first.

    *most* of the snapshots that follow are kept for it; most waits look at the call itself.
    """

    def __init__(self, call: AwaitedCall, most: int = 1) -> None:
        self._call = call
        self._waiter = _Waiter(most)

    def __enter__(self) -> _Waiter:
        self._call._waiters.append(self._waiter)
        # Registered first: what comes between the two is seen twice rather than not at all.
        self._waiter.infos.append(self._call.info)
        return self._waiter

    def __exit__(self, *_: object) -> None:
        self._call._waiters.remove(self._waiter)
