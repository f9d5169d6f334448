"""The events of a line on their way: from its client into Redis, and from there to the tasks.

The client's callbacks put events in, in order per call. One thread, the *writer*, keeps each with
the call's snapshot and its number in one transaction; another, the *publisher*, sends what the
outbox holds to the tasks and takes away what the broker took. So an event is told at least once,
with the same id, whichever of the two or whatever of Redis and the broker dies in between.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from typing import Any, Callable

import attrs
from kombu.entity import Queue

from telephony.call import Call
from telephony.contrib.celery.settings import Settings
from telephony.contrib.celery.snapshot import snapshot_of
from telephony.contrib.celery.store import Down, LineLost, Record, Store
from telephony.errors import ProtocolError
from telephony.protocol.calls import CallInfo
from telephony.protocol.events import CallEvent, DtmfReceived
from telephony.protocol.wire import Secrets, encode, masked

log = logging.getLogger("telephony")

#: Events that wait for Redis: what comes beyond is not told.
WAITING_MOST = 100_000
#: So many events are published before the outbox is told.
BATCH = 50
#: A line that is handed on waits this long for the broker.
PUBLISH_SECONDS = 3.0
#: The pauses before Redis or the broker is tried again, in seconds, from the first to the last.
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)


@attrs.define(eq=False)
class Entry:
    """Something to be kept: an event, or (without a ``name``) what is known of a call."""

    call: Call | None
    info: CallInfo
    name: str = ""
    timestamp: float | int | None = None
    raw: Any = None
    more: dict[str, Any] = attrs.Factory(dict)
    ended: bool = False
    dialled: str = ""
    kept: threading.Event = attrs.Factory(threading.Event)


class Journal:
    """The events of one line.

    ``still_ours`` is asked, on a thread of ours, when Redis says that the lease is not held.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        store: Store,
        line: str,
        token: str,
        still_ours: Callable[[], bool],
    ) -> None:
        self._app = app
        self._settings = settings
        self._store = store
        self._line = line
        self._token = token
        self._still_ours = still_ours
        self._secrets = Secrets(settings.auth_token or "")
        self._sequences: dict[str, tuple[int, dict[str, int]]] = {}  # the writer's
        self._lock = threading.Lock()  # for the three below
        self._entries: deque[Entry] = deque()
        self._nameless: list[Entry] = []  # of calls whose id is not known yet
        self._dropped = 0
        self._changed = threading.Condition(self._lock)  # something is to be written
        self._to_publish = threading.Event()
        self._stopping = threading.Event()
        self._over = threading.Event()  # what is not done by now is left to others
        self._threads = [
            threading.Thread(target=work, name=f"telephony-{name}", daemon=True)
            for name, work in (("writer", self._write_all), ("publisher", self._publish_all))
        ]

    def start(self, records: list[Record]) -> None:
        """Begin; *records* are the calls that the line has already."""
        self._sequences = {r.call_id: (r.sequence, r.sent) for r in records}
        self._to_publish.set()
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Keep and publish what there is, for at most *seconds*, and end."""
        with self._lock:
            self._stopping.set()
            self._changed.notify()
        # What is in the outbox is safe: another publishes it, should the broker be away.
        for thread, most in zip(self._threads, (seconds, min(seconds, PUBLISH_SECONDS))):
            self._to_publish.set()
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(most)
        self._over.set()
        self._to_publish.set()
        with self._lock:
            if self._entries:
                log.error(
                    "%d events of line %s could not be kept", len(self._entries), self._line
                )
            self._changed.notify()

    # --- what comes in ---------------------------------------------------------------------------

    def event(self, event: CallEvent) -> None:
        """Take in an event of a call; blocks for nothing."""
        more = {"echo": event.echo} if isinstance(event, DtmfReceived) else {}
        self.put(
            Entry(
                call=event.call,
                info=event.info,
                name=event.name,
                timestamp=event.timestamp,
                raw=event.raw,
                more=more,
                ended=event.name == "call_hangup",
            )
        )

    def put(self, entry: Entry) -> None:
        """Take in *entry*; its ``kept`` is set once it is in Redis."""
        with self._lock:
            if self._nameless:
                self._name_calls()
            if not entry.info.call_id and not (entry.call and entry.call.call_id):
                self._nameless.append(entry)
            elif len(self._entries) >= WAITING_MOST and not entry.ended:
                self._dropped += 1
                if self._dropped % 1000 == 1:
                    log.error(
                        "%d events of line %s wait for Redis: %s is dropped, %d so far",
                        WAITING_MOST, self._line, entry.name, self._dropped,
                    )
            else:
                self._entries.append(entry)
            self._changed.notify()

    def look_again(self) -> None:
        """Calls may have got an id, or have gone without one."""
        with self._lock:
            self._name_calls()
            self._changed.notify()

    def _name_calls(self) -> None:
        """Let go on what waits for the ids of calls, and forget what refused dials left."""
        waiting, self._nameless = self._nameless, []
        for entry in waiting:
            if entry.call is not None and entry.call.call_id:
                self._entries.append(entry)
            elif entry.call is not None and entry.call.active:
                self._nameless.append(entry)

    # --- the writer ------------------------------------------------------------------------------

    def _write_all(self) -> None:
        attempt = 0
        while True:
            with self._lock:
                while not self._entries and not self._stopping.is_set():
                    self._changed.wait(30)
                if not self._entries or self._over.is_set():
                    return
                entry = self._entries[0]
            try:
                try:
                    self._write(entry)
                except LineLost:
                    if not self._still_ours():
                        self._over.set()
                        self._to_publish.set()
                        return
                    continue
            except Down as error:
                if attempt == 0:
                    log.error("Redis cannot be written to (%s): events wait", _named(error))
                self._over.wait(PAUSES[min(attempt, len(PAUSES) - 1)])
                attempt += 1
                continue
            except Exception:  # an event that cannot be kept must not keep the others
                log.exception("an event of line %s could not be kept", self._line)
            attempt = 0
            with self._lock:
                self._entries.popleft()
            entry.kept.set()

    def _write(self, entry: Entry) -> None:
        info = entry.info
        if not info.call_id and entry.call is not None:
            info = attrs.evolve(info, call_id=entry.call.call_id)
        call_id = info.call_id
        sequence, sent = self._sequences.get(call_id) or self._kept(call_id)
        snapshot, payload = snapshot_of(info), ""
        if entry.name:
            sequence += 1
            targets = self._settings.targets(entry.name)
            if targets:
                payload = self._payload(entry, snapshot, sequence, targets, sent)
                sent = {**sent, **dict.fromkeys(targets, sequence)}
        self._store.record(
            self._line,
            self._token,
            call_id,
            snapshot,
            sequence=sequence if entry.name else 0,
            sent=sent,
            ended=entry.ended,
            payload=payload,
            dialled=entry.dialled,
        )
        if entry.ended:
            self._sequences.pop(call_id, None)
        else:
            self._sequences[call_id] = (sequence, sent)
        if payload:
            self._to_publish.set()

    def _kept(self, call_id: str) -> tuple[int, dict[str, int]]:
        """Where the numbers of a call's events are that we have not told of lately."""
        record = self._store.call(call_id)
        return (0, {}) if record is None else (record.sequence, record.sent)

    def _payload(
        self,
        entry: Entry,
        snapshot: dict[str, Any],
        sequence: int,
        targets: tuple[str, ...],
        sent: dict[str, int],
    ) -> str:
        try:
            raw = masked(encode(entry.raw or {}), self._secrets)
        except (ProtocolError, TypeError, ValueError):  # too long to be looked through
            raw = {}
        payload = {
            "id": f"{snapshot['call_id']}:{sequence}",
            "event": entry.name,
            "call_id": snapshot["call_id"],
            "sequence": sequence,
            "after": {task: sent.get(task, 0) for task in targets},
            "timestamp": entry.timestamp,
            "line": self._line,
            "call": snapshot,
            "raw": raw,
            **entry.more,
        }
        return json.dumps(payload)

    # --- the publisher ---------------------------------------------------------------------------

    def _publish_all(self) -> None:
        attempt = 0
        while not self._over.is_set():
            # Cleared first: what is added from here on wakes us again.
            self._to_publish.clear()
            try:
                texts = self._store.outbox(self._line, BATCH)
                if not texts:
                    if self._stopping.is_set() and not self._threads[0].is_alive():
                        return
                    self._to_publish.wait(30)
                    continue
                done = self._publish(texts)
                if done:
                    self._published(done)
                if done == len(texts):
                    attempt = 0
                    continue
            except Down as error:
                if attempt == 0:
                    log.error("Redis cannot be read (%s): events wait", _named(error))
            attempt += 1
            self._over.wait(PAUSES[min(attempt, len(PAUSES)) - 1])

    def _published(self, count: int) -> None:
        try:
            self._store.published(self._line, self._token, count)
        except LineLost:  # then what was published is told again
            if not self._still_ours():
                self._over.set()

    def _publish(self, texts: list[str]) -> int:
        """Send events to their tasks; how many of them the broker took."""
        for number, text in enumerate(texts):
            if self._over.is_set():
                return number
            payload = json.loads(text)
            try:
                for task in payload["after"]:
                    self._send(task, payload)
            except Exception as error:  # the broker's are many, and nothing may be lost to others
                log.error(
                    "event %s could not be published, and is tried again: %s",
                    payload["id"], _named(error),
                )
                return number
        return len(texts)

    def _send(self, task: str, payload: dict[str, Any]) -> None:
        options: dict[str, Any] = {}
        if self._settings.events_queue:
            options["queue"] = self._settings.events_queue
        self._app.send_task(
            task,
            args=[payload],
            task_id=f"{payload['id']}:{task}",
            argsrepr=f"[{payload['event']} of call {payload['call_id']}]",
            **options,
        )


def queue_for(settings: Settings, line: str) -> Queue:
    """The queue of a line's commands; it outlives its worker, and RabbitMQ drops it in the end."""
    name = settings.queue_of(line)
    return Queue(  # type: ignore[no-untyped-call]
        name, routing_key=name, expires=settings.keep_active
    )


def _named(error: BaseException) -> str:
    """What kind of error it is: the words of some quote a URL with its password."""
    return type(error).__name__
