"""Many schedules side by side, in one process."""

from __future__ import annotations

import gc
import os
import queue
import threading
import time
from collections import Counter
from typing import Callable, Iterable

import attrs

from tests.faults.run import Run
from tests.faults.schedule import Schedule

SECONDS = 10.0


@attrs.define
class Summary:
    """What became of them all."""

    counts: Counter[str] = attrs.field(factory=Counter)
    failed: list[Run] = attrs.field(factory=list)
    runs: int = 0
    left: list[str] = attrs.field(factory=list)  # threads and descriptors that were left behind
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not self.failed and not self.left


def run_all(
    schedules: Iterable[Schedule],
    workers: int,
    failed: Callable[[Run], None] = lambda run: None,
) -> Summary:
    """Run *schedules* on so many threads; *failed* hears of each one with faults at once."""
    summary = Summary()
    lock = threading.Lock()  # guards the summary
    wanted: queue.SimpleQueue[Schedule] = queue.SimpleQueue()
    for schedule in schedules:
        wanted.put(schedule)

    def finish(run: Run) -> None:
        run.finish()
        with lock:
            summary.runs += 1
            summary.counts += run.counts
            if run.faults:
                summary.failed.append(run)
                failed(run)

    def work() -> None:
        last: Run | None = None  # finished one later: in between it would have connected again
        while True:
            try:
                schedule = wanted.get_nowait()
            except queue.Empty:
                break
            run = Run(schedule)
            run.go()
            if last is not None:
                finish(last)
            last = run
        if last is not None:
            finish(last)

    threads, descriptors = set(threading.enumerate()), _descriptors()
    began = time.monotonic()
    lanes = [threading.Thread(target=work, name=f"faults-{n}") for n in range(workers)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    summary.seconds = time.monotonic() - began
    end = time.monotonic() + SECONDS
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, end - time.monotonic()))
    summary.left = [thread.name for thread in set(threading.enumerate()) - threads]
    gc.collect()
    summary.left += sorted(_descriptors() - descriptors)
    return summary


def _descriptors() -> set[str]:
    """The sockets, pipes and polls of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # of the listing itself
        if target.startswith(("socket:", "pipe:", "anon_inode:")):
            found.add(f"{name} {target}")
    return found
