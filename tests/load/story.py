"""What happened to each call of a crowd, and work for a crowd."""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, Iterable

from telephony import Call, Client, Event

SECONDS = 30.0


class Stories:
    """Every event of some clients, by call, in the order of the callbacks."""

    def __init__(self, *clients: Client) -> None:
        self._lock = threading.Lock()  # guards the two below: callbacks run side by side
        self._of: dict[Call, list[Event]] = {}
        self.strays: list[Event] = []
        for client in clients:
            client.on(Event, self._note)

    def _note(self, event: Event) -> None:
        call = getattr(event, "call", None)
        with self._lock:
            if call is not None:
                self._of.setdefault(call, []).append(event)
            elif event.name not in ("connected", "disconnected"):
                self.strays.append(event)

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._of)

    def of(self, call: Call) -> list[Event]:
        with self._lock:
            return list(self._of.get(call, ()))

    def names(self, call: Call) -> list[str]:
        """The events' names; digits with what they are, echoes apart."""
        return [told(event) for event in self.of(call)]


def told(event: Any) -> str:
    if event.name == "dtmf_received":
        return f"{'echo' if event.echo else 'heard'} {event.digits}"
    return str(event.name)


def each(things: Iterable[Any], fn: Callable[[Any], Any], threads: int) -> list[Any]:
    """Call *fn* with every one of *things* on so many threads; results in their order.

    The first failure is raised when all the threads are done.
    """
    wanted: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    things = list(things)
    for item in enumerate(things):
        wanted.put(item)
    results: list[Any] = [None] * len(things)
    failures: list[BaseException] = []

    def work() -> None:
        while not failures:
            try:
                index, thing = wanted.get_nowait()
            except queue.Empty:
                return
            try:
                results[index] = fn(thing)
            except BaseException as error:
                failures.append(error)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(2 * SECONDS)
    assert not any(worker.is_alive() for worker in workers), "some of the work hangs"
    if failures:
        raise failures[0]
    return results


def nothing_left(client: Client) -> None:
    """No call is tracked and no command is under way."""
    assert [] == client.calls()
    health = client.health()
    assert (0, 0) == (health.in_flight, health.active_calls)
    assert 0 == health.protocol_errors
    assert 0 == health.reconnects
