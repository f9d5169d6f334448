"""The one reader thread: connect, register, read, ping, and connect again.

The thread ``telephony-reader`` is the only one that connects and reads. It takes each
message into the session under the lock, lets go of it, and carries out what followed:
wakes callers, hands events on, sends what the session wants said. It runs no user code and
never waits for a callback or for a full send buffer.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Generic, Iterator, TypeVar

from telephony.errors import ConnectError, ConnectionLostError, ProtocolError, TelephonyError
from telephony.protocol.calls import TrackedCall
from telephony.protocol.events import Connected, Disconnected, ErrorOccurred, Gap
from telephony.protocol.session import Outcome, Refused, Registered
from telephony.runtime.backoff import STABLE_SECONDS
from telephony.runtime.deadline import Deadline
from telephony.runtime.link import CONNECTED, IDLE, RECONNECTING, Link
from telephony.runtime.transport import ConnectionDown, Transport

log = logging.getLogger("telephony")

#: So many messages are taken in with the lock held, and told, before the next of them.
TAKEN_MOST = 64
#: How often at the least the session is told the time while it waits for it, …
TICK_SECONDS = 1.0
#: … and else: of 15 ms that an idle minute took, 60 ticks were 9.
IDLE_TICK_SECONDS = 30.0

C = TypeVar("C", bound=TrackedCall)


class Reader(Generic[C]):
    """Makes one attempt's connection, and makes it again whenever it is lost."""

    def __init__(self, link: Link[C], attempt: int, deadline: Deadline) -> None:
        self._link = link
        self._attempt = attempt
        self._deadline = deadline  # of the first connect
        self.thread = threading.Thread(target=self._run, name="telephony-reader", daemon=True)

    def _run(self) -> None:
        error: TelephonyError | None = None
        try:
            error = self._live()
        except Exception as unforeseen:  # a bug of ours: say so, and leave nobody waiting
            log.exception("the reader thread failed")
            error = ConnectionLostError(f"connection lost: {type(unforeseen).__name__} in reader")
            self._link.tell(ErrorOccurred(error=unforeseen))
        finally:
            self._end(error)

    def _live(self) -> TelephonyError | None:
        """Connect, serve, and connect again; returns why it is over."""
        link, options, deadline = self._link, self._link.options, self._deadline
        first = True
        failures = 0
        while True:
            transport = Transport(options.url, options.transport)
            with link.lock:
                if link.is_over(self._attempt):
                    return None
                link.transport = transport
                link.session.begin()
            link.log_changes()
            try:
                try:
                    transport.open(deadline)
                    backlog = self._register(transport, deadline)
                except ConnectError as error:
                    if self._is_over():
                        return None
                    if first or error.permanent:
                        return error
                    log.warning("could not reconnect: %s", error)
                    wait = max(self._pause(failures), error.retry_after or 0.0)
                else:
                    first = False
                    connected_at = time.monotonic()
                    lost = self._serve(transport, backlog)
                    if self._is_over():
                        return None
                    self._lose(lost)
                    if options.reconnect is None:
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
            deadline = Deadline(options.connect_timeout)

    def _pause(self, failures: int) -> float:
        assert self._link.options.reconnect is not None
        return self._link.options.reconnect.pause(failures)

    def _wait_out(self, seconds: float) -> bool:
        """Pause before the next attempt, telling the session the time; true if closed."""
        closing = self._link.closing
        deadline = Deadline(seconds)
        while not deadline.expired:
            if closing.wait(min(TICK_SECONDS, deadline.remaining() or 0.0)):
                return True
            self._tick(time.monotonic())
        return closing.is_set()

    def _tick(self, now: float) -> None:
        with self._link.lock:
            self._link.session.expire(now)
        self._link.log_changes()

    def _is_over(self) -> bool:
        with self._link.lock:
            return self._link.is_over(self._attempt)

    def _register(self, transport: Transport, deadline: Deadline) -> Iterator[str | bytes]:
        """Shake hands; returns the messages that came right behind ``registered``."""
        host = self._link.options.host
        try:
            while True:
                messages = iter(transport.receive(deadline.remaining()))
                for message in messages:
                    outcomes = self._receive([message], transport)
                    refused = [one for one in outcomes if isinstance(one, Refused)]
                    registered = [one for one in outcomes if isinstance(one, Registered)]
                    for outcome in registered:
                        self._registered(outcome.session_id)
                    self._link.carry_out(outcomes)
                    if refused:
                        raise refused[0].error
                    if registered:
                        return messages
                if deadline.expired:
                    raise ConnectError(
                        f"{host} did not finish the registration in time", phase="register"
                    )
        except ConnectionDown as down:
            raise ConnectError(
                f"{host} closed the connection during registration: {down}", phase="register"
            ) from None

    def _serve(self, transport: Transport, backlog: Iterator[str | bytes]) -> str:
        """Read until the connection is down; returns why."""
        interval, timeout = self._link.options.ping_interval, self._link.options.ping_timeout
        now = time.monotonic()
        session = self._link.session
        next_ping = now + interval
        last_tick = now
        try:
            self._take_all(list(backlog), transport)
            while True:
                tick = TICK_SECONDS if session.calls.keeps_time else IDLE_TICK_SECONDS
                due = min(next_ping, last_tick + tick, transport.last_seen + timeout)
                self._take_all(transport.receive(max(0.0, due - now)), transport)
                now = time.monotonic()
                if now - transport.last_seen >= timeout:
                    return f"nothing came from the CM for {timeout:g} s"
                if now >= next_ping:
                    transport.ping()
                    next_ping = now + interval
                if now >= last_tick + tick:
                    last_tick = now
                    self._tick(now)
        except ConnectionDown as down:
            if down.protocol_error:
                with self._link.lock:
                    outcomes = self._link.session.unreadable(ProtocolError(str(down)))
                self._link.carry_out(outcomes)
            return str(down)

    def _take_all(self, messages: list[str | bytes], transport: Transport) -> None:
        """Messages, and all that follows from them; some at a time, so that callers get a turn."""
        for start in range(0, len(messages), TAKEN_MOST):
            outcomes = self._receive(messages[start:start + TAKEN_MOST], transport)
            self._link.carry_out(outcomes)

    def _receive(self, messages: list[str | bytes], transport: Transport) -> list[Outcome]:
        """What follows from these messages."""
        link = self._link
        link.show_received(messages)
        outcomes: list[Outcome] = []
        failures: list[Exception] = []
        with link.lock:
            if transport is not link.transport:  # of an attempt that was given up
                return []
            session, now = link.session, time.monotonic()
            for message in messages:
                try:
                    outcomes += session.receive(message, now)
                except Exception as error:  # whatever the CM sends, the reader lives on
                    failures.append(error)
                    what = f"a message could not be taken in: {type(error).__name__}"
                    outcomes += session.unreadable(ProtocolError(what))
        for failure in failures:
            log.error("a message of the CM could not be taken in", exc_info=failure)
        return outcomes

    def _registered(self, session_id: str) -> None:
        link, now = self._link, time.monotonic()
        with link.lock:
            if link.is_over(self._attempt):
                return
            lost_at, link.lost_at = link.lost_at, None
            again = lost_at is not None
            stale = link.session.calls.stale() if again else []
            link.reconnects += again
            link.set_state(CONNECTED)
        link.log_changes()
        if link.hooks is not None:
            link.hooks.connected(again)
        link.tell(Connected(session_id=session_id, reconnected=again))
        if lost_at is not None:
            link.tell(Gap(seconds=now - lost_at, stale_calls=tuple(stale)))  # type: ignore
        with link.lock:
            link.announced = link.state is CONNECTED
            link.changed.notify_all()

    def _lose(self, reason: str) -> None:
        """The connection is gone, and it was not us who ended it."""
        link, now = self._link, time.monotonic()
        with link.lock:
            if link.is_over(self._attempt):
                return
            link.lost_at = now
            outcomes = link.session.lost(reason, now)
            if link.options.reconnect is None:
                link.failure = ConnectionLostError(f"connection lost: {reason}")
                link.set_state(IDLE)
            else:
                link.set_state(RECONNECTING)
        log.warning("connection lost: %s", reason)
        link.carry_out(outcomes)
        if link.hooks is not None:
            link.hooks.disconnected()
        link.tell(Disconnected(error=ConnectionLostError(f"connection lost: {reason}")))

    def _end(self, error: TelephonyError | None) -> None:
        """The reader is about to end."""
        link = self._link
        with link.lock:
            if link.attempt != self._attempt:
                return
            refused = isinstance(error, ConnectError) and link.state is RECONNECTING
            served = link.state is CONNECTED  # only a bug of ours ends a reader so
            transport, link.transport = link.transport, None
            outcomes = link.session.lost(str(error or "closed"), time.monotonic())
            link.failure = error
            link.set_state(IDLE)
            link.changed.notify_all()
        if transport is not None:
            transport.abort()
        link.carry_out(outcomes)
        if served and link.hooks is not None:
            link.hooks.disconnected()
        if refused:  # a first connect() raises it; after an outage nobody waits for it
            log.error("not connecting any more: %s", error)
            link.tell(Disconnected(error=error))
            link.tell(ErrorOccurred(error=error))  # type: ignore[arg-type]
