"""What is measured, and what counts as growth."""

from __future__ import annotations

import gc
import os
import threading
from typing import Sequence

import attrs

#: How much of a figure is no growth yet: so much, or this part of where it began.
ALLOWED = {
    "threads": (4, 0.0),
    "descriptors": (4, 0.0),
    "tracked": (20, 0.0),
    "rss": (4096, 0.03),
    "objects": (500, 0.005),
}
#: Fewer samples say nothing.
FEWEST = 8


@attrs.frozen(kw_only=True)
class Sample:
    """One moment. ``rss`` is in KiB, ``objects`` are those on the heap that gc knows."""

    elapsed: float
    placed: int = 0
    ended: int = 0
    reconnects: int = 0
    orphans: int = 0
    threads: int
    descriptors: int
    rss: int
    tracked: int
    objects: int

    def __str__(self) -> str:
        return "  ".join(
            f"{field.name} {getattr(self, field.name):{'.0f' if field.name == 'elapsed' else ''}}"
            for field in attrs.fields(Sample)
        )


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def rss() -> int:
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise OSError("no VmRSS here")


def taken(elapsed: float, tracked: int, **counts: int) -> Sample:
    """A sample of this process, now."""
    gc.collect()
    return Sample(
        elapsed=elapsed,
        threads=threading.active_count(),
        descriptors=descriptors(),
        rss=rss(),
        tracked=tracked,
        objects=len(gc.get_objects()),
        **counts,
    )


def growth(samples: Sequence[Sample]) -> list[str]:
    """What grew and by how much, in words; empty if nothing did.

    After a third of the run, in which caches fill: the line that fits the samples best must rise
    over its length by more than is allowed, and so must the least of the run's last quarter over
    the least of its second. One of the two alone is a spike, or a step that was the last.
    """
    if len(samples) < FEWEST:
        return [f"only {len(samples)} samples, {FEWEST} are wanted"]
    quarter = len(samples) // 4
    settled = samples[len(samples) // 3:]
    found = []
    for name, (least, part) in ALLOWED.items():
        values = [getattr(sample, name) for sample in samples]
        before, after = min(values[quarter:2 * quarter]), min(values[-quarter:])
        allowed = max(least, part * before)
        rise = _rise([sample.elapsed for sample in settled], values[-len(settled):])
        if rise > allowed and after - before > allowed:
            found.append(
                f"{name} grew from {before} to {after}, with a slope of {rise:.0f} over"
                f" {settled[-1].elapsed - settled[0].elapsed:.0f} s; {allowed:.0f} are allowed"
            )
    return found


def _rise(times: Sequence[float], values: Sequence[float]) -> float:
    """How far the best line goes up from the first to the last of *times*."""
    middle = sum(times) / len(times)
    spread = sum((time - middle) ** 2 for time in times)
    level = sum(values) / len(values)
    slope = sum((t - middle) * (v - level) for t, v in zip(times, values)) / spread
    return slope * (times[-1] - times[0])
