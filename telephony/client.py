"""The client: the facade users hold."""

from __future__ import annotations

import contextlib
import logging
import ssl
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Iterable, Literal, Mapping
from typing import NoReturn, TypeVar, overload

import attrs

from telephony.call import Call
from telephony.callbacks import Callbacks
from telephony.config import ClientOptions, Options, TokenProvider, from_environment
from telephony.control import CallControl
from telephony.errors import (
    CallNotFoundError,
    ClientClosedError,
    InvalidArgumentError,
    TelephonyError,
)
from telephony.handlers import Handlers, Match
from telephony.protocol.calls import CallInfo
from telephony.protocol.commands import checked_seconds, checked_wait
from telephony.protocol.events import Event
from telephony.protocol.session import Session
from telephony.protocol.states import CallState, ConnectionState
from telephony.runtime.backoff import Backoff
from telephony.runtime.connection import Connection
from telephony.runtime.deadline import Deadline
from telephony.runtime.lock import ProcessLock
from telephony.signals import Stopped, stopped_by_signals

if TYPE_CHECKING:  # Python 3.10 has none of its own
    from typing_extensions import Unpack

log = logging.getLogger("telephony")

#: ``close(hangup_active=True)`` waits this long for the hangups to be answered.
HANGUP_ALL_SECONDS = 2.0

#: A lock of ours that cannot be had for so long is held by the code that a signal interrupted.
LOCKED_SECONDS = 0.2

E = TypeVar("E", bound=Event)
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Health:
    """What a client is doing, at one moment.

    ``last_seen_age``: seconds since the CM was last heard, None when not connected.
    ``in_flight``: commands waiting for their answer. ``queued_events``: callbacks waiting for
    a thread. ``active_calls``: how many ``calls()`` lists. ``reconnects``, ``protocol_errors``
    and ``dropped_events`` (no callback was called: too many waited) count since the client was
    made.
    """

    connected: bool
    session_id: str
    last_seen_age: float | None
    in_flight: int
    queued_events: int
    active_calls: int
    reconnects: int
    protocol_errors: int
    dropped_events: int


def _can_be_had(lock: threading.Lock) -> bool:
    """Whether *lock* is free; other threads hold it for microseconds."""
    had = lock.acquire(timeout=LOCKED_SECONDS)
    if had:
        lock.release()
    return had


