"""What every subject can do, and how what it hears is kept."""

from __future__ import annotations

import itertools
import resource
import threading
import time
from collections import defaultdict
from typing import Any, NamedTuple

from tests.bench.frames import APP_ID, call_id, misplaced

#: Nothing here takes so long on any machine; what does has got stuck.
STUCK_SECONDS = 120.0


class Missing(Exception):
    """What a subject is made of is not installed."""


class Wrong(Exception):
    """Something was lost, came twice or out of order."""


class Place(NamedTuple):
    """Where a server is; ``authority`` is the file with its CA, for ``wss``."""

    url: str
    authority: str | None = None


def cpu_seconds() -> float:
    """What this process has used of the processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def digit_on(number: int) -> dict[str, str]:
    """The fields of the command that is timed."""
    return {"callid": call_id(number), "digits": "1", "appid": APP_ID}


class Stopwatch:
    """Takes the time, and the processor's, from entering to leaving."""

    def __enter__(self) -> Stopwatch:
        self._cpu = cpu_seconds()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu = cpu_seconds() - self._cpu


class Ear:
    """What the callbacks hear of *count* digits.

    Callbacks write to ``heard`` and count with ``ran`` themselves, without a call to here: it
    would be measured with them.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.last = count - 1
        self.ran = itertools.count()
        self.heard: defaultdict[Any, list[str]] = defaultdict(list)
        self.done = threading.Event()  # the last has run

    def wait(self) -> None:
        """Block until all have run."""
        if not self.done.wait(STUCK_SECONDS):
            raise Wrong(f"{next(self.ran)} of {self.count} events came")

    def check(self, ordered: bool) -> int:
        """How many are out of place; raises ``Wrong`` for that if *ordered*, and for a count."""
        there = sum(map(len, self.heard.values()))
        if there != self.count:
            raise Wrong(f"{there} events came instead of {self.count}")
        wrong = misplaced(self.heard)
        if ordered and wrong:
            raise Wrong(f"{wrong} of {self.count} events came out of order")
        return wrong


class Subject:
    """A client of the server at *place*. Times are in seconds.

    ``ask`` is one command and its answer, for the server's own commands too.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._numbers = itertools.count(1)

    def connect(self) -> None:
        """Connect and register."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        raise NotImplementedError

    def track(self, calls: int) -> None:
        """Get so many calls up, where calls are followed at all."""

    def press(self, number: int) -> None:
        """One digit on the call with this number, until it is answered."""
        self.ask("send_dtmf", **digit_on(number))

    def round_trips(self, count: int) -> list[float]:
        """How long each of so many commands took, one after another."""
        times = []
        for _ in range(count):
            began = time.perf_counter()
            self.press(0)
            times.append(time.perf_counter() - began)
        return times

    def receive(self, count: int, action: str, **fields: Any) -> Stopwatch:
        """Ask for *count* events, and take them."""
        raise NotImplementedError

    # --- for those that send ------------------------------------------------------------

    def _command(self, action: str, fields: dict[str, Any]) -> dict[str, Any]:
        """A command with an id of its own."""
        return {"action": action, "request_id": f"{action}_{next(self._numbers)}", **fields}

    def _registration(self) -> dict[str, str]:
        return {
            "action": "register",
            "auth_token": "Basic bench",
            "client_id": "bench",
            "appid": APP_ID,
        }


class Listener(Subject):
    """A subject that gives events to callbacks, on threads of its own."""

    #: whether events of one call come in order
    ordered: bool

    def hear(self, count: int, pause: float = 0.0) -> Ear:
        """From now on events go to the ear that is returned; a callback sleeps for *pause*."""
        raise NotImplementedError

    def deaf(self) -> None:
        """End ``hear``; raises ``Wrong`` if something went wrong that no ear could hear."""
        raise NotImplementedError

    def receive(self, count: int, action: str, **fields: Any) -> Stopwatch:
        ear = self.hear(count)
        with Stopwatch() as watch:
            self.ask(action, **fields)
            ear.wait()
        self.deaf()
        ear.check(self.ordered)
        return watch
