"""The callers' side of a connection: connect, commands, close.

What a caller shares with the reader thread is in `link`; the thread itself is `reader`.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime, timezone
from typing import Callable, Generic, Sequence, TypeVar

from telephony.errors import (
    ClientClosedError,
    ConnectError,
    ForkedClientError,
    NotConnectedError,
    TelephonyError,
)
from telephony.hooks import Hooks, counted
from telephony.protocol.calls import CallInfo, TrackedCall
from telephony.protocol.commands import Command, Dial
from telephony.protocol.events import Disconnected, Event
from telephony.protocol.session import Request, Session
from telephony.protocol.states import ConnectionState
from telephony.protocol.wire import Frame
from telephony.runtime import forks
from telephony.runtime.deadline import SLICE_SECONDS, Deadline
from telephony.runtime.link import (
    CLOSED,
    CONNECTED,
    CONNECTING,
    IDLE,
    RECONNECTING,
    ConnectionOptions,
    Link,
)
from telephony.runtime.pending import Slot
from telephony.runtime.reader import Reader
from telephony.runtime.transport import ConnectionDown, Transport

__all__ = ["Connection", "ConnectionOptions"]

#: ``close()`` waits this long for its close frame to leave, and for the reader to end.
GOODBYE_SECONDS = 0.5
JOIN_SECONDS = 1.0
#: What a caller of ``connect`` grants the reader beyond the deadline to say what went wrong.
GRACE_SECONDS = 0.25

C = TypeVar("C", bound=TrackedCall)


def _slice(seconds: float | None) -> float:
    """How long to wait at a time, so that no signal is missed; see ``deadline.wait``."""
    return SLICE_SECONDS if seconds is None else min(seconds, SLICE_SECONDS)


class Connection(Generic[C]):
    """A connection that is made again when it is lost, and the session over it."""

    def __init__(
        self,
        session: Session[C],
        options: ConnectionOptions,
        emit: Callable[[Sequence[Event]], None],
        hooks: Hooks | None = None,
    ) -> None:
        self._link: Link[C] = Link(session, options, emit, hooks)
        self._session = session
        self._options = options
        self._pid = os.getpid()
        self._reader: Reader[C] | None = None  # of the newest attempt; under the lock
        self.lock = self._link.lock
        forks.add(self)

    # --- looking -----------------------------------------------------------------------

    @property
    def state(self) -> ConnectionState:
        return self._link.state

    @property
    def usable(self) -> bool:
        return self._link.usable

    @property
    def closed(self) -> bool:
        return self._link.state is CLOSED

    @property
    def forked(self) -> bool:
        """Whether this is another process than the one the connection was made in."""
        return os.getpid() != self._pid

    @property
    def reconnects(self) -> int:
        return self._link.reconnects

    @property
    def failure(self) -> TelephonyError | None:
        """Why the connection is idle, if it was given up."""
        return self._link.failure

    def last_seen_age(self) -> float | None:
        """Seconds since the CM was last heard, or None when not connected."""
        transport = self._link.transport
        if transport is None or self._link.state is not CONNECTED:
            return None
        return max(0.0, time.monotonic() - transport.last_seen)

    def check_process(self) -> None:
        if self.forked:
            raise ForkedClientError(
                "this client belongs to the parent process: call connect() in this one"
            )

    def _check_open(self) -> None:
        if self._link.state is CLOSED:
            raise ClientClosedError("the client was closed: make a new one")

    # --- connecting ----------------------------------------------------------------------

    def connect(self, timeout: float | None = None) -> None:
        """Block until registered, at most *timeout* seconds (None: ``connect_timeout``)."""
        self.check_process()
        seconds = self._options.connect_timeout if timeout is None else timeout
        link, deadline = self._link, Deadline(seconds)
        try:
            with self.lock:
                self._check_open()
                if link.state is CONNECTED:
                    return
                mine = link.state is IDLE
                if mine:
                    self._begin(deadline)
                attempt = link.attempt
                try:
                    ended = self._await_registration(attempt, Deadline(seconds + GRACE_SECONDS))
                except BaseException:  # Ctrl-C: nobody wants this connection any more
                    if mine:
                        self._cancel(attempt)
                    raise
                if ended:
                    return
                phase = "dns" if link.transport is None else link.transport.phase
                if mine:
                    self._cancel(attempt)
        finally:
            link.log_changes()
        trying = "" if mine else "; it is still being tried"
        raise ConnectError(
            f"no connection to {self._options.host} within {seconds:g} s: no answer in the time "
            f"given{trying}",
            phase=phase,
        )

    def _begin(self, deadline: Deadline) -> None:
        """Start the reader. Wants the lock."""
        self._link.attempt += 1
        self._link.failure = None
        self._link.set_state(CONNECTING)
        self._reader = Reader(self._link, self._link.attempt, deadline)
        try:
            self._reader.thread.start()
        except RuntimeError:  # no more threads to be had
            self._link.set_state(IDLE)
            raise

    def _await_registration(self, attempt: int, deadline: Deadline) -> bool:
        """True once connected, false if the deadline passed. Wants the lock."""
        while True:
            self._check_open()
            if self._link.state is CONNECTED and self._link.announced:
                return True  # so a callback registered from here on hears of later events only
            if self._link.state is IDLE or self._link.attempt != attempt:
                raise self._link.failure or ConnectError("the attempt was given up", phase="tcp")
            if deadline.expired:
                return self._link.state is CONNECTED
            self._link.changed.wait(_slice(deadline.remaining()))

    def _cancel(self, attempt: int) -> None:
        """End a first attempt nobody waits for. Wants the lock."""
        if self._link.attempt == attempt and self._link.state is CONNECTING:
            self._link.attempt += 1  # the reader sees that it is not the one any more
            self._link.set_state(IDLE)
            transport, self._link.transport = self._link.transport, None
            if transport is not None:
                transport.abort()

    def wait_connected(self, timeout: float | None) -> bool:
        """Block until connected, or closed, or *timeout* seconds are over."""
        self.check_process()
        deadline = Deadline(timeout)
        with self.lock:
            while not (self._link.usable or self._link.state is CLOSED or deadline.expired):
                self._link.changed.wait(_slice(deadline.remaining()))
            return self._link.usable

    def wait_over(self) -> None:
        """Block until the connection is closed or given up."""
        with self.lock:
            while self._link.state not in (IDLE, CLOSED):
                self._link.changed.wait(SLICE_SECONDS)

    # --- commands ------------------------------------------------------------------------

    def execute(self, command: Command, call: C | None, timeout: float) -> tuple[Frame, C | None]:
        """Send *command* and wait at most *timeout* seconds for its response.

        Returns the response and, for a dial, the call. Raises the refusal, ``NotSentError``
        or ``OutcomeUnknownError``.
        """
        if self._link.hooks is None:
            return self._execute(command, call, timeout)
        with counted(self._link.hooks, command.action):
            return self._execute(command, call, timeout)

    def _execute(
        self, command: Command, call: C | None, timeout: float
    ) -> tuple[Frame, C | None]:
        deadline = Deadline(timeout)
        request, slot, transport = self._start(command, call)
        try:
            self._send(request, transport, deadline)
            if not slot.wait(deadline.remaining()):
                if self._give_up(request):
                    raise self._session.timed_out(request, timeout)
                slot.wait(None)  # it is about to be filled: the reader has taken the request
            response = slot.result()
            self._link.pending.put_back(slot)
            return response, request.call
        except TelephonyError:
            raise
        except BaseException:  # Ctrl-C and its like: nobody will hold what this makes
            self._disown(request)
            raise

    def begin(self, command: Command, call: C | None) -> Callable[[float | None], Frame]:
        """Send *command*; the function returned waits for the response, at most its argument."""
        hooks, began = self._link.hooks, time.monotonic()
        try:
            request, slot, transport = self._start(command, call)
            self._send(request, transport, Deadline(self._options.send_timeout))
        except TelephonyError:
            with counted(hooks, command.action, began):
                raise

        def result(timeout: float | None) -> Frame:
            with counted(hooks, command.action, began):
                if not slot.wait(timeout):
                    if self._give_up(request):
                        raise self._session.timed_out(request, timeout or 0.0)
                    slot.wait(None)
                return slot.result()

        return result

    def _start(
        self, command: Command, call: C | None
    ) -> tuple[Request[C], Slot, Transport]:
        self.check_process()
        with self.lock:
            self._check_open()
            state, transport = self._link.state, self._link.transport
            if state is not CONNECTED or transport is None:
                cure = "call connect() first" if state is IDLE else "try again when it is"
                raise NotConnectedError(
                    f"not connected ({state}): {command.action} was not sent; {cure}"
                )
            created_at = datetime.now(timezone.utc) if isinstance(command, Dial) else None
            request = self._session.prepare(command, call, time.monotonic(), created_at)
            return request, self._link.pending.add(request.request_id), transport

    def _send(self, request: Request[C], transport: Transport, deadline: Deadline) -> None:
        limit = deadline.at_most(self._options.send_timeout)
        self._link.show_sent(request.text)
        try:
            transport.send(request.text, limit)
        except ConnectionDown as down:
            self._link.pending.remove(request.request_id)
            if down.nothing_sent:
                with self.lock:
                    self._session.not_sent(request, time.monotonic())
                self._link.log_changes()
                raise NotConnectedError(
                    f"not connected ({down}): {request.command.action} was not sent"
                ) from None
            self._give_up(request)
            raise self._session.lost_error(request, str(down)) from None

    def _give_up(self, request: Request[C]) -> bool:
        """Stop waiting for *request*; false if its end had come already."""
        with self.lock:
            if not self._session.is_open(request):
                return False
            outcomes = self._session.give_up(request, time.monotonic())
            transport = self._link.transport
        if transport is not None:
            transport.wake()  # a call may have been given a time to go, which the reader is to keep
        self._link.pending.remove(request.request_id)
        self._link.carry_out(outcomes)
        return True

    def _disown(self, request: Request[C]) -> None:
        if not self._give_up(request):
            with self.lock:
                outcomes = self._session.disown(request, time.monotonic())
            self._link.carry_out(outcomes)

    def adopt(self, info: CallInfo) -> C:
        """Track a call that another client had; see ``Client.adopt``."""
        self.check_process()
        with self.lock:
            self._check_open()
            call = self._session.calls.adopt(info, time.monotonic())
            transport = self._link.transport
        if transport is not None:
            transport.wake()  # the call has a time to go, which the reader is to keep
        return call

    def decline(self, call: C) -> None:
        """Let go of an incoming call that no callback wanted, without a word to the CM."""
        with self.lock:
            self._session.calls.decline(call, time.monotonic())
        self._link.log_changes()

    # --- closing -------------------------------------------------------------------------

    def close(self) -> None:
        """End for good: pending commands fail, waits end, the socket is closed. At most 2 s."""
        if self.forked:
            self.abandon()
            return
        with self.lock:
            was = self._link.state
            transport, reader = self._link.transport, self._reader
            if was is not CLOSED:
                self._link.set_state(CLOSED)
                outcomes = self._session.lost("the client was closed", time.monotonic())
                self._session.calls.clear()
            else:
                outcomes = []
        self._link.closing.set()
        self._link.carry_out(outcomes)
        if transport is not None:
            transport.close(GOODBYE_SECONDS if was is CONNECTED else 0.0)
        if reader is not None and reader.thread is not threading.current_thread():
            reader.thread.join(JOIN_SECONDS)
        if was is CONNECTED and self._link.hooks is not None:
            self._link.hooks.disconnected()
        if was in (CONNECTED, RECONNECTING):
            self._link.tell(Disconnected(error=None))

    def abandon(self) -> None:
        """In a child process: let go of the parent's descriptor, and of nothing else."""
        self._link.attempt += 1  # under gevent the reader was copied too, and is to end
        transport = self._link.transport
        if transport is not None:
            transport.abandon()