class Client(CallControl):
    """Places, receives and controls calls over one WebSocket to the Call Manager.

    Making one touches no network and starts no thread; ``connect()`` (or ``with client:``, or
    ``run_forever()``) does. Thread-safe: any method may be called on any thread, and in
    callbacks. In a forked child commands, waits, ``calls()``, ``call()`` and ``health()`` raise
    ``ForkedClientError``, until ``connect()`` gives the child a connection of its own.

    A command blocks until the CM has answered, and may raise ``InvalidArgumentError`` (nothing was
    sent), ``NotConnectedError``, ``ClientClosedError`` or ``ForkedClientError`` (it is safe to try
    again), ``CommandRefusedError``, ``CommandTimeoutError`` or ``ConnectionLostError`` (it may
    have been carried out). None is sent twice.

    ``url``: ``wss://HOST`` or just ``HOST``. ``auth_token``: as the CM wants it
    (``"Basic …"``). ``client_id``: a name no other client has; None makes one up.
    ``app_id``: the App ID, or ``"MULTI"`` for a client that serves several. The options are
    keywords, times in seconds:

    ``subscribe_numbers``: the DIDs to be offered calls for; None or empty: all.
    ``connect_timeout``: one whole connect. ``command_timeout``, ``dial_timeout``: waiting for a
    response, unless the command is given its own. ``ping_interval``, ``ping_timeout``:
    keepalive; the CM is dead after this much silence. ``reconnect``: True, False, or a
    ``Backoff``. ``workers``: most callback threads. ``token_provider``:
    ``fn(channel, uid, app_id) -> token``, asked where ``token`` is not given.
    ``orphan_policy``: what to do with a call whose dial gave up before its answer came,
    ``"hangup"`` or ``"keep"``. ``callback_context``: a context-manager factory entered around
    every callback. ``send_timeout``: for one frame to leave; past it the connection is given
    up. ``ssl_context``, ``headers``, ``proxy``: transport (``proxy`` None: the environment's,
    False: none). ``max_message_size``: bytes; a larger message closes the connection.
    ``stale_timeout``: how long a call that may have ended during an outage is kept.
    ``allow_insecure``: permits ``ws://`` to another machine. ``hooks``: an object that is told
    what to count, to time or to record, or a list of them, see ``telephony.hooks.Hooks``.

    Raises ``InvalidArgumentError`` naming the argument that is wrong.
    """

    def __init__(
        self,
        url: str,
        auth_token: str,
        client_id: str | None,
        app_id: str,
        *,
        subscribe_numbers: Iterable[str] | None = None,
        connect_timeout: float = 10,
        command_timeout: float = 30,
        dial_timeout: float = 90,
        ping_interval: float = 5,
        ping_timeout: float = 10,
        reconnect: bool | Backoff = True,
        workers: int = 16,
        token_provider: TokenProvider | None = None,
        orphan_policy: Literal["hangup", "keep"] = "hangup",
        callback_context: Callable[[], ContextManager[Any]] | None = None,
        send_timeout: float = 10,
        ssl_context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | Literal[False] | None = None,
        max_message_size: int = 1 << 20,
        stale_timeout: float = 3600,
        allow_insecure: bool = False,
        hooks: object | None = None,
        **unknown: NoReturn,
    ) -> None:
        if unknown:
            raise InvalidArgumentError(f"there is no option {', '.join(sorted(unknown))}")
        self.options = Options.checked(
            url,
            auth_token,
            client_id,
            app_id,
            subscribe_numbers=subscribe_numbers,
            connect_timeout=connect_timeout,
            command_timeout=command_timeout,
            dial_timeout=dial_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            reconnect=reconnect,
            workers=workers,
            token_provider=token_provider,
            orphan_policy=orphan_policy,
            callback_context=callback_context,
            send_timeout=send_timeout,
            ssl_context=ssl_context,
            headers=headers,
            proxy=proxy,
            max_message_size=max_message_size,
            stale_timeout=stale_timeout,
            allow_insecure=allow_insecure,
            hooks=hooks,
        )
        self._handlers = Handlers()
        self._making = ProcessLock()  # held while _build replaces what is below
        self._build(self.options.subscribe_numbers)

    def _build(self, subscriptions: tuple[str, ...]) -> None:
        """What belongs to one process; a forked child builds its own."""
        session: Session[Call] = Session(
            auth_token=self.options.auth_token,
            client_id=self.options.client_id,
            app_id=self.options.app_id,
            make_call=lambda info: Call(self, info),
            subscriptions=subscriptions,
            keep_orphans=self.options.keep_orphans,
            stale_timeout=self.options.stale_timeout,
        )
        callbacks = Callbacks(
            self._handlers,
            self.options.workers,
            self.options.callback_context,
            lambda call: self._connection.decline(call),
            self.options.hooks,
        )
        connection = Connection(
            session, self.options.connection, callbacks.emit, self.options.hooks
        )
        self._session = session
        self._callbacks = callbacks
        self._connection: Connection[Call] = connection  # last: it tells whose the others are

    @classmethod
    def from_env(cls, **options: Unpack[ClientOptions]) -> Client:
        """A client from ``CM_HOST``, ``AUTH_TOKEN``, ``APPID`` and ``CLIENT_ID`` (optional).

        *options* are those of ``Client``. What is missing is named in an
        ``InvalidArgumentError``.
        """
        given: dict[str, Any] = {**options}
        return cls(*from_environment(), **given)

    def __repr__(self) -> str:
        options, host = self.options, self.options.connection.host
        return f"<Client {options.client_id} of {options.app_id} at {host}: {self.state}>"

    # --- the connection ------------------------------------------------------------------

    def connect(self, timeout: float | None = None) -> None:
        """Block until registered, at most *timeout* seconds (None: ``connect_timeout``).

        Does nothing while connected; two at once share one attempt. Raises ``ConnectError``
        (``.phase`` says which step failed), ``RegistrationError`` if the CM refuses the
        credentials, ``ClientClosedError`` after ``close()``. In a forked child it makes a
        connection of the child's own.
        """
        if timeout is not None:
            checked_seconds("timeout", timeout)
        if self._connection.forked:
            with self._making:
                if self._connection.forked:
                    self._connection.abandon()
                    self.options = self.options.for_child()
                    self._build(self._session.subscriptions)
        self._connection.connect(timeout)

    def close(self, drain: float = 0, hangup_active: bool = False) -> None:
        """End for good; idempotent, from any thread and from a callback.

        Commands under way fail with ``ConnectionLostError``, waits with ``ClientClosedError``.
        Blocks 2 s at most, and then up to *drain* seconds for callbacks that run or wait to
        run (they run in any case). With *hangup_active* every active call is hung up first,
        which is waited for no longer than 2 s. In a signal handler that interrupted this client's
        own code it goes on in the background, once the handler has returned. In a forked child
        only the child's copy of the descriptor is closed.
        """
        checked_seconds("drain", drain, zero=True)
        if sys.is_finalizing():  # our threads stand still, perhaps in a lock; the kernel closes
            return  # pragma: no cover - by then nothing is measured any more
        if self._connection.forked:
            self._connection.abandon()
            return
        if self._in_our_own_way():
            closing = threading.Thread(
                target=self._close, args=(drain, hangup_active), name="telephony-close", daemon=True
            )
            closing.start()  # it goes on once the signal handler that we are in has returned
        else:
            self._close(drain, hangup_active)

    def _in_our_own_way(self) -> bool:
        """Whether this is a signal handler that interrupted one of our methods in its lock."""
        if threading.current_thread() is not threading.main_thread():
            return False
        locks = (self._connection.lock, self._callbacks.dispatcher.lock)
        return not all(_can_be_had(lock) for lock in locks)

    def _close(self, drain: float, hangup_active: bool) -> None:
        if hangup_active:
            self._hang_up_all()
        self._connection.close()
        self._callbacks.dispatcher.stop()
        if drain:
            self._callbacks.dispatcher.drain(drain)
        self._callbacks.dispatcher.join(0.5)

    def _hang_up_all(self) -> None:
        results: list[tuple[Call, Callable[[float | None], object]]] = []
        for call in self.calls():
            with contextlib.suppress(TelephonyError):
                if call.call_id and not call._offered:  # what is only offered is not ours to end
                    results.append((call, self._connection.begin(self._hang_up(call), call)))
        deadline = Deadline(HANGUP_ALL_SECONDS)
        for call, result in results:
            try:
                result(deadline.remaining())
            except CallNotFoundError:
                pass
            except TelephonyError as error:
                log.error("call %s could not be hung up: %s", call.call_id, error)

    def __enter__(self) -> Client:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def state(self) -> ConnectionState:
        """What the connection is doing; ``IDLE`` in a forked child that has none of its own."""
        return ConnectionState.IDLE if self._connection.forked else self._connection.state

    @property
    def connected(self) -> bool:
        """Whether commands can be sent now."""
        return self._connection.usable and not self._connection.forked

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._connection.closed

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Block until connected, at most *timeout* seconds (None: for ever); whether it is.

        Returns false early if the client is closed. It does not connect by itself.
        """
        return self._connection.wait_connected(checked_wait("timeout", timeout))

    def run_forever(self, *, hangup_active: bool = False) -> None:
        """Connect, and block until ``close()``, SIGINT or SIGTERM; then close.

        *hangup_active* is that of ``close``: whether to hang up every active call first. Without
        it calls stay up when the program ends.

        Signals are minded only on the main thread. If the connection is given up for good
        (credentials refused, ``reconnect=False``), its error is raised, and so is what the first
        ``connect`` raises; ``ClientClosedError`` if it was closed before.
        """
        if self.closed:
            raise ClientClosedError("the client was closed: make a new one")
        with stopped_by_signals(lambda: self.close(hangup_active=hangup_active)):
            try:
                self.connect()
                self._connection.wait_over()
            except (Stopped, ClientClosedError):
                pass
            finally:
                failure = self._connection.failure
                self.close(hangup_active=hangup_active)
        if failure is not None:
            raise failure

    def health(self) -> Health:
        """A snapshot of what the client is doing; blocks for nothing.

        Raises ``ForkedClientError`` in a child process.
        """
        self._connection.check_process()
        with self._connection.lock:
            return Health(
                connected=self.connected,
                session_id=self._session.session_id,
                last_seen_age=self._connection.last_seen_age(),
                in_flight=self._session.in_flight,
                queued_events=self._callbacks.dispatcher.queued,
                active_calls=len(self._session.calls),
                reconnects=self._connection.reconnects,
                protocol_errors=self._session.protocol_errors,
                dropped_events=self._callbacks.dropped,
            )

    # --- calls ---------------------------------------------------------------------------

    def calls(self) -> list[Call]:
        """The calls being tracked, oldest first; blocks for nothing.

        Raises ``ForkedClientError`` in a child process.
        """
        self._connection.check_process()
        with self._connection.lock:
            self._session.expire(time.monotonic())
            return self._session.calls.live()

    def adopt(self, info: CallInfo) -> Call:
        """Go on with a call of another client: one of this ``client_id``, in a process that died.

        The CM sends a call's events to the ``client_id`` that dialled or accepted it, also when
        that is registered anew. *info* is the last that was known of it, as somebody kept it. The
        call is ``stale`` until its next event, and goes after ``stale_timeout``: it may have ended
        unheard. An *info* without a ``call_id`` (but with ``channel`` and ``uid``) is a dial whose
        answer the other did not live to hear: its call is remembered for 10 minutes and, when it
        turns up, told as ``CallOrphaned`` and dealt with by ``orphan_policy``. Of several on one
        channel and uid all that turn up are hung up; nothing is guessed where they are to be kept.

        Adopt before ``connect()``, so that no event comes first; blocks for nothing. Returns the
        call: the one there is if it is tracked already, an ended one if its end was heard
        meanwhile. Raises ``InvalidArgumentError`` for an *info* that has ended or names no call,
        ``ClientClosedError``, or ``ForkedClientError``.
        """
        if not isinstance(info, CallInfo):
            raise InvalidArgumentError(f"info must be a CallInfo, not {type(info).__name__}")
        if info.state is CallState.HANGUP or not info.active:
            raise InvalidArgumentError(f"info is of a call that has ended ({info.call_id!r})")
        if not info.call_id and not (info.channel and info.uid):
            raise InvalidArgumentError("info names no call: it has no call_id, channel and uid")
        return self._connection.adopt(info)

    # --- callbacks -------------------------------------------------------------------------

    @overload
    def on(
        self, event_type: type[E], fn: None = None, **match: Unpack[Match]
    ) -> Callable[[Callable[[E], R]], Callable[[Any], R]]: ...  # so that they can be stacked

    @overload
    def on(
        self, event_type: type[E], fn: Callable[[E], R], **match: Unpack[Match]
    ) -> Callable[[E], R]: ...

    def on(
        self, event_type: type[E], fn: Callable[[E], Any] | None = None, **match: Unpack[Match]
    ) -> Any:
        """Call *fn* with each event of this type; as a decorator, or with *fn* given.

        Returns *fn*. *match* filters by fields of the event or of its call's ``CallInfo``
        (``to="+1800…"``); numbers compare by their digits alone. ``Event`` sees all. Raises
        ``InvalidArgumentError`` for what is no event class, no function or no such field.

        Callbacks run on worker threads and may block and call anything; those of one call run
        one at a time, in the order of arrival. One that raises is logged, and reported as
        ``ErrorOccurred``.
        """
        if fn is None:

            def register(fn: Callable[[E], R]) -> Callable[[Any], R]:
                self._handlers.add(event_type, fn, match)
                return fn

            return register
        self._handlers.add(event_type, fn, match)
        return fn

    def off(self, fn: Callable[..., Any]) -> None:
        """Call *fn* no more, for any event it was registered for with ``on``.

        What waits to be told already is still told. A *fn* that is not registered is no error.
        """
        self._handlers.remove(fn)

    def set_handler(self, handler: object | None) -> None:
        """Call the methods of *handler*, the Go SDK's interface; see ``EventHandler``.

        It takes the place of an earlier one; None: of none. Raises ``InvalidArgumentError`` for
        an object that has none of the methods.
        """
        self._handlers.set_object(handler)
