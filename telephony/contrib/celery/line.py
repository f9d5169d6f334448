"""A line: one ``client_id`` at the Call Manager, its calls in Redis, and the worker that holds it.

How a line lives, and who writes which key (all but ``cmd`` fenced by the lease):

=================  ============================================================================
taken              ``lease`` (set if there is none), ``line``, ``lines``: the worker that opens it,
                   or an heir whose look-out found it without a lease
held               ``lease``, ``line``: its *keeper* thread, every third of the lease
a command          ``cmd``: the task's thread, right before it sends
a dial             ``intents``: before it is sent; away with the record of its call, or with its
                   refusal; marked *given up* when its outcome is unknown
an event           ``call``, ``calls``, ``outbox`` in one transaction: the journal's *writer*
published          ``outbox``: the journal's *publisher*
an incoming call   ``offer``: the callback; the first line to ask keeps the call
ended unheard      ``call``, ``calls``: the keeper, for calls that the client has let go of
lost               nothing any more: the client is closed, and no call is hung up
handed on          ``lease`` (away): a worker that ends warmly; the calls stay up
forgotten          ``lease``, ``line``, ``lines`` (away), once no call, intent and event is left
=================  ============================================================================
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import Any, Callable

import attrs
from celery.states import READY_STATES

from telephony.call import Call
from telephony.client import Client
from telephony.contrib.celery.failures import portable
from telephony.contrib.celery.journal import Entry, Journal
from telephony.contrib.celery.settings import Settings
from telephony.contrib.celery.snapshot import Snapshot, info_of, snapshot_of
from telephony.contrib.celery.store import Down, LineLost, Record, Store, reached
from telephony.errors import (
    CallNotFoundError,
    CommandRefusedError,
    ConnectError,
    ConnectionLostError,
    InvalidArgumentError,
    NotConnectedError,
    NotSentError,
    RegistrationError,
    TelephonyError,
)
from telephony.protocol.calls import CallInfo
from telephony.protocol.events import (
    CallEvent,
    CallIncoming,
    CallOrphaned,
    Disconnected,
    ErrorOccurred,
    Event,
    Gap,
)
from telephony.protocol.states import CallState, ConnectionState
from telephony.protocol.wire import shown
from telephony.runtime.deadline import Deadline

log = logging.getLogger("telephony")

#: A call that its client does not track any more is ended after this many seconds: its
#: ``call_hangup`` comes a moment after a hangup of our own.
LET_GO_SECONDS = 10.0
#: A dial that was given up is remembered this long, as the client does.
GIVEN_UP_SECONDS = 600.0
#: A dial waits this long for its call to be kept in Redis.
KEPT_SECONDS = 10.0
#: A dial whose asker may still wait for its result began less than this ago.
RECENT_SECONDS = 300.0
#: While Redis is away the lease is tried to be renewed this often, in seconds.
AWAY_SECONDS = 0.5
#: The pauses between attempts to open the connection, in seconds.
CONNECT_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)


class Line:
    """A line that this process holds. ``gone`` is called, on any thread, once it does not."""

    def __init__(
        self,
        app: Any,
        settings: Settings,
        store: Store,
        name: str,
        holder: str,
        *,
        inherited: bool,
        gone: Callable[[Line], None],
    ) -> None:
        self.name = name
        self.inherited = inherited
        self.client: Client = settings.client(name)
        self._app = app
        self._settings = settings
        self._store = store
        self._holder = holder
        self._gone = gone
        self._token = secrets.token_hex(16)
        self._held_until = 0.0  # on the monotonic clock: others may have it from then on
        self._missing: dict[str, float] = {}  # the keeper's: calls let go of, and since when
        self._ends = threading.Event()
        self._opened = threading.Event()  # it was connected once: from then on it is to be
        self._opener: threading.Thread | None = None  # the keeper's
        self._lock = threading.Lock()  # for the two below
        self._ending = False
        self._dials: dict[str, tuple[str, str, str]] = {}  # under way or given up, and where to
        self._journal = Journal(app, settings, store, name, self._token, self._still_ours)
        self._keeper = threading.Thread(
            target=self._keep, name=f"telephony-keeper-{name}", daemon=True
        )

    # --- taken and let go of -----------------------------------------------------------------

    def take(self) -> bool:
        """Hold the line, with the calls it has; whether it was to be had. Sends nothing yet.

        Raises one of ``Down``.
        """
        began = time.monotonic()
        seen = self._store.take(self.name, self._token, self._holder, new=not self.inherited)
        if seen is None:
            return False
        self._held_until = began + self._settings.lease
        records = self._store.calls(self._store.call_ids(self.name))
        intents = self._store.intents(self.name)
        orphans = self._adopt(records, intents)
        self.client.on(Event, self._event)
        self._journal.start(records)
        self._keeper.start()
        for record in records:
            self._say_gap(record.call_id, info_of(record.snapshot), max(0.0, time.time() - seen))
        if self.inherited:
            log.warning(
                "line %s is taken over, with %d calls and %d dials under way",
                self.name, len(records), len(intents),
            )
            threading.Thread(
                target=self._settle,
                args=(records, intents, orphans),
                name="telephony-heir",
                daemon=True,
            ).start()
        return True

    def _adopt(self, records: list[Record], intents: dict[str, Snapshot]) -> list[CallInfo]:
        """Let the client know what the line has; returns the calls of dials nobody waits for."""
        infos = []
        for record in records:
            info = attrs.evolve(info_of(record.snapshot), call_id=record.call_id)
            # Of one that was hung up only its call_hangup is to come.
            if info.active and info.state is not CallState.HANGUP and self._adopted(info):
                if not record.dialled:
                    infos.append(info)
        orphans = []
        for task_id, intent in intents.items():
            wanted = info_of(intent)
            self._dials[task_id] = _route(wanted)
            found = [
                info
                for info in infos
                if _route(info) == _route(wanted) and info.direction.startswith("outbound")
            ]
            if found and (len(found) == 1 or not self.client.options.keep_orphans):
                # Its events came, and its answer did not. Of several on one route, all of whose
                # diallers are gone, it does not matter which is whose.
                infos.remove(found[0])
                orphans.append(found[0])
            else:
                self._adopted(wanted)
        return orphans

    def _adopted(self, info: CallInfo) -> bool:
        """Whether the client has the call; one that it refuses must not keep it from the others."""
        try:
            self.client.adopt(info)
        except TelephonyError as error:
            log.error("call %s is not taken over: %s", info.call_id or "(no id)", error)
            return False
        return True

    def _settle(
        self, records: list[Record], intents: dict[str, Snapshot], orphans: list[CallInfo]
    ) -> None:
        """Tell those who wait for a dead worker's dials how these ended, and end the orphans."""
        for task_id, intent in intents.items():
            if "given_up" not in intent:
                self._give_up(task_id, intent)
                self._answer(task_id, self._died(intent))
        for record in records:
            created = info_of(record.snapshot).created_at
            if record.dialled and created and time.time() - created.timestamp() < RECENT_SECONDS:
                self._answer(record.dialled, record.snapshot)
        if orphans and self.client.options.keep_orphans is False:
            while not self._ends.is_set() and not self.client.wait_connected(1.0):
                pass
        for info in orphans:
            try:
                if not self.client.options.keep_orphans:
                    self.client.hangup(info.call_id)
                self._say_orphaned(info)
            except TelephonyError as error:
                log.error("call %s, whose dialler died, could not be ended: %s",
                          info.call_id, error)

    @staticmethod
    def _died(intent: Snapshot) -> BaseException:
        return portable(
            ConnectionLostError(
                f"the worker died while a call to {intent['to']} was being placed: it may have "
                "been carried out, and is not sent again",
                action="outbound",
            )
        )

    def _answer(self, task_id: str, result: Snapshot | BaseException) -> None:
        """Store the result of a dead worker's dial, unless it lived to do that."""
        backend = self._app.backend
        try:
            if backend.get_state(task_id) in READY_STATES:
                return
            if isinstance(result, BaseException):
                backend.mark_as_failure(task_id, result)
            else:
                backend.mark_as_done(task_id, result)
        except Exception as failure:  # whichever the backend has; there may be none
            log.error("the end of dial %s could not be stored: %s", task_id, failure)

    def open(self, attempts: int | None = None) -> None:
        """Connect, and try until it works (or *attempts* times); returns early when it ends.

        Raises ``RegistrationError``, and after *attempts* ``ConnectError``.
        """
        attempt = 0
        while not self._ends.is_set():
            try:
                self.client.connect()
                self._opened.set()
                return
            except RegistrationError:
                raise
            except ConnectError as error:
                attempt += 1
                if attempt == attempts:
                    raise
                log.error("line %s: %s; it is tried again", self.name, error)
                self._ends.wait(CONNECT_PAUSES[min(attempt, len(CONNECT_PAUSES)) - 1])
            except NotConnectedError:
                return
            except TelephonyError:  # closed meanwhile
                return

    def hand_on(self, seconds: float) -> None:
        """Let go of the line, with its calls up, within about *seconds*; another takes it."""
        if not self._end():
            return
        self._close_client(drain=min(1.0, seconds))
        self._journal.stop(seconds)
        try:
            self._store.release(self.name, self._token, always=True)
        except (LineLost, *Down):
            log.warning("line %s could not be handed on: it is free once its lease is over",
                        self.name)
        self._gone(self)

    def lose(self) -> None:
        """The line is another's, or may be: say and send nothing more; no call is hung up."""
        if not self._end():
            return
        log.error("line %s is lost to another worker: its connection is closed", self.name)
        self._close()

    def _still_ours(self) -> bool:
        """Whether the line is ours: its lease ran out, but perhaps nobody else has had it since.

        Loses it if not. Raises one of ``Down``.
        """
        began = time.monotonic()
        if self._ending or not self._store.renew(self.name, self._token, self._holder):
            self.lose()
            return False
        self._held_until = began + self._settings.lease
        return True

    def _close(self) -> None:
        self._journal.stop(0)
        self._close_client()
        self._gone(self)

    def _end(self) -> bool:
        with self._lock:
            if self._ending:
                return False
            self._ending = True
        self._ends.set()
        return True

    def _close_client(self, drain: float = 0.0) -> None:
        # From one of the client's own callbacks it goes on in the background.
        self.client.close(drain=drain)
        if threading.current_thread() is not self._keeper and self._keeper.ident is not None:
            self._keeper.join(2.0)

    @property
    def held(self) -> bool:
        """Whether no other worker can have the line, as far as is known here."""
        return not self._ending and time.monotonic() < self._held_until

    # --- the keeper ----------------------------------------------------------------------------

    def _keep(self) -> None:
        """Hold the lease, and look after calls that nothing is heard of; a thread's work."""
        third = pause = self._settings.lease / 3
        away = False  # Redis, as was said
        while not self._ends.wait(pause):
            pause = third
            try:
                if not self._still_ours():
                    return
                away = False
                self._look_after_connection()
                self._look_after_calls()
                if self._is_over() and self._store.release(self.name, self._token, always=False):
                    if self._end():
                        log.info("line %s is over: nothing is left of it", self.name)
                        self._close()
                    return
            except LineLost:
                continue  # looked at in a moment
            except Down as error:
                # Soon again: when Redis is back, those who look out wait no longer than a lease.
                pause = min(AWAY_SECONDS, third)
                if not away:
                    log.error("the lease of line %s could not be renewed: %s",
                              self.name, type(error).__name__)
                away = True
            except Exception:  # the lease must be held whatever else goes wrong
                log.exception("line %s", self.name)

    def _look_after_connection(self) -> None:
        """Connect again, in the background, if the client gave that up."""
        if not self._opened.is_set() or self.client.state is not ConnectionState.IDLE:
            return
        if self._opener is None or not self._opener.is_alive():
            self._opener = threading.Thread(
                target=self._open_again, name="telephony-opener", daemon=True
            )
            self._opener.start()

    def _open_again(self) -> None:
        try:
            self.open(1)
        except TelephonyError as error:
            log.error("line %s: %s; it is tried again", self.name, error)

    def _look_after_calls(self) -> None:
        self._journal.look_again()
        calls = self.client.calls()  # which lets go of those whose time is over
        tracked = {call.call_id: call for call in calls if call.call_id}
        kept, now = self._store.call_ids(self.name), time.monotonic()
        self._store.keep(kept & tracked.keys())
        for call_id in tracked.keys() - kept:
            if not tracked[call_id]._offered:  # Redis has lost it
                self._journal.put(Entry(tracked[call_id], tracked[call_id].info))
        gone = kept - tracked.keys()
        self._missing = {call_id: self._missing.get(call_id, now) for call_id in gone}
        for call_id, since in self._missing.items():
            record = self._store.call(call_id)
            info = CallInfo(call_id=call_id) if record is None else info_of(record.snapshot)
            # One that nobody accepted has no call_hangup to wait for.
            if now - since > (0.0 if info.state is CallState.INCOMING else LET_GO_SECONDS):
                log.warning("the end of call %s was not heard: it is let go of", call_id)
                self._ended_unheard(info)
        for task_id, intent in self._store.intents(self.name).items():
            if time.time() - intent.get("given_up", time.time()) > GIVEN_UP_SECONDS:
                self._store.end_intent(self.name, self._token, task_id)
                self._forget_dial(task_id)

    def _is_over(self) -> bool:
        """Whether an inherited line has nothing left (which `release` looks at once more)."""
        return self.inherited and not self.client.calls() and not self._missing

    # --- events -------------------------------------------------------------------------------

    def _event(self, event: Event) -> bool:
        """A callback of the client's; returns true to keep an incoming call."""
        if isinstance(event, Disconnected):
            if not self._ending and not self.held:
                # We may have been stopped for too long. To connect again would end the
                # connection of whoever has the line by now.
                threading.Thread(target=self.lose, name="telephony-lost", daemon=True).start()
        elif isinstance(event, Gap):
            for call in event.stale_calls:
                self._say_gap(call.call_id, call.info, event.seconds, call)
        elif isinstance(event, CallOrphaned):
            log.warning("call %s turned up after its dial was given up", event.call.call_id)
            self._say_orphaned(event.call.info, event.call)
        elif isinstance(event, ErrorOccurred):
            log.error("line %s: %s", self.name, event.error)
        elif isinstance(event, CallIncoming):
            if not self._claim(event):
                return False
            self._journal.event(event)
            return True
        elif isinstance(event, CallEvent) and event.call is not None:
            self._journal.event(event)
        return False

    def _claim(self, event: CallIncoming) -> bool:
        """Whether the incoming call is ours, of all the workers that it is offered to."""
        if self.inherited or not self._settings.targets(event.name):
            return False  # the worker's own line is offered it too
        try:
            return self._store.offer(self.name, self._token, event.info.call_id)
        except (LineLost, *Down) as error:
            log.error("an incoming call is left to others: %s", type(error).__name__)
            return False

    def _say_gap(
        self, call_id: str, info: CallInfo, seconds: float, call: Call | None = None
    ) -> None:
        info = attrs.evolve(info, call_id=call_id, stale=True)
        more = {"seconds": round(seconds, 3)}
        self._journal.put(Entry(call, info, name="gap", timestamp=time.time(), more=more))

    def _say_orphaned(self, info: CallInfo, call: Call | None = None) -> None:
        """Tell of the call, and forget the dial that it is of."""
        with self._lock:
            dials = [task_id for task_id, route in self._dials.items() if route == _route(info)]
            dial = dials[0] if dials else ""
            self._dials.pop(dial, None)
        self._journal.put(
            Entry(call, info, name="call_orphaned", timestamp=time.time(), dialled=dial)
        )

    # --- commands -----------------------------------------------------------------------------

    def command(
        self, name: str, call_id: str, task_id: str, execution: str, arguments: dict[str, Any]
    ) -> bool:
        """Send a command for a call; false if the task of this id has begun before."""
        if not self._begin(task_id, execution):
            return False
        call = self.client.call(call_id)
        was_stale = call is not None and call.info.stale
        try:
            getattr(self.client, name)(call_id, **arguments)
        except CallNotFoundError:
            if call is not None and was_stale and call.info.state is CallState.HANGUP:
                self._ended_unheard(call.info)
            raise
        if call is not None and name == "reject":
            self._ended_unheard(call.info)
        return True

    def _ended_unheard(self, info: CallInfo) -> None:
        """Keep the end of a call of which most likely no event tells."""
        ended = {"state": "hangup", "active": False, "stale": False}
        self._journal.put(Entry(None, info_of({**snapshot_of(info), **ended}), ended=True))

    def dial(self, task_id: str, execution: str, arguments: dict[str, Any]) -> CallInfo | None:
        """Place a call; None if the task of this id has begun before. Blocks like ``Client.dial``.

        The call is in Redis when this returns, unless Redis is away.
        """
        intent = {
            "direction": "outbound",
            "to": shown(str(arguments.get("to", ""))),
            "from_": shown(str(arguments.get("from_", ""))),
            "channel": str(arguments.get("channel", "")),
            "uid": str(arguments.get("uid", "")),
            "app_id": arguments.get("app_id") or _own_app_id(self.client),
        }
        if not self._begin(task_id, execution, intent):
            return None
        with self._lock:
            self._dials[task_id] = _route(info_of(intent))
        try:
            call = self.client.dial(**arguments)
        except (NotSentError, CommandRefusedError, InvalidArgumentError):
            self._forget_dial(task_id)
            self._change_intent(task_id, None)
            raise
        except BaseException:  # whatever stopped us, there may be a call
            self._give_up(task_id, intent)
            raise
        self._forget_dial(task_id)
        entry = Entry(call, call.info, dialled=task_id)
        self._journal.put(entry)
        deadline = Deadline(KEPT_SECONDS if call.call_id else 0.0)
        while not entry.kept.wait(min(0.2, deadline.remaining() or 0.0)) and not deadline.expired:
            if self._ending and not self.held:
                break
        if not entry.kept.is_set():
            log.error("call %s is up, and not yet in Redis", call.call_id or "(no id)")
        return call.info

    def _begin(self, task_id: str, execution: str, intent: Snapshot | None = None) -> bool:
        if not self.held:
            raise NotConnectedError(
                f"line {self.name} may be another worker's by now: nothing was sent"
            )

        def begin() -> bool:
            while True:
                try:
                    return self._store.begin(self.name, self._token, task_id, execution, intent)
                except LineLost:
                    if not self._still_ours():
                        raise NotConnectedError(
                            f"line {self.name} is another worker's by now: nothing was sent"
                        ) from None

        begun: bool = reached("nothing was sent", begin)
        return begun

    def _forget_dial(self, task_id: str) -> None:
        with self._lock:
            self._dials.pop(task_id, None)

    def _give_up(self, task_id: str, intent: Snapshot) -> None:
        self._change_intent(task_id, {**intent, "given_up": time.time()})

    def _change_intent(self, task_id: str, kept: Snapshot | None) -> None:
        try:
            self._store.end_intent(self.name, self._token, task_id, kept)
        except (LineLost, *Down):
            log.error("dial %s had its end, which could not be kept in Redis", task_id)


def _route(info: CallInfo) -> tuple[str, str, str]:
    return info.app_id, info.channel, info.uid


def _own_app_id(client: Client) -> str:
    return "" if client.options.app_id == "MULTI" else client.options.app_id
