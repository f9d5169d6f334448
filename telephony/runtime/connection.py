"""The one reader thread: connect, register, read, ping, and connect again.

The thread ``telephony-reader`` is the only one that connects and reads. It takes each
message into the session under the lock, lets go of it, and carries out what followed:
wakes callers, hands events on, sends what the session wants said. It runs no user code and
never waits for a callback or for a full send buffer.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from datetime import datetime, timezone
from typing import Any, Callable, Generic, Iterator, TypeVar
from urllib.parse import urlsplit

import attrs

from telephony.errors import (
    ClientClosedError,
    CommandRefusedError,
    ConnectError,
    ConnectionLostError,
    ForkedClientError,
    NotConnectedError,
    ProtocolError,
    TelephonyError,
)
from telephony.protocol.calls import TrackedCall
from telephony.protocol.commands import Command, Dial
from telephony.protocol.events import Connected, Disconnected, ErrorOccurred, Event, Gap
from telephony.protocol.session import (
    Answer,
    Outcome,
    Refused,
    Registered,
    Request,
    Say,
    Session,
    Tell,
    describe,
)
from telephony.protocol.states import ConnectionState
from telephony.protocol.wire import Frame
from telephony.runtime.backoff import STABLE_SECONDS, Backoff
from telephony.runtime.deadline import SLICE_SECONDS, Deadline
from telephony.runtime.pending import Pending, Slot
from telephony.runtime.transport import ConnectionDown, Transport, TransportOptions

log = logging.getLogger("telephony")

#: How often at the least the session is told the time.
TICK_SECONDS = 1.0
#: ``close()`` waits this long for its close frame to leave, and for the reader to end.
GOODBYE_SECONDS = 0.5
JOIN_SECONDS = 1.0
#: What a caller of ``connect`` grants the reader beyond the deadline to say what went wrong.
GRACE_SECONDS = 0.25

IDLE, CONNECTING, CONNECTED, RECONNECTING, CLOSED = ConnectionState

C = TypeVar("C", bound=TrackedCall)


def _slice(seconds: float | None) -> float:
    """How long to wait at a time, so that no signal is missed; see ``deadline.wait``."""
    return SLICE_SECONDS if seconds is None else min(seconds, SLICE_SECONDS)


@attrs.frozen(kw_only=True)
class ConnectionOptions:
    url: str
    transport: TransportOptions = attrs.field(repr=False)
    connect_timeout: float
    ping_interval: float
    ping_timeout: float
    send_timeout: float
    reconnect: Backoff | None

    @property
    def host(self) -> str:
        """Host and port, for messages: the rest of a URL may hold what is not to be shown."""
        return urlsplit(self.url).netloc


class Connection(Generic[C]):
    """A connection that is made again when it is lost, and the session over it."""

    def __init__(
        self,
        session: Session[C],
        options: ConnectionOptions,
        emit: Callable[[Event], None],
    ) -> None:
        self._session = session
        self._options = options
        self._emit = emit
        self._pid = os.getpid()
        self.lock = threading.Lock()  # guards the session and all below but _pending, _closing
        self._changed = threading.Condition(self.lock)  # the state, or _failure
        self._state = IDLE
        self._transport: Transport | None = None  # what the reader uses now
        self._reader: threading.Thread | None = None
        self._failure: TelephonyError | None = None  # why the state went back to idle
        self._attempts = 0  # counts those that connect() began
        self._lost_at: float | None = None
        self._reconnects = 0
        self._pending = Pending()
        self._closing = threading.Event()  # ends pauses
        _connections.add(self)

    # --- looking -----------------------------------------------------------------------

    @property
    def state(self) -> ConnectionState:
        return self._state

    @property
    def closed(self) -> bool:
        return self._state is CLOSED

    @property
    def forked(self) -> bool:
        """Whether this is another process than the one the connection was made in."""
        return os.getpid() != self._pid

    @property
    def reconnects(self) -> int:
        return self._reconnects

    @property
    def failure(self) -> TelephonyError | None:
        """Why the connection is idle, if it was given up."""
        return self._failure

    def last_seen_age(self) -> float | None:
        """Seconds since the CM was last heard, or None when not connected."""
        transport = self._transport
        if transport is None or self._state is not CONNECTED:
            return None
        return max(0.0, time.monotonic() - transport.last_seen)

    def check_process(self) -> None:
        if self.forked:
            raise ForkedClientError(
                "this client belongs to the parent process: call connect() in this one"
            )

    def _check_open(self) -> None:
        if self._state is CLOSED:
            raise ClientClosedError("the client was closed: make a new one")

    # --- connecting ----------------------------------------------------------------------

    def connect(self, timeout: float | None = None) -> None:
        """Block until registered, at most *timeout* seconds (None: ``connect_timeout``)."""
        self.check_process()
        seconds = self._options.connect_timeout if timeout is None else timeout
        deadline = Deadline(seconds)
        with self.lock:
            self._check_open()
            if self._state is CONNECTED:
                return
            mine = self._state is IDLE
            if mine:
                self._begin(deadline)
            attempt = self._attempts
            try:
                ended = self._await_registration(attempt, Deadline(seconds + GRACE_SECONDS))
            except BaseException:  # Ctrl-C: nobody wants this connection any more
                if mine:
                    self._cancel(attempt)
                raise
            if ended:
                return
            opened = self._transport is not None and self._transport.opened
            if mine:
                self._cancel(attempt)
        trying = "" if mine else "; it is still being tried"
        raise ConnectError(
            f"no connection to {self._options.host} within {seconds:g} s{trying}",
            phase="register" if opened else "tcp",
        )

    def _begin(self, deadline: Deadline) -> None:
        """Start the reader. Wants the lock."""
        self._attempts += 1
        self._failure = None
        self._set_state(CONNECTING)
        self._reader = threading.Thread(
            target=self._run,
            args=(self._attempts, deadline),
            name="telephony-reader",
            daemon=True,
        )
        try:
            self._reader.start()
        except RuntimeError:  # no more threads to be had
            self._set_state(IDLE)
            raise

    def _await_registration(self, attempt: int, deadline: Deadline) -> bool:
        """True once connected, false if the deadline passed. Wants the lock."""
        while True:
            self._check_open()
            if self._state is CONNECTED:
                return True
            if self._state is IDLE or self._attempts != attempt:
                raise self._failure or ConnectError("the attempt was given up", phase="tcp")
            if deadline.expired:
                return False
            self._changed.wait(_slice(deadline.remaining()))

    def _cancel(self, attempt: int) -> None:
        """End a first attempt nobody waits for. Wants the lock."""
        if self._attempts == attempt and self._state is CONNECTING:
            self._attempts += 1  # the reader sees that it is not the one any more
            self._set_state(IDLE)
            transport, self._transport = self._transport, None
            if transport is not None:
                transport.abort()

    def wait_connected(self, timeout: float | None) -> bool:
        """Block until connected, or closed, or *timeout* seconds are over."""
        self.check_process()
        deadline = Deadline(timeout)
        with self.lock:
            while self._state not in (CONNECTED, CLOSED) and not deadline.expired:
                self._changed.wait(_slice(deadline.remaining()))
            return self._state is CONNECTED

    def wait_over(self) -> None:
        """Block until the connection is closed or given up."""
        with self.lock:
            while self._state not in (IDLE, CLOSED):
                self._changed.wait(SLICE_SECONDS)

    def _set_state(self, state: ConnectionState) -> None:
        """Wants the lock."""
        if self._state is not state and self._state is not CLOSED:
            log.info("connection %s -> %s", self._state, state)
            self._state = state
            self._changed.notify_all()

    # --- commands ------------------------------------------------------------------------

    def execute(self, command: Command, call: C | None, timeout: float) -> tuple[Frame, C | None]:
        """Send *command* and wait at most *timeout* seconds for its response.

        Returns the response and, for a dial, the call. Raises the refusal, ``NotSentError``
        or ``OutcomeUnknownError``.
        """
        deadline = Deadline(timeout)
        request, slot, transport = self._start(command, call)
        try:
            self._send(request, transport, deadline)
            if not slot.wait(deadline.remaining()) and self._give_up(request):
                raise self._session.timed_out(request, timeout)
            slot.wait(None)  # filled, or about to be: the reader has taken the request
            return slot.result(), request.call
        except TelephonyError:
            raise
        except BaseException:  # Ctrl-C and its like: nobody will hold what this makes
            self._disown(request)
            raise

    def begin(self, command: Command, call: C | None) -> Callable[[float | None], Frame]:
        """Send *command*; the function returned waits for the response, at most its argument."""
        request, slot, transport = self._start(command, call)
        self._send(request, transport, Deadline(self._options.send_timeout))

        def result(timeout: float | None) -> Frame:
            if not slot.wait(timeout) and self._give_up(request):
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
            transport = self._transport
            if self._state is not CONNECTED or transport is None:
                raise NotConnectedError(
                    f"not connected ({self._state}): {command.action} was not sent; "
                    + ("call connect() first" if self._state is IDLE else "try again when it is")
                )
            created_at = datetime.now(timezone.utc) if isinstance(command, Dial) else None
            request = self._session.prepare(command, call, time.monotonic(), created_at)
            return request, self._pending.add(request.request_id), transport

    def _send(self, request: Request[C], transport: Transport, deadline: Deadline) -> None:
        seconds = deadline.remaining()
        most = self._options.send_timeout
        limit = Deadline(most if seconds is None else min(seconds, most))
        log.debug("-> %s", describe(request))
        try:
            transport.send(request.text, limit)
        except ConnectionDown as down:
            self._pending.remove(request.request_id)
            reason = str(down)
            if down.nothing_sent:
                with self.lock:
                    self._session.not_sent(request, time.monotonic())
                raise NotConnectedError(
                    f"not connected ({reason}): {request.command.action} was not sent"
                ) from None
            error: TelephonyError = ConnectionLostError(
                f"connection lost ({reason}) while {describe(request)} was being sent: "
                "it may have been carried out, and is not sent again",
                action=request.command.action,
                request_id=request.request_id,
                call=request.call,  # type: ignore[arg-type]
            )
            self._give_up(request)
            raise error from None

    def _give_up(self, request: Request[C]) -> bool:
        """Stop waiting for *request*; false if its end had come already."""
        with self.lock:
            if not self._session.is_open(request):
                return False
            outcomes = self._session.give_up(request, time.monotonic())
        self._pending.remove(request.request_id)
        self._carry_out(outcomes)
        return True

    def _disown(self, request: Request[C]) -> None:
        if not self._give_up(request):
            with self.lock:
                outcomes = self._session.disown(request, time.monotonic())
            self._carry_out(outcomes)

    def decline(self, call: C) -> None:
        """Let go of an incoming call that no callback wanted, without a word to the CM."""
        with self.lock:
            self._session.calls.decline(call, time.monotonic())

    # --- closing -------------------------------------------------------------------------

    def close(self) -> None:
        """End for good: pending commands fail, waits end, the socket is closed. At most 2 s."""
        if self.forked:
            self.abandon()
            return
        with self.lock:
            was = self._state
            transport, reader = self._transport, self._reader
            if was is not CLOSED:
                self._set_state(CLOSED)
                outcomes = self._session.lost("the client was closed", time.monotonic())
                self._session.calls.clear()
            else:
                outcomes = []
        self._closing.set()
        self._carry_out(outcomes)
        if transport is not None:
            transport.close(GOODBYE_SECONDS if was is CONNECTED else 0.0)
        if reader is not None and reader is not threading.current_thread():
            reader.join(JOIN_SECONDS)
        if was in (CONNECTED, RECONNECTING):
            self._tell(Disconnected(error=None))

    def abandon(self) -> None:
        """In a child process: let go of the parent's descriptor, and of nothing else."""
        transport = self._transport
        if transport is not None:
            transport.abandon()

    # --- the reader thread -----------------------------------------------------------------

    def _run(self, attempt: int, deadline: Deadline) -> None:
        error: TelephonyError | None = None
        try:
            error = self._live(attempt, deadline)
        except Exception as unforeseen:  # a bug of ours: say so, and leave nobody waiting
            log.exception("the reader thread failed")
            error = ConnectionLostError(f"connection lost: {type(unforeseen).__name__} in reader")
            self._tell(ErrorOccurred(error=unforeseen))
        finally:
            self._end(attempt, error)

    def _live(self, attempt: int, deadline: Deadline) -> TelephonyError | None:
        """Connect, serve, and connect again; returns why it is over."""
        first = True
        failures = 0
        while True:
            transport = Transport(self._options.url, self._options.transport)
            with self.lock:
                if self._attempts != attempt or self._state is CLOSED:
                    return None
                self._transport = transport
                self._session.begin()
            try:
                try:
                    transport.open(deadline)
                    backlog = self._register(transport, deadline)
                except ConnectError as error:
                    if self._is_over(attempt):
                        return None
                    if first or error.permanent:
                        return error
                    log.warning("could not reconnect: %s", error)
                    wait = max(self._pause(failures), error.retry_after or 0.0)
                else:
                    first = False
                    connected_at = time.monotonic()
                    lost = self._serve(transport, backlog)
                    if self._is_over(attempt):
                        return None
                    self._lose(lost)
                    if self._options.reconnect is None:
                        return ConnectionLostError(f"connection lost: {lost}")
                    if time.monotonic() - connected_at >= STABLE_SECONDS:
                        failures = 0
                    wait = self._pause(failures)
            finally:
                transport.abort()
            failures += 1
            log.info("connecting again in %.1f s", wait)
            if self._wait_out(wait):
                return None
            deadline = Deadline(self._options.connect_timeout)

    def _pause(self, failures: int) -> float:
        assert self._options.reconnect is not None
        return self._options.reconnect.pause(failures)

    def _wait_out(self, seconds: float) -> bool:
        """Pause before the next attempt, telling the session the time; true if closed."""
        deadline = Deadline(seconds)
        while not deadline.expired:
            if self._closing.wait(min(TICK_SECONDS, deadline.remaining() or 0.0)):
                return True
            with self.lock:
                self._session.expire(time.monotonic())
        return self._closing.is_set()

    def _is_over(self, attempt: int) -> bool:
        with self.lock:
            return self._attempts != attempt or self._state is CLOSED

    def _register(self, transport: Transport, deadline: Deadline) -> Iterator[str | bytes]:
        """Shake hands; returns the messages that came right behind ``registered``."""
        try:
            while True:
                messages = iter(transport.receive(deadline.remaining()))
                for message in messages:
                    for outcome in self._take(message, transport):
                        if isinstance(outcome, Refused):
                            raise outcome.error
                        if isinstance(outcome, Registered):
                            return messages
                if deadline.expired:
                    raise ConnectError(
                        f"{self._options.host} did not finish the registration in time",
                        phase="register",
                    )
        except ConnectionDown as down:
            raise ConnectError(
                f"{self._options.host} closed the connection during registration: {down}",
                phase="register",
            ) from None

    def _serve(self, transport: Transport, backlog: Iterator[str | bytes]) -> str:
        """Read until the connection is down; returns why."""
        interval, timeout = self._options.ping_interval, self._options.ping_timeout
        now = time.monotonic()
        next_ping = now + interval
        next_tick = now + TICK_SECONDS
        try:
            for message in backlog:
                self._take(message, transport)
            while True:
                due = min(next_ping, next_tick, transport.last_seen + timeout)
                for message in transport.receive(max(0.0, due - time.monotonic())):
                    self._take(message, transport)
                now = time.monotonic()
                if now - transport.last_seen >= timeout:
                    return f"nothing came from the CM for {timeout:g} s"
                if now >= next_ping:
                    transport.ping()
                    next_ping = now + interval
                if now >= next_tick:
                    next_tick = now + TICK_SECONDS
                    with self.lock:
                        self._session.expire(now)
        except ConnectionDown as down:
            if down.protocol_error:
                with self.lock:
                    outcomes = self._session.unreadable(ProtocolError(str(down)))
                self._carry_out(outcomes)
            return str(down)

    def _take(self, message: str | bytes, transport: Transport) -> list[Outcome]:
        """One message, and all that follows from it."""
        try:
            with self.lock:
                if transport is not self._transport:  # of an attempt that was given up
                    return []
                outcomes = self._session.receive(message, time.monotonic())
        except Exception as error:  # whatever the CM sends, the reader lives on
            log.exception("a message of the CM could not be taken in")
            with self.lock:
                outcomes = self._session.unreadable(
                    ProtocolError(f"a message could not be taken in: {type(error).__name__}")
                )
        self._carry_out(outcomes)
        return outcomes

    def _carry_out(self, outcomes: list[Outcome]) -> None:
        """Do what the session decided, now that its lock is free."""
        for outcome in outcomes:
            if isinstance(outcome, Tell):
                self._tell(outcome.event)
            elif isinstance(outcome, Answer):
                error = outcome.error
                if isinstance(error, CommandRefusedError):
                    log.debug("<- %s refused: %s", outcome.request_id, error.reason)
                self._pending.fill(outcome.request_id, outcome.response, error)
            elif isinstance(outcome, Say):
                self._post(outcome.text)
            elif isinstance(outcome, Registered):
                self._registered(outcome.session_id)

    def _tell(self, event: Event) -> None:
        """Hand an event on; what goes wrong there must not end the reader."""
        try:
            self._emit(event)
        except Exception:
            log.exception("the event %s could not be handed on", event.name)

    def _post(self, text: str) -> None:
        transport = self._transport
        if transport is not None:
            try:
                transport.post(text)
            except ConnectionDown:
                pass  # the reader finds out for itself, and the session is told then

    def _registered(self, session_id: str) -> None:
        now = time.monotonic()
        with self.lock:
            lost_at, self._lost_at = self._lost_at, None
            stale = self._session.calls.stale() if lost_at is not None else []
            if lost_at is not None:
                self._reconnects += 1
            self._set_state(CONNECTED)
        self._tell(Connected(session_id=session_id, reconnected=lost_at is not None))
        if lost_at is not None:
            self._tell(Gap(seconds=now - lost_at, stale_calls=tuple(stale)))  # type: ignore

    def _lose(self, reason: str) -> None:
        """The connection is gone, and it was not us who ended it."""
        now = time.monotonic()
        with self.lock:
            if self._state is CLOSED:
                return
            self._lost_at = now
            outcomes = self._session.lost(reason, now)
            if self._options.reconnect is None:
                self._failure = ConnectionLostError(f"connection lost: {reason}")
                self._set_state(IDLE)
            else:
                self._set_state(RECONNECTING)
        log.warning("connection lost: %s", reason)
        self._carry_out(outcomes)
        self._tell(Disconnected(error=ConnectionLostError(f"connection lost: {reason}")))

    def _end(self, attempt: int, error: TelephonyError | None) -> None:
        """The reader is about to end."""
        with self.lock:
            if self._attempts != attempt:
                return
            refused = isinstance(error, ConnectError) and self._state is RECONNECTING
            transport, self._transport = self._transport, None
            outcomes = self._session.lost(str(error or "closed"), time.monotonic())
            self._failure = error
            self._set_state(IDLE)
            self._changed.notify_all()
        if transport is not None:
            transport.abort()
        self._carry_out(outcomes)
        if refused:  # a first connect() raises it; after an outage nobody waits for it
            log.error("not connecting any more: %s", error)
            self._tell(Disconnected(error=error))
            self._tell(ErrorOccurred(error=error))  # type: ignore[arg-type]


_connections: weakref.WeakSet[Connection[Any]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for connection in list(_connections):
        connection.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
