"""The worker's part: the lines that a worker process holds, from its start to its end.

A worker that consumes ``telephony`` opens a line of its own and looks out for lines whose worker
died. Other workers open none, and need no settings of the Call Manager.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import _state, bootsteps
from celery.exceptions import ImproperlyConfigured

from telephony.config import made_up_client_id
from telephony.contrib.celery import tasks
from telephony.contrib.celery.journal import queue_for
from telephony.contrib.celery.line import Line
from telephony.contrib.celery.settings import Settings
from telephony.contrib.celery.shared import forget
from telephony.contrib.celery.store import Down, Store
from telephony.errors import NotConnectedError, RegistrationError, TelephonyError

log = logging.getLogger("telephony")

#: When the Call Manager refuses the credentials, another line is opened after this many seconds.
REFUSED_SECONDS = 60.0
#: A worker that ends hands its lines on within about this many seconds.
HAND_ON_SECONDS = 10.0


class Telephony:
    """Adds to a Celery app what a worker needs to place and hold calls.

    Checks the configuration, and raises ``ImproperlyConfigured`` naming the key that is wrong;
    touches no network. The tasks are there without it: a process that only sends them need not
    call it. The first app that is given becomes Celery's default app, unless there is one
    (``app.set_default()``): in a thread other than the one that made it (a request of a web
    server's) the tasks would not find their app.
    """

    def __init__(self, app: Any) -> None:
        Settings.of(app)
        forget(app)
        if _state.default_app is None:
            app.set_default()
        app.steps["worker"].add(Step)


class Switchboard:
    """The lines that this process holds.

    ``start`` and ``stop`` are the worker's; ``line`` and ``own_line`` are for tasks' threads; one
    thread of its own looks out for lines to take, and for another line of our own if it is lost.

    When Redis was away all leases have run out, also those of workers that live and are connected.
    So a look-out that cannot know that Redis has been there all the time waits for one lease
    before it takes lines that were not handed on: who lives has renewed its own by then.
    """

    def __init__(self, worker: Any, settings: Settings) -> None:
        self._worker = worker
        self._app = worker.app
        self._settings = settings
        self._store = Store(settings)
        self._lock = threading.Lock()  # for the two below
        self._lines: dict[str, Line] = {}
        self._own: Line | None = None
        self._stopping = threading.Event()
        self._wanted = threading.Event()  # the look-out is to look now
        self._looked: tuple[float, float] | None = None  # the look-out's: when Redis was there
        self._leases_count_from = 0.0  # the look-out's: no lease means nobody lives from then on
        self._lookout = threading.Thread(
            target=self._look_out, name="telephony-lookout", daemon=True
        )

    def start(self) -> None:
        """Open a line; blocks until it is connected, or has once failed to.

        Raises ``RegistrationError`` if the Call Manager refuses the credentials. What else fails is
        logged, and tried again.
        """
        tasks.switchboards[self._app] = self
        try:
            self._open_own(attempts=1)
        except RegistrationError:
            self.stop()
            raise
        except (TelephonyError, *Down) as error:
            log.error("no line could be opened yet: %s", _words(error))
        self._lookout.start()

    def stop(self) -> None:
        """Hand the lines on; their calls stay up."""
        self._stopping.set()
        self._wanted.set()
        with self._lock:
            lines = list(self._lines.values())
        ending = [
            threading.Thread(target=line.hand_on, args=(HAND_ON_SECONDS,), daemon=True)
            for line in lines
        ]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join(HAND_ON_SECONDS + 5)
        if self._lookout.ident is not None:
            self._lookout.join(5)
        if tasks.switchboards.get(self._app) is self:
            del tasks.switchboards[self._app]
        self._store.close()

    def own_line(self) -> Line:
        """The line that calls are dialled on; raises ``NotConnectedError`` while there is none."""
        own = self._own
        if own is None or not own.held:
            raise NotConnectedError(
                "this worker has no line now: nothing was sent; try again when it has"
            )
        return own

    def line(self, name: str) -> Line | None:
        """The line of this name, if it is held here."""
        with self._lock:
            return self._lines.get(name)

    # --- lines come and go ---------------------------------------------------------------------

    def _look_out(self) -> None:
        """Take lines that nobody holds; a thread's work."""
        while not self._stopping.is_set():
            try:
                if self._own is None:
                    self._open_own()
                free = self._store.lines_without_lease(released=not self._leases_count())
                for name in free:
                    if not self._stopping.is_set():
                        self._inherit(name)
            except (TelephonyError, *Down) as error:
                self._looked = None
                log.error("the look-out for lines: %s", _words(error))
            self._wanted.wait(self._settings.lease / 3)
            self._wanted.clear()

    def _leases_count(self) -> bool:
        """Whether a line without a lease is one whose worker is gone, for all we can know."""
        lease, now = self._settings.lease, (time.monotonic(), time.time())
        with self._lock:
            kept_up = all(line.held for line in self._lines.values())
        # By the wall clock too: the other one stands still while a machine is suspended.
        before, self._looked = self._looked, now
        if before is None or not kept_up or any(n - b > lease for n, b in zip(now, before)):
            self._leases_count_from = now[0] + lease
        return now[0] >= self._leases_count_from

    def _open_own(self, attempts: int | None = None) -> None:
        line = self._make(made_up_client_id(), inherited=False)
        if not line.take():
            return
        self._add(line)
        with self._lock:
            self._own = line
        if attempts is None:
            self._connect(line)
            return
        try:
            line.open(attempts)
        except RegistrationError:
            raise
        except TelephonyError:
            self._connect(line)  # goes on trying
            raise

    def _inherit(self, name: str) -> None:
        with self._lock:
            if name in self._lines:
                return  # its lease ran out while Redis was away, and its keeper has it again soon
        try:
            line = self._make(name, inherited=True)
            if line.take():
                self._add(line)
                self._connect(line)
        except Down:
            raise
        except Exception:  # one line that cannot be read must not keep us from the others
            log.exception("line %s could not be taken over", name)

    def _make(self, name: str, *, inherited: bool) -> Line:
        return Line(
            self._app,
            self._settings,
            self._store,
            name,
            self._worker.hostname,
            inherited=inherited,
            gone=self._gone,
        )

    def _connect(self, line: Line) -> None:
        """Open the line's connection, however long it takes, in the background."""

        def connect() -> None:
            try:
                line.open()
            except TelephonyError as error:
                log.critical("line %s: %s", line.name, error)
                self._stopping.wait(REFUSED_SECONDS)
                line.hand_on(HAND_ON_SECONDS)

        threading.Thread(target=connect, name="telephony-opener", daemon=True).start()

    def _add(self, line: Line) -> None:
        with self._lock:
            self._lines[line.name] = line
        self._consume(line.name)

    def _gone(self, line: Line) -> None:
        with self._lock:
            if self._lines.get(line.name) is line:
                del self._lines[line.name]
            if self._own is line:
                self._own = None
        if not self._stopping.is_set():
            self._consume(line.name)
            self._wanted.set()

    def _consume(self, line: str) -> None:
        """Take commands from the line's queue while it is held here, and no longer."""
        queue = queue_for(self._settings, line)
        queues = self._app.amqp.queues

        def change() -> None:
            consumer = self._worker.consumer
            if self.line(line) is not None:  # as it is by now: these may come in any order
                queues.select_add(queue)
                tasks_of = consumer.task_consumer
                if tasks_of is not None and not tasks_of.consuming_from(queue.name):
                    consumer.add_task_queue(queue)
            elif consumer.task_consumer is not None:
                consumer.cancel_task_queue(queue.name)
            else:
                queues.deselect(queue.name)

        consumer = getattr(self._worker, "consumer", None)
        if consumer is None:  # it is not made yet, and will take all that are selected
            queues.select_add(queue)
        else:
            consumer.call_soon(change)  # on the thread that the broker's connection belongs to


class Step(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts the lines before the worker takes its first task, ends them after its last."""

    def __init__(self, worker: Any, **_: Any) -> None:
        super().__init__(worker)

    def include_if(self, worker: Any) -> bool:
        queue = Settings.of(worker.app).queue
        return queue in worker.app.amqp.queues.consume_from

    def include(self, worker: Any) -> bool:
        included = super().include(worker)
        if included:  # first to start and last to stop: also after the pool, with its tasks
            worker.steps.remove(self)
            worker.steps.insert(0, self)
        return bool(included)

    def create(self, worker: Any) -> Switchboard:
        app = worker.app
        if "prefork" in worker.pool_cls.__module__:
            raise ImproperlyConfigured(
                "a worker that holds phone calls cannot fork: its children would share one "
                "connection; start it with -P threads (or gevent), and -c for how many commands "
                "may be under way at once"
            )
        settings = Settings.of(app)
        settings.client("checked")
        _check_guarded(app)
        transport = app.connection_for_write().transport.driver_type
        if transport == "amqp":  # an event is taken out of the outbox when RabbitMQ has it
            app.conf.broker_transport_options = {
                "confirm_publish": True, **(app.conf.broker_transport_options or {})
            }
        return Switchboard(worker, settings)


def _check_guarded(app: Any) -> None:
    """Nothing in the configuration may make Celery carry a command out twice."""
    for name in tasks.COMMANDS:
        task = app.tasks[f"telephony.{name}"]
        for attribute, wanted in tasks.GUARDED.items():
            if getattr(task, attribute) != wanted:
                raise ImproperlyConfigured(
                    f"task_annotations must leave {attribute} of telephony.{name} at {wanted!r}: "
                    "a command could be carried out twice, or its secrets be kept"
                )


def _words(error: BaseException) -> str:
    """What may be shown of an error: those of Redis can quote a URL with its password."""
    shown = isinstance(error, (TelephonyError, ImproperlyConfigured))
    return str(error) if shown else type(error).__name__
