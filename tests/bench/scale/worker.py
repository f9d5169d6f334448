"""A worker process: ``python -m tests.bench.scale.worker URL``.

Does what it is asked for, a line of JSON on standard input for each method of ``Worker``, and
answers each with a line of figures. It ends when its standard input does.
"""

from __future__ import annotations

import gc
import itertools
import json
import random
import sys
import threading
import time
from typing import Any, Hashable, Iterable

from telephony import Call, CallIncoming, CallNotFoundError, DtmfReceived
from tests.bench.measures import resident_set
from tests.bench.subjects.base import STUCK_SECONDS, Place, Stopwatch, Wrong
from tests.bench.subjects.ours import Ours

Figures = dict[str, Any]


def delays(heard: Iterable[tuple[Hashable, int, int]]) -> list[float]:
    """Seconds between the two times (in nanoseconds) that stand beside the call of each event.

    Raises ``Wrong`` where those of one call did not come in the order in which they were written.
    """
    latest: dict[Hashable, int] = {}
    found = []
    for call, written, came in heard:
        if latest.get(call, 0) >= written:
            raise Wrong(f"the events of {call} came out of order, or twice")
        latest[call] = written
        found.append((came - written) / 1e9)
    return found


class Share(Ours):
    """One client, and its share of all calls: ``first``, ``first + step`` …"""

    def __init__(self, place: Place, first: int, step: int) -> None:
        super().__init__(place)
        self._first = first
        self._step = step

    def connect(self) -> None:
        super().connect()
        self.ask("number", first=self._first, step=self._step)

    def grow(self, calls: int) -> float:
        """Dial its share of *calls* in all, less what it has; seconds that the dials took."""
        since = len(self._calls)
        numbers = range(self._first + since * self._step, calls, self._step)
        with Stopwatch() as watch:
            self._calls += [self._dial(number) for number in numbers]
        if not self._calls:
            raise Wrong(f"of {calls} calls there is none for this process")
        self.ask("raise", since=since)
        tracked = self.client.calls()
        if len(tracked) != len(self._calls) or any(call.state != "answered" for call in tracked):
            raise Wrong(f"of {len(self._calls)} calls {len(tracked)} are tracked")
        return watch.seconds if numbers else 0.0

    def commands(self, count: int, rate: float) -> tuple[list[float], float]:
        """Digits on random calls, *rate* a second on average: how long each took, and CPU time.

        The pauses are random (a Poisson process), so that no two workers fall into step.
        """
        choice = random.Random(self._first)
        times = []
        with Stopwatch() as watch:
            due = time.perf_counter()
            for _ in range(count):
                due += choice.expovariate(rate)
                time.sleep(max(0.0, due - time.perf_counter()))
                call = choice.choice(self._calls)
                began = time.perf_counter()
                call.send_dtmf("1")
                times.append(time.perf_counter() - began)
        return times, watch.cpu

    def events(self, count: int, rate: float) -> tuple[list[float], float]:
        """Digits of random calls: from the server's write to the callback; processor time."""
        heard: list[tuple[Call, int, int]] = []
        ran, last, done = itertools.count(1), count, threading.Event()

        def key(event: DtmfReceived) -> None:
            heard.append((event.call, int(event.raw["written"]), time.monotonic_ns()))
            if next(ran) == last:
                done.set()

        self._callback = self.client.on(DtmfReceived, key)
        with Stopwatch() as watch:
            self.ask("flow", count=count, rate=rate)
            if not done.wait(STUCK_SECONDS):
                raise Wrong(f"{len(heard)} of {count} events came")
        self.deaf()
        return delays(heard), watch.cpu

    def waiting(self, count: int) -> int:
        """By how many bytes the process grows for so many dials that have no answer yet."""
        self.ask("hold")
        gc.collect()
        before = resident_set()
        threads = [threading.Thread(target=self._dial, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        self.ask("held", count=count)
        grown = resident_set() - before
        self.ask("release")
        for thread in threads:
            thread.join(STUCK_SECONDS)
        if len(self.client.calls()) != count:
            raise Wrong(f"of {count} dials {len(self.client.calls())} were answered")
        return grown


class Listeners:
    """Clients that are offered the same inbound calls, and accept each, or none."""

    def __init__(self, place: Place, clients: int, accept: bool) -> None:
        self._subjects = [Ours(place) for _ in range(clients)]
        self._accept = accept
        self._delays: list[float] = []
        self._lost = itertools.count()
        self._wanted = 0
        self._ran = itertools.count(1)
        self._done = threading.Event()
        for subject in self._subjects:
            subject.connect()
            subject.client.on(CallIncoming, self._offered)

    def _offered(self, event: CallIncoming) -> None:
        self._delays.append((time.monotonic_ns() - int(event.raw["written"])) / 1e9)
        if self._accept:
            try:
                event.call.accept(token="bench-token", channel="desk", uid="1")
            except CallNotFoundError:
                next(self._lost)  # another was faster
        if next(self._ran) == self._wanted:
            self._done.set()

    def begin(self, count: int) -> None:
        """So many calls are about to come."""
        self._wanted = count * len(self._subjects)
        self._watch = Stopwatch().__enter__()

    def ring(self, **fields: Any) -> Figures:
        """Let the server ring; what it has to say of that."""
        figures: Figures = self._subjects[0].ask("ring", **fields)["data"]
        return figures

    def end(self) -> Figures:
        """What it took, once all callbacks have run."""
        if not self._done.wait(STUCK_SECONDS):
            raise Wrong(f"{len(self._delays)} of {self._wanted} offers came")
        self._watch.__exit__()
        return {"delays": self._delays, "cpu": self._watch.cpu, "lost": next(self._lost)}

    def close(self) -> None:
        for subject in self._subjects:
            subject.close()


class Worker:
    """What the process can be asked for."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._open: list[Share | Listeners] = []

    def share(self, first: int, step: int) -> Figures:
        self._share = Share(self._place, first, step)
        self._open.append(self._share)
        self._share.connect()
        self._share.ask("spent")  # what the first commands make is no call's
        gc.collect()
        return {"resident": resident_set()}

    def grow(self, calls: int) -> Figures:
        seconds = self._share.grow(calls)
        gc.collect()
        return {"resident": resident_set(), "seconds": seconds}

    def commands(self, count: int, rate: float) -> Figures:
        times, cpu = self._share.commands(count, rate)
        return {"times": times, "cpu": cpu}

    def events(self, count: int, rate: float) -> Figures:
        times, cpu = self._share.events(count, rate)
        return {"times": times, "cpu": cpu}

    def waiting(self, count: int) -> Figures:
        return {"grown": self._share.waiting(count)}

    def spent(self) -> Figures:
        """The server's processor time so far."""
        figures: Figures = self._share.ask("spent")["data"]
        return figures

    def listen(self, clients: int, accept: bool) -> Figures:
        self._listeners = Listeners(self._place, clients, accept)
        self._open.append(self._listeners)
        return {}

    def begin(self, count: int) -> Figures:
        self._listeners.begin(count)
        return {}

    def ring(self, **fields: Any) -> Figures:
        return self._listeners.ring(**fields)

    def end(self) -> Figures:
        return self._listeners.end()

    def close(self) -> None:
        for each in self._open:
            each.close()


def main(url: str) -> None:
    worker = Worker(Place(url))
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                figures = getattr(worker, asked.pop("do"))(**asked)
            except Exception as error:
                figures = {"failed": f"{type(error).__name__}: {error}"}
            print(json.dumps(figures), flush=True)
    finally:
        worker.close()


if __name__ == "__main__":
    main(sys.argv[1])
