"""The client: the facade users hold."""

from __future__ import annotations

import contextlib
import logging
import signal
import ssl
import threading
import time
from types import TracebackType
from typing import Any, Callable, ContextManager, Iterable, Iterator, Literal, Mapping, NoReturn
from typing import TypeVar, overload

import attrs

from telephony.call import Call
from telephony.config import Options, TokenProvider, from_environment
from telephony.errors import (
    CallNotFoundError,
    InvalidArgumentError,
    TelephonyError,
)
from telephony.handlers import Callback, Handlers
from telephony.protocol import commands
from telephony.protocol.commands import checked_seconds, checked_text, checked_wait
from telephony.protocol.events import CallIncoming, ErrorOccurred, Event
from telephony.protocol.session import Session
from telephony.protocol.states import ConnectionState
from telephony.runtime.backoff import Backoff
from telephony.runtime.connection import Connection
from telephony.runtime.deadline import Deadline
from telephony.runtime.dispatcher import Dispatcher

log = logging.getLogger("telephony")

#: ``close(hangup_active=True)`` waits this long for the hangups to be answered.
HANGUP_ALL_SECONDS = 2.0

E = TypeVar("E", bound=Event)
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Health:
    """What a client is doing, at one moment.

    ``last_seen_age``: seconds since the CM was last heard, None when not connected.
    ``in_flight``: commands waiting for their answer. ``queued_events``: callbacks waiting for
    a thread. ``active_calls``: how many ``calls()`` lists. ``reconnects`` and
    ``protocol_errors`` count since the client was made.
    """

    connected: bool
    session_id: str
    last_seen_age: float | None
    in_flight: int
    queued_events: int
    active_calls: int
    reconnects: int
    protocol_errors: int


