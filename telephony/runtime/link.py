"""What the callers of a connection and its reader thread share, under one lock."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from typing import Any, Callable, Generic, Sequence, TypeVar, get_args
from urllib.parse import urlsplit

import attrs

from telephony.errors import ProtocolError, TelephonyError
from telephony.hooks import Hooks, Told, told_of_frames
from telephony.protocol import wire
from telephony.protocol.calls import TrackedCall
from telephony.protocol.events import CallOrphaned, Event
from telephony.protocol.session import Answer, Outcome, Say, Session
from telephony.protocol.states import ConnectionState
from telephony.runtime.backoff import Backoff
from telephony.runtime.pending import Pending
from telephony.runtime.transport import ConnectionDown, Transport, TransportOptions

log = logging.getLogger("telephony")

IDLE, CONNECTING, CONNECTED, RECONNECTING, CLOSED = ConnectionState

#: The outcomes that are no events.
_ACTS = frozenset(get_args(Outcome)) - {Event}

C = TypeVar("C", bound=TrackedCall)


@attrs.frozen(kw_only=True)
class ConnectionOptions:
    url: str = attrs.field(repr=False)
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


class Link(Generic[C]):
    """The session, the connection it runs over now, and what follows from its outcomes.

    A method that wants the lock says so; all others are called without it.
    """

    def __init__(
        self,
        session: Session[C],
        options: ConnectionOptions,
        emit: Callable[[Sequence[Event]], None],
        hooks: Hooks | None,
    ) -> None:
        self.session = session
        self.options = options
        self.hooks = hooks
        self._tell_sent, self._tell_received = told_of_frames(hooks)
        self._emit = emit
        self.lock = threading.Lock()  # guards the session and all below but pending and closing
        self.changed = threading.Condition(self.lock)  # the state, or the failure
        self.state = IDLE
        self.transport: Transport | None = None  # what the reader uses now
        self.announced = False  # the Connected event of this connection was handed on
        self.attempt = 0  # the one connect() began last; the reader of an older one ends
        self.failure: TelephonyError | None = None  # why the state went back to idle
        self.lost_at: float | None = None  # when the connection that is being replaced was lost
        self.reconnects = 0
        self.pending = Pending()
        self.closing = threading.Event()  # ends pauses
        self._steps: deque[tuple[ConnectionState, ConnectionState]] = deque()  # to be logged

    def set_state(self, state: ConnectionState) -> None:
        """Wants the lock."""
        if self.state is not state and self.state is not CLOSED:
            self._steps.append((self.state, state))
            self.state = state
            self.announced = False
            self.changed.notify_all()

    @property
    def usable(self) -> bool:
        """Whether commands can be sent now; false too while the reader does not know of a loss."""
        transport = self.transport
        return self.state is CONNECTED and transport is not None and not transport.closed

    def is_over(self, attempt: int) -> bool:
        """Whether nobody wants the connection of this attempt any more. Wants the lock."""
        return self.attempt != attempt or self.state is CLOSED

    # --- what follows from the session's decisions -----------------------------------------

    def carry_out(self, outcomes: list[Outcome]) -> None:
        """Do what the session decided, in that order, now that its lock is free."""
        events: list[Any] = []  # handed on together: that is cheaper than one by one
        if _ACTS.isdisjoint(map(type, outcomes)):  # as nearly always: then none is looked at here
            events, outcomes = outcomes, []
        for outcome in outcomes:
            if isinstance(outcome, Event):
                events.append(outcome)
                continue
            if events:
                self.tell(*events)
                events = []
            if isinstance(outcome, Answer):
                self.pending.fill(outcome.request_id, outcome.response, outcome.error)
            elif isinstance(outcome, Say):
                self._post(outcome.text)
        if events:
            self.tell(*events)
        self.log_changes()

    def tell(self, *events: Event) -> None:
        """Hand events on; what goes wrong there must not end the reader."""
        if CallOrphaned in map(type, events):
            for event in events:
                if type(event) is CallOrphaned:
                    name = event.call.info.call_id
                    log.warning("call %s turned up after its dial gave up", name)
        try:
            self._emit(events)
        except Exception:
            log.exception("%d events could not be handed on", len(events))

    def _post(self, text: str) -> None:
        transport = self.transport
        if transport is not None:
            self.show_sent(text)
            try:
                transport.post(text)
            except ConnectionDown:
                pass  # the reader finds out for itself, and the session is told then

    # --- what is shown of frames and changes -------------------------------------------------

    def show_sent(self, text: str) -> None:
        """A frame that is about to leave, without its secrets, for the log and the hooks."""
        if log.isEnabledFor(logging.DEBUG) or self._tell_sent is not None:
            self._show("->", text, self._tell_sent)

    def show_received(self, messages: list[str | bytes]) -> None:
        """Frames that have come, before anything follows from them."""
        if log.isEnabledFor(logging.DEBUG) or self._tell_received is not None:
            for message in messages:
                self._show("<-", message, self._tell_received)

    def _show(self, arrow: str, message: str | bytes, tell: Told | None) -> None:
        secrets = self.session.secrets
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s", arrow, wire.loggable(message, secrets))
        if tell is not None:
            with contextlib.suppress(ProtocolError):
                tell(wire.masked(message, secrets))

    def log_changes(self) -> None:
        """What changed its state since the last time: it changed under the lock."""
        while self._steps:
            with contextlib.suppress(IndexError):  # another thread may be faster
                log.info("connection %s -> %s", *self._steps.popleft())
        moves = self.session.calls.moves
        if moves and not log.isEnabledFor(logging.INFO):  # one by one they take time
            moves.clear()
        while moves:
            with contextlib.suppress(IndexError):
                move = moves.popleft()
                name, before = move.call_id or "without an id", move.before or "new"
                after = move.after or "let go of"
                log.info("call %s: %s -> %s (%s)", name, before, after, move.why)
