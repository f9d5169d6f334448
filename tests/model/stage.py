"""A sandbox and a client of it, where nothing happens before the test says so.

The sandbox's timers (ringing, joining, holds, delayed answers, shuffled events) wait in a list
until the test lets one go off, and each event has a second of its own. So it is the schedule that
is random, and never the outcome of one.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from typing import Any, Callable
from unittest.mock import patch

from telephony import (
    CallNotFoundError,
    Client,
    CommandRefusedError,
    CommandTimeoutError,
    ConnectionLostError,
    DialFailedError,
    Event,
    TelephonyError,
)
from telephony.protocol.session import Session
from telephony.protocol.table import CallTable
from telephony.runtime import pending
from telephony.runtime.backoff import Backoff
from telephony.sandbox import Sandbox, calls, clients, server
from telephony.sandbox.journal import Journal

SECONDS = 30.0
# A caller who waits this long waits until the test lets its patience end.
PATIENCE = 100_000.0
FENCE = "fence"
# What the runtime tells the time to.
TIMED = ("prepare", "not_sent", "give_up", "disown", "lost", "expire", "receive")


class Timer:
    """A step of the sandbox's that waits to be let go."""

    def __init__(self, timers: Timers, step: Callable[[], None]) -> None:
        self._timers = timers
        self.step = step

    def cancel(self) -> None:
        with contextlib.suppress(ValueError):
            self._timers.waiting.remove(self)


class Timers:
    """The sandbox's clock and its loop's, as far as they put things off."""

    def __init__(self) -> None:
        self.waiting: list[Timer] = []
        self._seconds = itertools.count()

    def now(self) -> float:
        return float(next(self._seconds))

    def time(self) -> float:
        """The time of day, in the events."""
        return 1_700_000_000 + self.now()

    def after(self, _seconds: float, step: Callable[[], None]) -> Timer:
        timer = Timer(self, step)
        self.waiting.append(timer)
        return timer

    def call_later(self, seconds: float, step: Callable[..., None], *args: Any) -> Timer:
        return self.after(seconds, lambda: step(*args))

    def let_go(self, number: int) -> None:
        self.waiting.pop(number % len(self.waiting)).step()