class Client:
    """Places, receives and controls calls over one WebSocket to the Call Manager.

    Making one touches no network and starts no thread; ``connect()`` (or ``with client:``, or
    ``run_forever()``) does. Thread-safe: any method may be called on any thread, and in
    callbacks. In a forked child everything but ``connect()`` and ``close()`` raises
    ``ForkedClientError``; ``connect()`` gives the child a connection of its own.

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
    ``allow_insecure``: permits ``ws://`` to another machine.

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
        )
        self._handlers = Handlers()
        self._build(self.options.subscribe_numbers)

    def _build(self, subscriptions: tuple[str, ...]) -> None:
        """What belongs to one process; a forked child builds its own."""
        self._session: Session[Call] = Session(
            auth_token=self.options.auth_token,
            client_id=self.options.client_id,
            app_id=self.options.app_id,
            make_call=lambda info: Call(self, info),
            subscriptions=subscriptions,
            keep_orphans=self.options.keep_orphans,
            stale_timeout=self.options.stale_timeout,
        )
        self._dispatcher = Dispatcher(self.options.workers)
        self._connection: Connection[Call] = Connection(
            self._session, self.options.connection, self._emit
        )

    @classmethod
    def from_env(cls, **options: Any) -> Client:
        """A client from ``CM_HOST``, ``AUTH_TOKEN``, ``APPID`` and ``CLIENT_ID`` (optional).

        *options* are those of ``Client``. What is missing is named in an
        ``InvalidArgumentError``.
        """
        return cls(*from_environment(), **options)

    def __repr__(self) -> str:
        options = self.options
        return f"<Client {options.client_id} of {options.app_id} at {options.url}: {self.state}>"

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
            self._connection.abandon()
            self._handlers = self._handlers.copy()
            self.options = self.options.for_child()
            self._build(self._session.subscriptions)
        self._connection.connect(timeout)

    def close(self, drain: float = 0, hangup_active: bool = False) -> None:
        """End for good; idempotent, from any thread and from a callback.

        Commands under way fail with ``ConnectionLostError``, waits with ``ClientClosedError``.
        Blocks 2 s at most, and then up to *drain* seconds for callbacks that run or wait to
        run (they run in any case). With *hangup_active* every active call is hung up first,
        which is waited for no longer than 2 s. In a forked child only the child's copy of the
        descriptor is closed.
        """
        checked_seconds("drain", drain, zero=True)
        if self._connection.forked:
            self._connection.abandon()
            return
        if hangup_active:
            self._hang_up_all()
        self._connection.close()
        self._dispatcher.stop()
        if drain:
            self._dispatcher.drain(drain)
        self._dispatcher.join(0.5)

    def _hang_up_all(self) -> None:
        results = []
        for call in self.calls():
            with contextlib.suppress(TelephonyError):
                if call.call_id:
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
        """What the connection is doing."""
        return self._connection.state

    @property
    def connected(self) -> bool:
        """Whether commands can be sent now."""
        return self._connection.state is ConnectionState.CONNECTED and not self._connection.forked

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._connection.closed

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Block until connected, at most *timeout* seconds (None: for ever); whether it is.

        Returns false early if the client is closed. It does not connect by itself.
        """
        return self._connection.wait_connected(checked_wait("timeout", timeout))

    def run_forever(self) -> None:
        """Connect, and block until ``close()``, SIGINT or SIGTERM; then close.

        Signals are minded only on the main thread. If the connection is given up for good
        (credentials refused, ``reconnect=False``), its error is raised.
        """
        with _stopped_by_signals():
            try:
                self.connect()
                self._connection.wait_over()
            except _Stopped:
                pass
            finally:
                failure = self._connection.failure
                self.close()
        if failure is not None:
            raise failure

    def health(self) -> Health:
        """A snapshot of what the client is doing; blocks for nothing."""
        self._connection.check_process()
        with self._connection.lock:
            return Health(
                connected=self.connected,
                session_id=self._session.session_id,
                last_seen_age=self._connection.last_seen_age(),
                in_flight=self._session.in_flight,
                queued_events=self._dispatcher.queued,
                active_calls=len(self._session.calls),
                reconnects=self._connection.reconnects,
                protocol_errors=self._session.protocol_errors,
            )

    # --- calls ---------------------------------------------------------------------------

    def calls(self) -> list[Call]:
        """The calls being tracked, oldest first."""
        self._connection.check_process()
        with self._connection.lock:
            self._session.expire(time.monotonic())
            return self._session.calls.live()

    def call(self, call_id: str) -> Call | None:
        """The tracked call with this id, or None."""
        self._connection.check_process()
        with self._connection.lock:
            return self._session.calls.get(call_id)

    # --- commands --------------------------------------------------------------------------
    #
    # All of them block until the CM's response, at most ``command_timeout`` seconds (of the
    # call, else of the client). They raise InvalidArgumentError before anything is sent,
    # NotSentError if nothing was, CommandRefusedError if the CM says no, and
    # OutcomeUnknownError if no answer came. Nothing is ever sent twice.

    def dial(
        self,
        *,
        to: str,
        from_: str,
        channel: str,
        uid: str | int,
        token: str | None = None,
        region: str,
        timeout: float | str | None = None,
        sip: str | None = None,
        sip_domain: str | None = None,
        app_id: str | None = None,
        video: bool = False,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        prompt: str | None = None,
        webhook_url: str | None = None,
        command_timeout: float | None = None,
    ) -> Call:
        """Place a call from *from_* to *to* and join its audio to *channel* as *uid*.

        *to* may carry digits to send after the answer (``+1555…;dtmf=1234#``). *token* is the
        RTC token for channel and uid (else the ``token_provider`` is asked). *region* is an
        area code such as ``AREA_CODE_NA``. *timeout* is how long it may ring, in seconds.
        *sip* is a trunk's URI, which may hold credentials, *sip_domain* its domain. *app_id*:
        for a MULTI client. *sdk_options*: JSON, or a dict. *audio_scenario*: ``"0"`` people
        (the default), ``"10"`` AI agents. *prompt* and *webhook_url* are passed on.

        Blocks until the CM answers, which may be only when the callee picks up: at most
        *command_timeout* seconds, else the client's ``dial_timeout``. Returns the call (ended,
        if it ended meanwhile). Raises ``DialFailedError`` if it was refused, or an
        ``OutcomeUnknownError`` whose ``.call`` is the handle of what may be a call; see
        ``orphan_policy`` for what becomes of it. Never sent twice.
        """
        seconds = self._seconds(command_timeout, self.options.dial_timeout)
        app = self._app_id(app_id, None, needed=True)
        command = commands.Dial(
            to=to,
            from_=from_,
            channel=channel,
            uid=uid,
            token=self._token(token, channel, uid, app),
            region=region,
            timeout=timeout,
            sip=sip,
            sip_domain=sip_domain,
            app_id=app,
            video=video,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            prompt=prompt,
            webhook_url=webhook_url,
        )
        _, call = self._connection.execute(command, None, seconds)
        assert call is not None
        return call

    def accept(
        self,
        call_id: str | Call,
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
        """Answer an incoming call and join its audio to *channel* as *uid*.

        The gateway holds the call for about 15 s; later, or when another client was first, it
        is a ``CallNotFoundError`` or another ``CommandRefusedError``. See ``dial`` for the
        arguments.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call, needed=True)
        command = commands.Accept(
            call_id=name,
            token=self._token(token, channel, uid, app),
            channel=channel,
            uid=uid,
            app_id=app,
            webhook_url=webhook_url,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
        )
        self._claim(call)
        self._execute(command, call, command_timeout)

    def reject(
        self, call_id: str | Call, reason: str = "", *, command_timeout: float | None = None
    ) -> None:
        """Refuse an incoming call; its gateway answers the caller 404."""
        name, call = self._resolve(call_id)
        app = self._app_id(None, call)
        command = commands.Reject(call_id=name, app_id=app, reason=reason)
        self._claim(call)
        self._execute(command, call, command_timeout)

    def hangup(
        self,
        call_id: str | Call,
        *,
        direction: str | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """End a call: ``endcall`` on the wire for those that were dialled, else ``hangup``.

        A call this client does not know can be given its *direction* (``inbound``,
        ``outbound`` or ``outbound_sip``). When the CM took it the call is over at once; its
        ``hangup_cause`` and ``billsec`` come with the ``CallHangup`` event.
        """
        if direction not in (None, "inbound", "outbound", "outbound_sip"):
            raise InvalidArgumentError(
                f"direction must be inbound, outbound or outbound_sip, not {direction!r}"
            )
        name, call = self._resolve(call_id)
        self._execute(self._hang_up(call or name, direction), call, command_timeout)

    def _hang_up(self, call: Call | str, direction: str | None = None) -> commands.CallCommand:
        if isinstance(call, Call):
            app = self._app_id(None, call)
            return commands.hang_up(call.call_id, direction or call.direction, app)
        return commands.hang_up(call, direction or "", self._app_id(None, None))

    def send_dtmf(
        self, call_id: str | Call, digits: str, *, command_timeout: float | None = None
    ) -> None:
        """Send *digits* (``0-9 * #``) to the far end.

        The CM echoes them as ``DtmfReceived`` events with ``echo`` true.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(None, call)
        command = commands.SendDtmf(call_id=name, app_id=app, digits=digits)
        self._execute(command, call, command_timeout)

    def bridge(
        self,
        call_id: str | Call,
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
        """Join the call's audio to *channel* as *uid*; see ``dial`` for the arguments."""
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call, needed=True)
        command = commands.Bridge(
            call_id=name,
            token=self._token(token, channel, uid, app),
            channel=channel,
            uid=uid,
            app_id=app,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
        )
        self._execute(command, call, command_timeout)

    def unbridge(self, call_id: str | Call, *, command_timeout: float | None = None) -> None:
        """Take the call's audio out of its channel; the SIP leg stays up."""
        name, call = self._resolve(call_id)
        command = commands.Unbridge(call_id=name, app_id=self._app_id(None, call))
        self._execute(command, call, command_timeout)

    def rebridge(
        self,
        call_id: str | Call,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        current_channel: str | None = None,
        current_uid: str | int | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """Move the call's audio from the channel it is in to another one.

        Where it is now comes from the call; for a call this client does not know, pass
        *current_channel* and *current_uid*. See ``dial`` for the other arguments.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(app_id, call)
        if call is not None:
            current_channel = current_channel or call.channel
            current_uid = current_uid or call.uid
        if not current_channel or not current_uid:
            raise InvalidArgumentError(
                "current_channel and current_uid are needed: it is not known where the call is"
            )
        command = commands.Rebridge(
            call_id=name,
            token=self._token(token, channel, uid, app),
            channel=channel,
            uid=uid,
            app_id=app,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            current_channel=current_channel,
            current_uid=current_uid,
        )
        self._execute(command, call, command_timeout)

    def transfer(
        self,
        call_id: str | Call,
        destination: str,
        leg: str | None = None,
        *,
        command_timeout: float | None = None,
    ) -> None:
        """Hand a leg of the call (``A`` or ``B``; None: the CM's default) to *destination*.

        On the SIP side that is a REFER.
        """
        name, call = self._resolve(call_id)
        app = self._app_id(None, call)
        command = commands.Transfer(call_id=name, app_id=app, destination=destination, leg=leg)
        self._execute(command, call, command_timeout)

    def subscribe(
        self, numbers: Iterable[str], *, command_timeout: float | None = None
    ) -> None:
        """Be offered calls for these DIDs from now on, and no others; ``[]``: for all.

        Before the first connect they are kept for the registration. Later the list is kept,
        and registered again after a reconnect, once the CM took it.
        """
        command = commands.Subscribe(numbers=numbers)
        seconds = self._seconds(command_timeout, self.options.command_timeout)
        self._connection.check_process()
        with self._connection.lock:
            if self._connection.state is ConnectionState.IDLE:
                self._session.subscriptions = command.numbers
                return
        self._connection.execute(command, None, seconds)

    def command(
        self, action: str, *, command_timeout: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Send any other command with these fields as they are; returns the whole response."""
        for name in ("action", "request_id"):
            if name in fields:
                raise InvalidArgumentError(f"{name} is set by the library")
        command = commands.OtherCommand(action=action, fields=fields)
        return self._execute(command, None, command_timeout)

    def _execute(
        self, command: commands.Command, call: Call | None, command_timeout: float | None
    ) -> dict[str, Any]:
        seconds = self._seconds(command_timeout, self.options.command_timeout)
        response, _ = self._connection.execute(command, call, seconds)
        return response

    @staticmethod
    def _seconds(given: float | None, default: float) -> float:
        return default if given is None else checked_seconds("command_timeout", given)

    def _resolve(self, call_id: str | Call) -> tuple[str, Call | None]:
        """The id to send and the call it is of, if that is known."""
        if isinstance(call_id, Call):
            if not call_id.call_id:
                raise InvalidArgumentError(
                    "call_id is not known yet: the CM has not answered the call's dial"
                )
            return call_id.call_id, call_id
        return checked_text("call_id", call_id), self.call(call_id)

    def _app_id(self, given: str | None, call: Call | None, *, needed: bool = False) -> str | None:
        if given is not None:
            checked_text("app_id", given)
        return self._session.app_id_for(given, call, needed=needed)

    def _token(
        self, given: str | None, channel: str, uid: str | int, app_id: str | None
    ) -> str:
        """The RTC token: the one given, else the provider's."""
        if given is not None:
            return checked_text("token", given)
        provider = self.options.token_provider
        if provider is None:
            raise InvalidArgumentError("token is needed: the client has no token_provider")
        checked_text("channel", channel)
        token = provider(channel, str(uid), app_id)
        if not isinstance(token, str) or not token:
            raise InvalidArgumentError("token is needed: the token_provider returned none")
        return token

    @staticmethod
    def _claim(call: Call | None) -> None:
        if call is not None:
            call.claimed = True

    # --- callbacks -------------------------------------------------------------------------

    @overload
    def on(
        self, event_type: type[E], fn: None = None, **match: Any
    ) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...

    @overload
    def on(self, event_type: type[E], fn: Callable[[E], R], **match: Any) -> Callable[[E], R]: ...

    def on(self, event_type: type[E], fn: Callable[[E], Any] | None = None, **match: Any) -> Any:
        """Call *fn* with each event of this type; as a decorator, or with *fn* given.

        Returns *fn*. *match* filters by fields of the event or of its call's ``CallInfo``
        (``to="+1800…"``); numbers compare by their digits alone. ``Event`` sees all.

        Callbacks run on worker threads and may block and call anything; those of one call run
        one at a time, in the order of arrival. One that raises is logged, and reported as
        ``ErrorOccurred``.
        """
        if fn is None:

            def register(fn: Callable[[E], R]) -> Callable[[E], R]:
                self._handlers.add(event_type, fn, match)
                return fn

            return register
        self._handlers.add(event_type, fn, match)
        return fn

    def off(self, fn: Callable[..., Any]) -> None:
        """Call *fn* no more, for any event it was registered for with ``on``."""
        self._handlers.remove(fn)

    def set_handler(self, handler: object | None) -> None:
        """Call the methods of *handler*, the Go SDK's interface; see ``EventHandler``.

        It takes the place of an earlier one; None: of none.
        """
        self._handlers.set_object(handler)

    def _emit(self, event: Event) -> None:
        """Hand *event* to its callbacks' lane; runs on the reader's thread and never blocks."""
        callbacks = self._handlers.wanting(event)
        call = getattr(event, "call", None)
        if isinstance(event, CallIncoming):
            if callbacks:
                self._dispatcher.submit(call, lambda: self._offer(event, callbacks))
            else:
                self._connection.decline(event.call)
        elif callbacks:
            self._dispatcher.submit(call, lambda: self._tell(event, callbacks))

    def _offer(self, event: CallIncoming, callbacks: list[Callback]) -> None:
        """Let the callbacks have an incoming call; one that none of them wants goes."""
        results = self._tell(event, callbacks)
        if not event.call.claimed and not any(result is True for result in results):
            self._connection.decline(event.call)

    def _tell(self, event: Event, callbacks: list[Callback]) -> list[Any]:
        results = []
        for callback in callbacks:
            try:
                context = self.options.callback_context
                with contextlib.nullcontext() if context is None else context():
                    results.append(callback(event))
            except (Exception, SystemExit) as error:
                log.exception("a callback for %s failed", event.name)
                if not isinstance(event, ErrorOccurred):  # its own failures would go round
                    self._emit(ErrorOccurred(error=error))
        return results


# --- signals -------------------------------------------------------------------------------


class _Stopped(BaseException):
    """Raised by the signals that end ``run_forever``."""


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise ``_Stopped`` in here; elsewhere than on the main thread nothing.

    They raise, because a handler that sets an event can deadlock with the wait it interrupts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        for number in before:  # a second one while we close must not tear that apart
            signal.signal(number, signal.SIG_IGN)
        raise _Stopped

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            signal.signal(number, stop)
        yield
    except _Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
