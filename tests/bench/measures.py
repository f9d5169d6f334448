"""What is measured: one function each, which takes a maker of subjects and returns figures.

They check what can be checked without measuring it, and raise ``Wrong``. What but one of them
imports it imports itself: an idle client is measured here too, and all modules are its load.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from typing import Any, Callable, Sequence

from tests.bench.subjects.base import STUCK_SECONDS, Stopwatch, Subject, Wrong

Figures = dict[str, float]
Make = Callable[..., Any]  # options of a subject → that subject, not connected

#: CPU is told for so many events.
EVENTS = 100_000
#: What a client needs to be imported for it; the package loads its names when they are used.
IMPORTED = {
    "ours": "import telephony",
    "used": "from telephony import Client",
    "bare": "import websocket, attr, json",
}
_TIMED = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"


class connected:
    """``with connected(make) as subject``: connected here, and closed in any case."""

    def __init__(self, make: Make, **options: Any) -> None:
        self._subject: Subject = make(**options)

    def __enter__(self) -> Any:
        self._subject.connect()
        return self._subject

    def __exit__(self, *_: object) -> None:
        self._subject.close()


def part(values: Sequence[float], share: float) -> float:
    """The value that *share* of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def p50(values: Sequence[float]) -> float:
    return part(values, 0.5)


# --- commands ------------------------------------------------------------------------------


def round_trip(make: Make, count: int) -> Figures:
    """One caller, one command after another."""
    with connected(make) as subject:
        subject.track(1)
        return {"p50": p50(subject.round_trips(count))}


def round_trip_under_load(make: Make, count: int, rate: int, calls: int) -> Figures:
    """The same on another call, while *count* events come in, *rate* a second."""
    times = []
    with connected(make) as subject:
        subject.track(calls + 1)
        subject.ask("prepare", count=count, calls=calls, bunch=1)
        ear = subject.hear(count)
        with Stopwatch() as watch:
            subject.ask("pace", rate=rate, burst=max(1, rate // 1000))
            while not ear.done.is_set():
                began = time.perf_counter()
                subject.press(calls)
                times.append(time.perf_counter() - began)
        subject.deaf()
        ear.check(subject.ordered)
    return {"p50": p50(times), "p99": part(times, 0.99), "heard": count / watch.seconds}


def commands(make: Make, count: int, callers: int) -> Figures:
    """So many callers, each on a call of its own, *count* commands in all."""
    with connected(make) as subject:
        subject.track(callers)
        failed: list[BaseException] = []
        start = threading.Barrier(callers + 1)

        def call(number: int) -> None:
            start.wait()
            try:
                for _ in range(count // callers):
                    subject.press(number)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        start.wait()
        with Stopwatch() as watch:
            for thread in threads:
                thread.join()
        if failed:
            raise failed[0]
    return {"rate": count // callers * callers / watch.seconds}


def command_in_callback(make: Make, count: int) -> Figures:
    """A command inside a callback, and one outside, in turn."""
    outside: list[float] = []
    inside: list[float] = []
    with connected(make) as subject:
        subject.track(1)
        subject.ask("prepare", count=count, calls=1, bunch=1)
        pressed = subject.hear_pressing(inside)
        for _ in range(count):
            outside += subject.round_trips(1)
            pressed.clear()
            subject.ask("go", count=1)
            if not pressed.wait(STUCK_SECONDS):
                raise Wrong(f"{len(inside)} of {count} callbacks ran")
        subject.deaf()
    return {"inside": p50(inside), "outside": p50(outside), "ratio": p50(inside) / p50(outside)}


# --- events --------------------------------------------------------------------------------


def events(make: Make, count: int, calls: int) -> Figures:
    """All at once."""
    return _received(make, count, calls, "go")


def paced_events(make: Make, count: int, calls: int, rate: int) -> Figures:
    """One by one, so many a second."""
    return _received(make, count, calls, "pace", rate=rate, burst=1)


def _received(make: Make, count: int, calls: int, action: str, **fields: int) -> Figures:
    with connected(make) as subject:
        subject.track(calls)
        subject.ask("prepare", count=count, calls=calls, bunch=1)
        watch = subject.receive(count, action, **fields)
    return {"rate": count / watch.seconds, "cpu": watch.cpu * EVENTS / count}


def slow_callbacks(make: Make, calls: int, each: int, pause: float, workers: int) -> Figures:
    """A few events of many calls, callbacks that sleep, and commands meanwhile."""
    count = calls * each
    times = []
    with connected(make, workers=workers) as subject:
        subject.track(calls + 1)
        subject.ask("prepare", count=count, calls=calls, bunch=each)
        ear = subject.hear(count, pause)
        with Stopwatch() as watch:
            subject.ask("go")
            while not ear.done.is_set():
                began = time.perf_counter()
                subject.press(calls)
                times.append(time.perf_counter() - began)
                ear.done.wait(0.01)
        subject.deaf()
        misplaced = ear.check(subject.ordered)
    return {
        "seconds": watch.seconds,
        "command": p50(times),
        "worst": max(times),
        "misplaced": misplaced,
    }


# --- what it takes -------------------------------------------------------------------------


def memory(make: Make, calls: int) -> Figures:
    """Bytes of heap for a call that is tracked."""
    import tracemalloc

    with connected(make) as subject:
        subject.ask("raise", calls=0)  # what the first command makes is no call's
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            subject.track(calls)
            gc.collect()
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    return {"heap": (after - before) / calls}


def resident(make: Make, calls: int) -> Figures:
    """The same by what the process holds; in it is what the allocator keeps."""
    with connected(make) as subject:
        subject.ask("raise", calls=0)  # what the first command makes is no call's
        gc.collect()
        before = resident_set()
        subject.track(calls)
        gc.collect()
        return {"resident": (resident_set() - before) / calls}


def idle(make: Make, seconds: float) -> Figures:
    """Connected, and nothing happens; CPU is told for a minute."""
    with connected(make):
        gc.collect()
        with Stopwatch() as watch:
            time.sleep(seconds)
        return {
            "cpu": watch.cpu * 60 / watch.seconds,
            "resident": resident_set(),
            "threads": threading.active_count(),
        }


def resident_set() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- beginning -----------------------------------------------------------------------------


def connect(make: Make, count: int) -> Figures:
    """Connect, register and close."""
    times = []
    for _ in range(count):
        with Stopwatch() as watch, connected(make):
            pass
        times.append(watch.seconds)
    return {"p50": p50(times)}


def importing(make: Make, count: int, what: str) -> Figures:
    """An import in a fresh interpreter, by itself and with the interpreter's start and end."""
    import subprocess

    inside: list[float] = []
    outside: list[float] = []
    for _ in range(count):
        with Stopwatch() as watch:
            done = subprocess.run(
                [sys.executable, "-c", _TIMED.format(IMPORTED[what])],
                capture_output=True,
                check=True,
            )
        inside.append(float(done.stdout))
        outside.append(watch.seconds)
    return {"p50": p50(inside), "process": p50(outside)}


MEASURES: dict[str, Callable[..., Figures]] = {
    measure.__name__: measure
    for measure in (
        round_trip, round_trip_under_load, commands, command_in_callback, events, paced_events,
        slow_callbacks, memory, resident, idle, connect, importing,
    )
}  # fmt: skip