class Wire(Journal):
    """All that went over it, in the CM's order: commands received, frames sent."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()  # guards the list
        self._log: list[tuple[str, dict[str, Any]]] = []

    def record(self, frame: dict[str, Any]) -> None:
        super().record(frame)
        self.note("command", frame)

    def note(self, kind: str, frame: dict[str, Any]) -> None:
        with self._changed:
            self._log.append((kind, frame))
            self._changed.notify_all()

    def since(self, mark: int) -> list[tuple[str, dict[str, Any]]]:
        with self._changed:
            return self._log[mark:]

    @property
    def mark(self) -> int:
        return len(self._log)

    def await_command(self, mark: int, done: Callable[[], bool]) -> None:
        """Wait for a command after *mark* (but the fence's), or until *done* without one."""

        def came() -> bool:
            commands = (f for kind, f in self._log[mark:] if kind == "command")
            return done() or any(f["action"] not in (FENCE, "register") for f in commands)

        with self._changed:
            assert self._changed.wait_for(came, SECONDS), "no command came"

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Patience:
    """When callers stop waiting for an answer."""

    def __init__(self) -> None:
        self._slots: dict[str, pending.Slot] = {}
        self._ended: set[pending.Slot] = set()
        self._add = pending.Pending.add
        self._wait = pending.Slot.wait

    def add(self, slots: pending.Pending, request_id: str) -> pending.Slot:
        slot = self._slots[request_id] = self._add(slots, request_id)
        return slot

    def wait(self, slot: pending.Slot, seconds: float | None) -> bool:
        if seconds is None or seconds < PATIENCE / 2:
            return self._wait(slot, seconds)
        assert slot._filled.wait(SECONDS), "nobody ended this wait"
        if slot in self._ended:
            slot._filled.clear()
            return False
        return True

    def end(self, request_id: str) -> None:
        slot = self._slots[request_id]
        self._ended.add(slot)
        slot._filled.set()


class Clock:
    """What the client takes for the time: it can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._inside = False

    def shifted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """*method*, which is given the time and holds the session's lock, at a later time."""

        def later(*args: Any, **options: Any) -> Any:
            if self._inside:
                return method(*args, **options)
            self._inside = True
            try:
                moved = (a + self.ahead if isinstance(a, float) else a for a in args)
                return method(*moved, **options)
            finally:
                self._inside = False

        return later


class Running:
    """A command on a thread of its own, and how it ended, in the model's words."""

    def __init__(self, wire: Wire, command: Callable[[], Any]) -> None:
        self.request_id = ""
        self.value: Any = None
        self.end = ""
        self._wire = wire
        self._command = command
        self._ended = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        try:
            self.value = self._command()
            self.end = "taken"
        except TelephonyError as error:
            self.value = error
            self.end = _WORDS.get(type(error), type(error).__name__)
        except BaseException as error:
            self.end = repr(error)
        self._ended.set()
        self._wire.wake()

    @property
    def done(self) -> bool:
        return self._ended.is_set()

    def wait(self) -> None:
        assert self._ended.wait(SECONDS), "the command hangs"


_WORDS = {
    CallNotFoundError: "not found",
    CommandRefusedError: "refused",
    DialFailedError: "dial failed",
    ConnectionLostError: "lost",
    CommandTimeoutError: "timeout",
}


class Stage:
    """One example's sandbox and client."""

    def __init__(self, app_id: str, app_ids: list[str], orphan_policy: str) -> None:
        self.wire = wire = Wire()
        self.timers = timers = Timers()
        self.patience = Patience()
        self.clock = Clock()
        self._undo = contextlib.ExitStack()

        class Connection(clients.Connection):
            """Puts off what the sandbox's loop would, and notes what is sent."""

            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                self._loop: Any = timers
                self._cut = False

            def send(self, frame: dict[str, Any]) -> None:
                if not self._cut and not self._faults.silent:
                    wire.note("sent", frame)
                    super().send(frame)

            def abort(self) -> None:
                self._cut = True
                super().abort()

        for owner, name, new in (
            (server, "Connection", Connection),
            (server, "Clock", lambda *_: timers),
            (calls, "time", timers),
            (pending.Pending, "add", lambda *args: self.patience.add(*args)),
            (pending.Slot, "wait", lambda *args: self.patience.wait(*args)),
            *((Session, name, self.clock.shifted(getattr(Session, name))) for name in TIMED),
            (CallTable, "decline", self.clock.shifted(CallTable.decline)),
        ):
            self._undo.enter_context(patch.object(owner, name, new))
        self.cm = Sandbox(app_ids=app_ids)
        self.cm._journal = wire
        self._undo.enter_context(self.cm)
        self._heard = threading.Condition()  # guards the list of events
        self._events: list[Event] = []
        self.client: Client = self.cm.client(
            app_id=app_id,
            client_id="model",
            orphan_policy=orphan_policy,
            reconnect=Backoff(initial=0.001, maximum=0.001),
            connect_timeout=SECONDS,
            command_timeout=PATIENCE,
            dial_timeout=PATIENCE,
        )
        self.client.on(Event, self._note)

    def _note(self, event: Event) -> None:
        with self._heard:
            self._events.append(event)
            self._heard.notify_all()

    def events(self) -> list[Event]:
        """What was told since this was last asked."""
        with self._heard:
            events, self._events = self._events, []
            return events

    def await_event(self, name: str) -> None:
        with self._heard:
            assert self._heard.wait_for(
                lambda: any(event.name == name for event in self._events), SECONDS
            ), f"{name} was not told"

    # --- catching up ----------------------------------------------------------------------

    def fence(self) -> None:
        """Return when the client has taken in all that the CM has sent."""
        try:
            self.client.command(FENCE, command_timeout=SECONDS)
        except CommandRefusedError:
            pass  # as the CM does not know it

    def drain(self) -> None:
        """Return when all callbacks have run."""
        assert self.client._callbacks.dispatcher.drain(SECONDS), "a callback hangs"

    def launch(self, command: Callable[[], Any]) -> Running:
        """Begin a command, and return when the CM has dealt with it or it was not sent."""
        running = Running(self.wire, command)
        mark = self.wire.mark
        running.start()
        self.wire.await_command(mark, lambda: running.done)
        self.cm.run(lambda: None)
        return running

    def give_up(self, running: Running) -> None:
        self.patience.end(running.request_id)
        running.wait()

    # --- what happens at the CM -------------------------------------------------------------

    def let_go(self, number: int) -> None:
        self.cm.run(self.timers.let_go, number)

    def replay(self, frame: dict[str, Any]) -> None:
        self.cm.send(frame, client_id="model")

    def cut(self) -> None:
        """The connection breaks, and no new one comes to be until `mend`."""
        self.cm.silence()
        self.cm.drop_connections()
        self.await_event("disconnected")
        self.drain()

    def mend(self, *, refuse: bool = False) -> None:
        if refuse:
            self.cm.refuse("unauthorized", action="register")
        self.cm.silence(False)
        if refuse:
            self.await_event("error")
        else:
            assert self.client.wait_connected(SECONDS), "it does not connect again"
            self.await_event("gap")
        self.drain()

    def wait_out(self, seconds: float) -> None:
        """So many seconds pass for the client's memory."""
        with self.client._connection.lock:
            self.clock.ahead += seconds
            self.client._session.expire(time.monotonic())

    def close(self) -> None:
        self._undo.close()


def seen(info: Any) -> tuple[Any, ...]:
    return (info.call_id, str(info.state), info.direction, info.from_, info.to, info.channel,
            info.uid, info.app_id, info.hangup_cause, info.stale)  # fmt: skip


def told(event: Any) -> tuple[Any, ...]:
    """An event of a call, in the model's words."""
    if event.name == "call_orphaned":
        return event.name, event.call.call_id
    heard = (event.digits, event.echo) if event.name == "dtmf_received" else ()
    return (event.name, *seen(event.info), *heard)


def client_told(event: Any) -> str:
    """An event of the connection, or of nothing, in the model's words."""
    if event.name == "gap":
        return f"gap {sorted(call.call_id for call in event.stale_calls)}"
    if event.name in ("connected", "disconnected", "error"):
        return str(event.name)
    return f"unknown {event.name}"
